"""Node B of two: adds node A as a peer, subscribes to its topic, prints what comes.

    python examples/two_node_client.py --server tcp://127.0.0.1:5555

Start and stop the server as you like: SPOT tells of the loss, reconnects and resumes by itself.
"""

import argparse
import contextlib

from spot import HostUnreachable, Spot, TimedOut


def main() -> None:
    parser = argparse.ArgumentParser(description="Receives sensor readings.")
    parser.add_argument("--server", default="tcp://127.0.0.1:5555", help="endpoint of node A")
    parser.add_argument("--messages", type=int, default=0, help="end after so many (0: go on)")
    options = parser.parse_args()

    with Spot(node_id="node-b") as node:
        node.cluster_add(options.server)
        try:
            node.cluster_sync(timeout=1.0)
        except TimedOut as error:
            print(f"{error}; going on, as the subscription binds when node A comes", flush=True)
        node.subscribe("sensor:temperature")

        received = 0
        while options.messages == 0 or received < options.messages:
            try:
                message = node.recv(timeout=1.0)
            except HostUnreachable as error:
                print(f"lost {error.node} ({error.reason}); reconnecting by itself", flush=True)
                continue
            if message is None:
                continue
            received += 1
            lost = f" ({message.missed} missed before it)" if message.missed else ""
            print(f"{message.topic} #{message.seq} = {message.data.decode()}{lost}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

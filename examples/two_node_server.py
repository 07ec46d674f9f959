"""Node A of two: hosts two topics, waits for a subscriber, publishes a reading a second.

    python examples/two_node_server.py          # in one terminal
    python examples/two_node_client.py          # in another

Either may start first.
"""

import argparse
import contextlib
import itertools
import time

from spot import Spot


def main() -> None:
    parser = argparse.ArgumentParser(description="Hosts and publishes sensor topics.")
    parser.add_argument("--bind", default="tcp://*:5555", help="default tcp://*:5555")
    parser.add_argument("--messages", type=int, default=0, help="end after so many (0: go on)")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between readings")
    options = parser.parse_args()

    with Spot(node_id="node-a") as node:
        node.topic_create("sensor:temperature")
        node.topic_create("sensor:humidity")
        print(f"node A ready on {node.bind(options.bind)}, waits for a subscriber", flush=True)
        node.wait_for_subscribers("sensor:temperature")

        for number in itertools.count(1):
            node.publish("sensor:temperature", f"{20 + number % 10 / 2:.1f}".encode())
            node.publish("sensor:humidity", f"{40 + number % 7}".encode())
            if number == options.messages:
                break
            time.sleep(options.interval)
        print(f"published {node.metrics().publishes} messages")
    # Leaving the block delivers what was accepted (for up to `linger` seconds) and says goodbye.


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

"""A full mesh of three: every node hosts a topic and subscribes to the topics of the others.

    python examples/mesh.py a                   # each in a terminal of its own, in any order
    python examples/mesh.py b
    python examples/mesh.py c

Each node adds both others, yet each pair ends with one connection: three in all.
"""

import argparse
import contextlib
import time

from spot import HostUnreachable, Spot

NAMES = ("a", "b", "c")


def main() -> None:
    parser = argparse.ArgumentParser(description="One node of a mesh of three.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--base-port", type=int, default=5555, help="of node a; b and c follow")
    parser.add_argument("--messages", type=int, default=0, help="end after so many (0: go on)")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between messages")
    options = parser.parse_args()

    endpoints = {
        name: f"tcp://127.0.0.1:{options.base_port + place}" for place, name in enumerate(NAMES)
    }
    others = [name for name in NAMES if name != options.name]
    mine = f"{options.name}:data"

    with Spot(node_id=options.name) as node:
        node.topic_create(mine)
        node.bind(endpoints[options.name])
        for other in others:
            node.cluster_add(endpoints[other])
            node.subscribe(f"{other}:data")
        print(f"node {options.name} waits for {' and '.join(others)}", flush=True)
        node.wait_for_subscribers(mine, count=len(others))

        published = 0
        received = dict.fromkeys(others, 0)
        next_publish = time.monotonic()
        while options.messages == 0 or min(published, *received.values()) < options.messages:
            now = time.monotonic()
            if now >= next_publish and not published == options.messages > 0:
                published += 1
                node.publish(mine, f"message {published} of {options.name}".encode())
                next_publish = now + options.interval
            try:
                message = node.recv(timeout=max(0.0, next_publish - now))
            except HostUnreachable as error:
                print(f"lost {error.node} ({error.reason})", flush=True)
                continue
            if message is not None:
                received[message.node] += 1
                print(f"from {message.node}: {message.data.decode()}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

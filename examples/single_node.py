"""One node by itself: LOCAL topics, a subscription, a pattern.

    python examples/single_node.py --messages 3

Nothing is sent over a network: messages to the node's own subscriptions stay in the process.
"""

import argparse

from spot import Spot


def main() -> None:
    parser = argparse.ArgumentParser(description="One node, LOCAL topics only.")
    parser.add_argument("--messages", type=int, default=3, help="rounds to publish (default 3)")
    options = parser.parse_args()

    with Spot() as node:
        for topic in ("game:player:spawn", "game:player:death", "chat:lobby"):
            node.topic_create(topic)

        node.subscribe("game:player:spawn")
        node.subscribe_pattern("chat:*")

        for number in range(1, options.messages + 1):
            node.publish("game:player:spawn", f"player {number}".encode())
            node.publish("game:player:death", b"nobody is subscribed to this one")
            node.publish("chat:lobby", f"player {number} says hello".encode())

        while (message := node.recv(timeout=0.1)) is not None:
            print(f"{message.topic} #{message.seq}: {message.data.decode()}")


if __name__ == "__main__":
    main()

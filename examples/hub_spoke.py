"""A hub with spokes, where the hub's program passes messages on.

    python examples/hub_spoke.py hub            # each in a terminal of its own, in any order
    python examples/hub_spoke.py spoke 1
    python examples/hub_spoke.py spoke 2
    python examples/hub_spoke.py spoke 3

Only the hub binds a port. The spokes dial it and do not know one another. The hub subscribes to the
topics of all spokes by a pattern, and publishes what it receives to its own topic.
"""

import argparse
import contextlib
import time

from spot import HostUnreachable, Message, Spot

NEWS = "hub:news"


def recv_or_report(node: Spot, timeout: float) -> Message | None:
    """The next message, or None when none came or a host was lost."""
    try:
        return node.recv(timeout=timeout)
    except HostUnreachable as error:
        print(f"lost {error.node} ({error.reason})", flush=True)
        return None


def run_hub(options: argparse.Namespace) -> None:
    with Spot(node_id="hub") as node:
        node.topic_create(NEWS)
        node.subscribe_pattern("spoke:*")
        print(f"hub on {node.bind(options.bind)} waits for {options.spokes} spokes", flush=True)
        node.wait_for_subscribers(NEWS, count=options.spokes)
        node.publish(NEWS, b"hub: all are here")

        passed_on = 0
        while options.messages == 0 or passed_on < options.messages * options.spokes:
            message = recv_or_report(node, timeout=1.0)
            if message is not None:
                node.publish(NEWS, f"{message.node}: {message.data.decode()}".encode())
                passed_on += 1
        print(f"passed on {passed_on} messages")


def run_spoke(options: argparse.Namespace) -> None:
    name = f"spoke-{options.number}"
    topic = f"spoke:{options.number}"
    with Spot(node_id=name) as node:
        node.topic_create(topic)
        node.cluster_add(options.hub)
        node.subscribe(NEWS)
        while recv_or_report(node, timeout=1.0) is None:  # the hub says when all are here
            pass

        published = heard = 0
        wanted = options.messages * (options.spokes - 1)
        next_publish = time.monotonic()
        while options.messages == 0 or published < options.messages or heard < wanted:
            now = time.monotonic()
            if now >= next_publish and not published == options.messages > 0:
                published += 1
                node.publish(topic, f"reading {published}".encode())
                next_publish = now + options.interval
            message = recv_or_report(node, timeout=max(0.0, next_publish - now))
            if message is not None and not message.data.startswith(f"{name}:".encode()):
                heard += 1
                print(message.data.decode(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A hub, or one of its spokes.")
    roles = parser.add_subparsers(required=True)
    hub = roles.add_parser("hub")
    hub.add_argument("--bind", default="tcp://*:5555", help="default tcp://*:5555")
    hub.set_defaults(run=run_hub)
    spoke = roles.add_parser("spoke")
    spoke.add_argument("number", type=int)
    spoke.add_argument("--hub", default="tcp://127.0.0.1:5555", help="endpoint of the hub")
    spoke.add_argument("--interval", type=float, default=1.0, help="seconds between readings")
    spoke.set_defaults(run=run_spoke)
    for role in (hub, spoke):
        role.add_argument("--spokes", type=int, default=3, help="how many take part (default 3)")
        role.add_argument("--messages", type=int, default=0, help="of each spoke (0: go on)")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

"""Failover by hand: a client follows a topic from the primary host to the backup, and back.

    python examples/failover.py primary         # each in a terminal of its own
    python examples/failover.py backup
    python examples/failover.py client          # then stop whichever host it follows

Both hosts have the same topic and do not know each other. The client names the host it wants with
`topic_route`. The subscription stays: a new route is all that it takes.
"""

import argparse
import contextlib
import itertools
import time

from spot import HostUnreachable, Spot

TOPIC = "critical:topic"
PRIMARY = "tcp://127.0.0.1:5555"
BACKUP = "tcp://127.0.0.1:5556"


def run_host(options: argparse.Namespace) -> None:
    with Spot(node_id=options.role) as node:
        node.topic_create(TOPIC)
        print(f"{options.role} on {node.bind(options.bind)}", flush=True)
        for number in itertools.count(1):
            node.publish(TOPIC, f"{options.role} {number}".encode())
            time.sleep(options.interval)


def route_to_one_of(node: Spot, hosts: list[str]) -> None:
    """Routes the topic to the first host that answers, trying for as long as it takes."""
    for endpoint in itertools.cycle(hosts):
        try:
            node.topic_route(TOPIC, endpoint, timeout=1.0)
        except HostUnreachable as error:
            print(f"no route to {endpoint}: {error}", flush=True)
            time.sleep(0.1)
        else:
            print(f"following {endpoint}", flush=True)
            return


def run_client(options: argparse.Namespace) -> None:
    hosts = [options.primary, options.backup]
    with Spot(node_id="client") as node:
        route_to_one_of(node, hosts)
        node.subscribe(TOPIC)
        received = 0
        while options.messages == 0 or received < options.messages:
            try:
                message = node.recv(timeout=1.0)
            except HostUnreachable as error:
                print(f"lost {error.node} ({error.reason})", flush=True)
                hosts.reverse()
                route_to_one_of(node, hosts)
                continue
            if message is not None:
                received += 1
                print(f"received from {message.node}: {message.data.decode()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A host of the topic, or the client of both.")
    roles = parser.add_subparsers(dest="role", required=True)
    for name, endpoint in (("primary", PRIMARY), ("backup", BACKUP)):
        host = roles.add_parser(name)
        host.add_argument("--bind", default=endpoint, help=f"default {endpoint}")
        host.add_argument("--interval", type=float, default=1.0, help="seconds between messages")
        host.set_defaults(run=run_host)
    client = roles.add_parser("client")
    client.add_argument("--primary", default=PRIMARY, help=f"default {PRIMARY}")
    client.add_argument("--backup", default=BACKUP, help=f"default {BACKUP}")
    client.add_argument("--messages", type=int, default=0, help="end after so many (0: go on)")
    client.set_defaults(run=run_client)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

"""Programs with a node, each a process of its own: ``python -m tests.library.programs NAME JSON``.

They say what happens in JSON lines, with ``time.monotonic()``, which all processes share.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from spot import HostUnreachable, Spot


def say(kind: str, **fields: Any) -> None:
    line = json.dumps({"kind": kind, "at": time.monotonic(), **fields})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def subscriber(endpoint: str, topics: list[str], **settings: Any) -> None:
    """Says every message and every lost host."""
    with Spot(cluster=[endpoint], subscribe=topics, **settings) as node:
        while True:
            try:
                message = node.recv()
            except HostUnreachable as error:
                say("lost", node=error.node, reason=error.reason)
                continue
            assert message is not None
            say("message", topic=message.topic, data=message.data.decode(), missed=message.missed)


def publisher(topics: list[str], bind: str = "tcp://127.0.0.1:0", **settings: Any) -> None:
    """Hosts topics, and does what its standard input says. SIGTERM closes it in good order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Spot(bind=[bind], topics=topics, **settings) as node:
        say("bound", endpoint=node.endpoints[0])
        for line in sys.stdin:
            command, *words = line.split()
            if command == "publish":
                node.publish(words[0], words[1].encode())
            elif command == "burst":
                node.publish_many(words[0], [b"x"] * int(words[1]))
            say("done", line=line.strip())


def stream(
    topics: list[str],
    rate: float,
    bind: str = "tcp://127.0.0.1:0",
    count: int | None = None,
    size: int = 64,
    subscribers: int = 0,
    **settings: Any,
) -> None:
    """Publishes numbered messages: so many a second (0: as fast as it can), round robin."""
    with Spot(bind=[bind], topics=topics, **settings) as node:
        say("bound", endpoint=node.endpoints[0])
        for topic in topics:
            node.wait_for_subscribers(topic, subscribers)
        began = time.monotonic()
        at = 0
        while count is None or at < count:
            data = b"%d" % at
            node.publish(topics[at % len(topics)], data.ljust(size))
            at += 1
            ahead = began + at / rate - time.monotonic() if rate else 0.0
            if ahead > 0:
                time.sleep(ahead)
        node.flush(60)
        say("published", count=at, took=time.monotonic() - began)
        sys.stdin.read()


def absent(topics: list[str], how: str, for_s: float, peer: str, **settings: Any) -> None:
    """A node whose application is busy, or asleep, and never calls."""
    with Spot(bind=["tcp://127.0.0.1:0"], topics=topics, cluster=[peer], **settings) as node:
        node.cluster_sync()
        say("bound", endpoint=node.endpoints[0])
        until = time.monotonic() + for_s
        if how == "sleeps":
            time.sleep(for_s)
        else:
            total = 0
            while time.monotonic() < until:
                for number in range(1000):
                    total += number * number % 7
        counted = node.metrics()
        say("present", links_lost=counted.links_lost, dials=counted.dials)
        sys.stdin.read()


def silent(endpoint: str, topic: str, **settings: Any) -> None:
    """Subscribes, and receives only what it is told to: ``take SECONDS``."""
    with Spot(cluster=[endpoint], subscribe=[topic], **settings) as node:
        node.cluster_sync()
        say("subscribed")
        disordered = last = lost = 0
        for line in sys.stdin:
            wait_s = float(line.split()[1])
            received = missed = 0
            while True:
                try:
                    message = node.recv(wait_s)
                except HostUnreachable:
                    lost += 1
                    continue
                if message is None:
                    break
                received += 1
                missed += message.missed or 0
                disordered += message.seq != last + 1 + (message.missed or 0)
                last = message.seq
            counted = node.metrics()
            say(
                "took",
                received=received,
                missed=missed,
                disordered=disordered,
                last=last,
                lost=lost,
                missed_msgs=counted.missed_msgs,
                links_lost=counted.links_lost,
            )


def main() -> None:
    programs: dict[str, Callable[..., None]] = {
        "absent": absent,
        "publisher": publisher,
        "silent": silent,
        "stream": stream,
        "subscriber": subscriber,
    }
    programs[sys.argv[1]](**json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()

"""Raw pyzmq as a node of the testbed: how plain PUB/SUB behaves when links break.

    spot scenario run two-node-reconnect --program 'python examples/raw_pyzmq_node/node.py'

It does not use SPOT. It publishes and receives over XPUB and XSUB, and keeps the contract of
docs/journal.md, which is all that the testbed asks of a node. Under a cut it loses messages and
tells nobody. So its verdict is fail, with no-silent-gap among the reasons.

One connection serves both directions, as only one node of a pair dials. The node that was dialled
publishes down to subscribers. The node that has dialled sends its own messages up the same way.
"""

from __future__ import annotations

import fnmatch
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import zmq

HELLO = "hello"
HELLO_EVERY_S = 0.2
UNHEARD_AFTER_S = 1.0
FLUSH_EVERY_S = 0.1


class Journal:
    """The records of this node, as JSON lines."""

    def __init__(self, path: str) -> None:
        half_a_line = Path(path).is_file() and not Path(path).read_bytes().endswith(b"\n")
        written = Path(os.devnull if path == "none" else path)
        self._file = written.open("a", encoding="utf-8")
        self._flushed = 0.0
        if half_a_line:  # of an incarnation that was killed
            self._file.write("\n")

    def record(self, kind: str, at: float | None = None, **fields: object) -> None:
        at = time.monotonic() if at is None else at
        self._file.write(json.dumps({"kind": kind, "at": at, **fields}) + "\n")

    def flush(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._flushed >= FLUSH_EVERY_S:
            self._file.flush()
            self._flushed = time.monotonic()


class Node:
    """One thread. It publishes when it is time to, and otherwise receives messages."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.epoch = time.time_ns()
        self.name = os.environ["SPOT_NODE_ID"]
        self.topics = _words("SPOT_TOPICS")
        self.subscribed = _words("SPOT_SUBSCRIBE")
        self.rate = float(os.environ.get("SPOT_RATE") or 0)
        self.size = int(os.environ.get("SPOT_PAYLOAD_BYTES") or 64)
        self.journal = Journal(os.environ["SPOT_JOURNAL"])
        self.counter = 0
        self.publishes = 0
        self.received: Counter[tuple[str, str, int]] = Counter()
        self.heard: dict[str, float] = {}
        self.leaving = False

        context = zmq.Context()
        self.down = context.socket(zmq.XPUB)  # to those who dialled us
        self.up = context.socket(zmq.XSUB)  # to and from those whom we dial
        for endpoint in _words("SPOT_BIND"):
            self.down.bind(endpoint)
        for endpoint in _words("SPOT_CLUSTER"):
            self.up.connect(endpoint)
        for topic in [HELLO, *self.subscribed]:
            # PUB/SUB matches by prefix: of a pattern, what stands before its first star.
            self.up.send(b"\x01" + topic.partition("*")[0].encode())
        self.control = socket.socket(socket.AF_UNIX)
        Path(os.environ["SPOT_CONTROL"]).unlink(missing_ok=True)
        self.control.bind(os.environ["SPOT_CONTROL"])
        self.control.listen()
        self.poller = zmq.Poller()
        for source in (self.down, self.up, self.control):
            self.poller.register(source, zmq.POLLIN)

    def run(self) -> None:
        self.journal.record(
            "start", version=1, node=self.name, pid=os.getpid(), wall=time.time(),
            endpoints=_words("SPOT_BIND"), rate=self.rate, payload_bytes=self.size, config={},
        )  # fmt: skip
        hello_due = publish_due = time.monotonic()
        while not self.leaving:
            now = time.monotonic()
            if now >= hello_due:
                self.send(HELLO, b"")
                hello_due = now + HELLO_EVERY_S
            if self.rate and now >= publish_due:
                self.publish()
                publish_due = max(publish_due + 1 / self.rate, now - 1)
            due = min(hello_due, publish_due) if self.rate else hello_due
            for source, _ in self.poller.poll(int(max(due - time.monotonic(), 0) * 1000)):
                if source is self.down or source is self.up:
                    self.take(source)
                else:
                    self.answer()
            self.journal.flush()
        self.journal.record("stop", reason="SIGTERM", metrics=self.metrics())
        self.journal.record("closed")
        self.journal.flush(now=True)
        Path(os.environ["SPOT_CONTROL"]).unlink(missing_ok=True)

    def publish(self) -> None:
        self.counter += 1
        data = f"{self.counter} ".encode().ljust(self.size, b".")
        for topic in self.topics:
            self.journal.record("publish", topic=topic, counter=self.counter)
            self.publishes += 1
            self.send(topic, data)
            self.receive(topic, self.name, self.epoch, data)  # its own, if it listens to it

    def send(self, topic: str, data: bytes) -> None:
        frame = b"\0".join([topic.encode(), self.name.encode(), b"%d" % self.epoch, data])
        for way in (self.down, self.up):
            way.send(frame)  # without a peer, or with a full queue, it is dropped

    def take(self, way: zmq.Socket[bytes]) -> None:
        while way.poll(0):
            frame = way.recv()
            if frame[:1] in (b"\0", b"\1"):  # a peer's (un)subscription
                continue
            topic, sender, epoch, data = frame.split(b"\0", 3)
            self.heard[sender.decode()] = time.monotonic()
            self.receive(topic.decode(), sender.decode(), int(epoch), data)

    def receive(self, topic: str, sender: str, epoch: int, data: bytes) -> None:
        if not any(fnmatch.fnmatchcase(topic, pattern) for pattern in self.subscribed):
            return
        stream = (topic, sender, epoch)
        self.received[stream] += 1
        self.journal.record(
            "recv", topic=topic, node=sender, epoch=epoch, counter=int(data.split(b" ")[0]),
            # PUB/SUB has no sequence numbers, so it never says that earlier messages were lost.
            seq=self.received[stream], missed=0,
        )  # fmt: skip

    def answer(self) -> None:
        client, _ = self.control.accept()
        with client:
            client.settimeout(0.5)
            try:
                line = client.makefile("rb").readline()
                asked = json.loads(line) if line.strip() else {"do": "status"}
                client.sendall(json.dumps(self.told(asked["do"])).encode() + b"\n")
            except (OSError, ValueError, KeyError, TypeError) as error:
                print(f"control socket: {error!r}", file=sys.stderr)

    def told(self, do: str) -> dict[str, Any]:
        if do == "status":
            return self.status()
        if do == "quiet":
            self.rate = 0
            return {"ok": True}
        return {"error": f"raw pyzmq can't {do}"}

    def status(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "version": 1,
            "node": self.name,
            "pid": os.getpid(),
            "at": now,
            "uptime": now - self.began,
            "endpoints": _words("SPOT_BIND"),
            "synced": True,  # there is nothing to synchronise
            "failure": None,
            "last_error": None,
            # PUB/SUB doesn't know its peers; the testbed must know when they are linked, and how.
            "peers": [
                *(_peer(None, endpoint, "dialled") for endpoint in _words("SPOT_CLUSTER")),
                *(
                    _peer(name, name, "up" if now - at < UNHEARD_AFTER_S else "unheard")
                    for name, at in self.heard.items()
                ),
            ],
            "metrics": self.metrics(),
            "topics": {"local": self.topics, "remote": []},
        }

    def metrics(self) -> dict[str, int]:
        return {
            "publishes": self.publishes,
            "recv_msgs": self.received.total(),
            "missed_msgs": 0,
        }


def _peer(node: str | None, endpoint: str, state: str) -> dict[str, Any]:
    return {"node": node, "endpoint": endpoint, "state": state, "rtt": None}


def _words(variable: str) -> list[str]:
    return [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]


def main() -> None:
    node = Node()

    def leave(*_: object) -> None:
        node.leaving = True

    signal.signal(signal.SIGTERM, leave)
    node.run()


if __name__ == "__main__":
    main()

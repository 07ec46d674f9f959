"""garbage: unauthenticated connections send bytes that are not SPOT's to a node's port."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urlsplit

from spot.testbed.errors import BadFault
from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_nodes import OneNode, require_running, runs_again
from spot.testbed.faults.wording import options_text

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Garbage"]

OPEN_MAX = 50
"""How many connections stay open. The oldest is closed when one more is made."""
RATE_MAX = 1000.0
CONNECT_TIMEOUT_S = 1.0
PROOF_TIMEOUT_S = 5.0
POLL_S = 0.02

_ZMTP = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\x00" + bytes(31)


@dataclass(frozen=True)
class Garbage(OneNode):
    """Web requests, random bytes, half a greeting of ZeroMQ, a whole one with a huge length behind
    it, and connections that say nothing. ``rate``: connections a second.
    """

    rate: float = 20.0

    name: ClassVar[str] = "garbage"
    usage: ClassVar[str] = "garbage A [rate=CONNECTIONS]"
    summary: ClassVar[str] = "unauthenticated connections send the node garbage (20 a second)"
    proof: ClassVar[str] = "connections of each kind were accepted, and the node has refused some"
    watch: ClassVar[str] = "nothing but the count of refused connections: its links hold"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes a node, and perhaps ``rate=``."""
        return cls(words.node(), words.number("rate", 20.0, least=1, most=RATE_MAX))

    @property
    def target(self) -> str:
        """The node and the rate."""
        return f"{self.node} {options_text({'rate': self.rate})}"

    def check(self, topology: Topology) -> None:
        """Raises BadFault also for a node without a port."""
        super().check(topology)
        if not topology.node(self.node).binds:
            raise BadFault(f"'{self}': {self.node} only dials, so it has no port")

    def effect(self, topology: Topology) -> Effect:
        """No effect, as SPOT must refuse these connections."""
        return Effect()

    def action(self, cluster: Cluster) -> Action:
        """Starts a thread that connects to the node's port."""
        return _GarbageSender(cluster, self)

    def is_kept(self, backend: str) -> bool:
        """True: a thread of this process does it."""
        return True


def _kinds(drawn: random.Random) -> tuple[bytes, ...]:
    """What a connection of each kind sends."""
    return (
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        drawn.randbytes(200),
        _ZMTP[:20],
        _ZMTP + b"\x02" + (1 << 60).to_bytes(8, "big"),
        b"",
    )


class _GarbageSender(Action):
    def __init__(self, cluster: Cluster, fault: Garbage) -> None:
        self._cluster = cluster
        self._fault = fault
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send_garbage, name="garbage", daemon=True)
        self._accepted = 0
        self._trouble = "no connection was made yet"

    def prepare(self) -> Proofs:
        """Finds the node's address, and how many connections it has refused so far."""
        require_running(self._cluster, self._fault.node, self._fault)
        where = urlsplit(self._cluster.addresses[self._fault.node])
        assert where.hostname is not None
        assert where.port is not None
        self._address = (where.hostname, where.port)
        self._refused_before = self._refused()
        return ()

    def apply(self) -> None:
        self._thread.start()

    def prove(self) -> Proofs:
        """Waits until each kind has connected, and the node has refused one."""
        count = len(_kinds(random.Random(0)))  # noqa: S311
        deadline = time.monotonic() + PROOF_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._accepted >= count and self._refused() > self._refused_before:
                break
            time.sleep(POLL_S)
        node = self._fault.node
        refused = self._refused() - self._refused_before
        seen = f"{self._accepted} were" if self._accepted else self._trouble
        return (
            Proof(f"{node} accepts {count} connections or more", self._accepted >= count, seen),
            Proof(f"{node} refuses connections", refused > 0, f"it counts {refused}"),
        )

    def undo(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def prove_undone(self) -> Proofs:
        return (runs_again(self._cluster, self._fault.node),)

    def _refused(self) -> int:
        document = self._cluster.node_status(self._fault.node).document
        return int(document["metrics"].get("refused", 0)) if document else 0

    def _send_garbage(self) -> None:
        drawn = random.Random(0)  # noqa: S311  the same garbage in every run
        stay: deque[socket.socket] = deque()
        while not self._over.is_set():
            for what in _kinds(drawn):
                if self._over.wait(1 / self._fault.rate):
                    break
                if len(stay) >= OPEN_MAX:
                    stay.popleft().close()
                try:
                    one = socket.create_connection(self._address, CONNECT_TIMEOUT_S)
                except OSError as error:
                    self._trouble = str(error)
                    continue
                stay.append(one)
                self._accepted += 1
                with contextlib.suppress(OSError):  # the node closed it meanwhile
                    one.sendall(what)
        for one in stay:
            one.close()

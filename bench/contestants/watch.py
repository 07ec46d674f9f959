"""Watches a node while it works: memory, heartbeats, and whether its links answer."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from bench.memory import anonymous_bytes, private_bytes
from bench.row import Figures
from spot import Spot, SpotError

__all__ = ["Watch"]

INTERVAL = 0.1
ANSWER_PATIENCE = 2.0


class Watch:
    """Looks every 0.1 s from its own thread. A context manager."""

    def __init__(self, node: Spot) -> None:
        self._node = node
        self._before = private_bytes()
        self._lost_before = node.metrics().links_lost
        self._peak = 0
        self._rtt = 0.0
        self._answer = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def figures(self) -> Figures:
        """Growth of memory at its peak; the longest round trip of a heartbeat, and of an
        ``is_healthy`` call, over any link; links lost."""
        return {
            "memory_bytes": self._peak,
            "rtt_s": self._rtt,
            "answer_s": self._answer,
            "links_lost": self._node.metrics().links_lost - self._lost_before,
        }

    def _look(self) -> None:
        while not self._over.wait(INTERVAL):
            self._peak = max(self._peak, anonymous_bytes() - self._before)
            for peer in self._node.peers():
                if peer.state == "up" and peer.node is not None:
                    self._rtt = max(self._rtt, peer.rtt or 0.0)
                    self._ask(peer.node)

    def _ask(self, node: str) -> None:
        began = time.perf_counter()
        try:
            healthy = self._node.is_healthy(node, ANSWER_PATIENCE)
        except SpotError:
            return  # it left meanwhile
        if healthy:
            self._answer = max(self._answer, time.perf_counter() - began)

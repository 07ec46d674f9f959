"""A thread that receives all the time, and notes what it got and was told, and when."""

from __future__ import annotations

import threading
import time
from collections import deque

from spot import HostUnreachable, Spot
from tests.library.waiting import wait_until

WATCH_S = 20.0
TIMES_KEPT = 50_000


class Watch:
    """What one node received: a count, when, and how many were missed. Times are monotonic.

    The messages are not kept: a million of them would stop the process for a second whenever
    the garbage collector looks through them, and its peers would be right to call it lost.
    """

    def __init__(self, node: Spot) -> None:
        self.node = node
        self.count = 0
        self.missed = 0
        self.times: deque[float] = deque(maxlen=TIMES_KEPT)
        self.told: list[tuple[float, HostUnreachable]] = []
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        messages = iter(self.node)
        while True:
            try:
                message = next(messages)
            except StopIteration:
                return
            except HostUnreachable as error:
                self.told.append((time.monotonic(), error))
            else:
                self.times.append(time.monotonic())
                self.missed += message.missed or 0
                self.count += 1

    def wait_for_more(self, count: int) -> None:
        """Until so many messages more have come."""
        wanted = self.count + count
        wait_until(lambda: self.count >= wanted, WATCH_S, what=f"{count} messages")

    def wait_for_message(self, at: float) -> float:
        """When the first message after a moment came."""
        wait_until(lambda: self.times and self.times[-1] > at, WATCH_S, what="a message")
        return next(when for when in self.times.copy() if when > at)

    def wait_for_told(self, count: int) -> float:
        """When the loss number ``count`` (from 1) was told."""
        wait_until(lambda: len(self.told) >= count, WATCH_S, what="HostUnreachable")
        return self.told[count - 1][0]

    def join(self) -> None:
        """After the node was closed."""
        self._thread.join(5)
        assert not self._thread.is_alive(), "iteration goes on after close"

"""The waits between dials: they double, have jitter, and never end.

Each wait is drawn from [0.5, 1] of its step, as in "equal jitter" (Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015). The steps double from ``first`` to ``most``.
"""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """``draw()`` gives the next wait in seconds. ``restart()`` goes back to the first step."""

    __slots__ = ("_first", "_most", "_random", "step")

    def __init__(self, first: float, most: float, random: Callable[[], float]) -> None:
        self._first = first
        self._most = most
        self._random = random
        self.step = first

    def draw(self) -> float:
        wait = self.step * (0.5 + 0.5 * self._random())
        self.step = min(self.step * 2, self._most)
        return wait

    def restart(self) -> None:
        self.step = self._first

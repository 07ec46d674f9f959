"""A node that hands out one message in twenty twice."""

from __future__ import annotations

from spot import Message, Spot
from tests.faulty.programs.faulty import EVERY, play


class Repeats(Spot):
    taken = 0
    last: Message | None = None

    def recv(self, timeout: float | None = None) -> Message | None:
        self.taken += 1
        if self.taken % EVERY or self.last is None:
            self.last = super().recv(timeout)
        return self.last


if __name__ == "__main__":
    play(Repeats)

"""A node that loses one message in twenty and tells nobody."""

from __future__ import annotations

from spot import Message, Spot
from tests.faulty.programs.faulty import EVERY, play


class Loses(Spot):
    taken = 0

    def recv(self, timeout: float | None = None) -> Message | None:
        self.taken += 1
        if self.taken % EVERY == 0:
            super().recv(timeout)
        return super().recv(timeout)


if __name__ == "__main__":
    play(Loses)

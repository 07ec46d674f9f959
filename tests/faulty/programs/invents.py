"""A node that hands out a message which nobody has published."""

from __future__ import annotations

from spot import Message, Spot
from tests.faulty.programs.faulty import EVERY, play


class Invents(Spot):
    taken = 0
    last: Message | None = None

    def recv(self, timeout: float | None = None) -> Message | None:
        self.taken += 1
        if self.taken % EVERY == 0 and self.last is not None:
            return self.last._replace(seq=self.last.seq + 1_000_000, data=b"1000000 .")
        self.last = super().recv(timeout)
        return self.last


if __name__ == "__main__":
    play(Invents)

"""A node that hands out two messages in twenty the wrong way round."""

from __future__ import annotations

from spot import Message, Spot
from tests.faulty.programs.faulty import EVERY, play


class Reorders(Spot):
    taken = 0
    held: Message | None = None

    def recv(self, timeout: float | None = None) -> Message | None:
        if self.held is not None:
            held, self.held = self.held, None
            return held
        self.taken += 1
        message = super().recv(timeout)
        if self.taken % EVERY == 0:
            self.held = message
            return super().recv(timeout)
        return message


if __name__ == "__main__":
    play(Reorders)

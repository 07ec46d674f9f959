"""A node that says of every gap that nothing was missed: raw PUB and SUB do no better."""

from __future__ import annotations

from spot import Message, Spot
from tests.faulty.programs.faulty import play


class Miscounts(Spot):
    def recv(self, timeout: float | None = None) -> Message | None:
        message = super().recv(timeout)
        return message and message._replace(missed=0)


if __name__ == "__main__":
    play(Miscounts)

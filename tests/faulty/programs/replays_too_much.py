"""A node that hands out again, after an outage, the last messages of before it."""

from __future__ import annotations

from collections import deque

from spot import Config, HostUnreachable, Message, Spot
from tests.faulty.programs.faulty import play


class ReplaysTooMuch(Spot):
    def __init__(self, config: Config) -> None:
        self.last: deque[Message] = deque(maxlen=5)
        self.again: tuple[Message, ...] = ()
        super().__init__(config)

    def recv(self, timeout: float | None = None) -> Message | None:
        if self.again:
            message, *rest = self.again
            self.again = tuple(rest)
            return message
        try:
            found = super().recv(timeout)
        except HostUnreachable:
            self.again = tuple(self.last)
            raise
        if found is not None:
            self.last.append(found)
        return found


if __name__ == "__main__":
    play(ReplaysTooMuch)

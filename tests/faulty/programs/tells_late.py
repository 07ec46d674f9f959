"""A node that tells of a lost host a second after it has noticed."""

from __future__ import annotations

import time

from spot import HostUnreachable, Message, Spot
from tests.faulty.programs.faulty import play

LATE_S = 1.0


class TellsLate(Spot):
    def recv(self, timeout: float | None = None) -> Message | None:
        try:
            return super().recv(timeout)
        except HostUnreachable:
            time.sleep(LATE_S)
            raise


if __name__ == "__main__":
    play(TellsLate)

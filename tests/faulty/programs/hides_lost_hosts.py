"""A node that never tells its application that a host was lost."""

from __future__ import annotations

from spot import HostUnreachable, Message, Spot
from tests.faulty.programs.faulty import play


class HidesLostHosts(Spot):
    def recv(self, timeout: float | None = None) -> Message | None:
        while True:
            try:
                return super().recv(timeout)
            except HostUnreachable:
                continue


if __name__ == "__main__":
    play(HidesLostHosts)

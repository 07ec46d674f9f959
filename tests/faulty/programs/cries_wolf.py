"""A node that calls a host lost, once, of which it has just heard."""

from __future__ import annotations

from spot import HostUnreachable, Message, Spot
from tests.faulty.programs.faulty import EVERY, play


class CriesWolf(Spot):
    taken = 0
    last: Message | None = None

    def recv(self, timeout: float | None = None) -> Message | None:
        self.taken += 1
        if self.taken == EVERY and self.last is not None:
            host, topics = self.last.node, (self.last.topic,)
            raise HostUnreachable(
                f"node {host} was lost", node=host, topics=topics, reason="silent"
            )
        self.last = super().recv(timeout)
        return self.last


if __name__ == "__main__":
    play(CriesWolf)

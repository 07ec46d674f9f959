"""A node that refuses to publish to its own topics while it misses a peer."""

from __future__ import annotations

from typing import Any

from spot import HostUnreachable, Spot
from tests.faulty.programs.faulty import play


class StopsAlone(Spot):
    def publish(self, topic: str, data: bytes | bytearray | memoryview, **given: Any) -> None:
        if any(peer.state != "up" for peer in self.peers()):
            raise HostUnreachable("not all peers are there")
        super().publish(topic, data, **given)


if __name__ == "__main__":
    play(StopsAlone)

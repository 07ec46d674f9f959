"""What this node publishes to one incarnation of a host, until the host has dealt with it.

A publisher numbers what it publishes to one incarnation of a host, over all topics, and keeps it
until the host says that it has dealt with it. On a new path to the same incarnation it sends the
rest again, in order. The host drops what it has dealt with before. An outbox goes on where it was
if its incarnation seemed to be over and is not.
"""

from __future__ import annotations

from collections import deque

from spot.core.topics.announced import Path
from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk
from spot.core.wire.greeting import Incarnation


class Outbox:
    """The messages for one incarnation of a host that it has not dealt with.

    All of them are, or will be, on their way over the ``carrier``; None while there is no path.
    Of the messages up to number ``doubted``, the application was told that nobody knows what
    became of them. ``unknown`` counts messages that the application was told to be unknown or
    refused.
    """

    __slots__ = (
        "carrier",
        "doubted",
        "incarnation",
        "kept",
        "published",
        "settled",
        "unknown",
    )

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.published = 0
        self.settled = 0
        self.doubted = 0
        self.unknown = 0
        # With the names of their topics, whose numbers differ by the path.
        self.kept: deque[tuple[Chunk, str]] = deque()
        self.carrier: Path | None = None

    @property
    def unsettled(self) -> int:
        """How many messages the host may or may not have ordered, and nobody was told so."""
        return self.published - max(self.settled, self.doubted)

    def keep(self, chunk: Chunk, name: str) -> None:
        self.published += chunk.count
        self.kept.append((chunk, name))

    def doubt(self) -> int:
        """Nobody can know what became of what is not settled. Returns how much of that is new."""
        count = self.unsettled
        self.doubted = self.published
        self.unknown += count
        return count

    def clear(self) -> None:
        """Keeps only the numbers of what is not settled: for no topic, so that it is refused."""
        if not self.kept or not self.kept[-1][1]:
            return
        self.kept.clear()
        for first in range(self.settled + 1, self.published + 1, CHUNK_MSGS):
            count = min(CHUNK_MSGS, self.published + 1 - first)
            self.kept.append((batches.encoded(codec.PUBLISH, 0, first, [b""] * count), ""))

    def refuse(self, count: int) -> int:
        """The host has refused so many in all. Returns how many of them nobody was told of."""
        found = max(0, count - self.unknown)
        self.unknown += found
        return found

    def settle(self, number: int) -> None:
        """The host has dealt with all up to this number."""
        self.settled = max(self.settled, number)
        kept = self.kept
        while kept and kept[0][0].last <= self.settled:
            kept.popleft()

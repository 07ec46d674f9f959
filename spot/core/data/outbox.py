"""The messages that this node publishes to one incarnation of a host, until the host has dealt with
them.

A publisher numbers its messages to one incarnation of a host, over all topics. It keeps each
message until the host says that it has dealt with it. On a new path to the same incarnation the
publisher sends the rest again, in order. The host drops messages that it has dealt with before. If
the incarnation seemed to be over and is not, its outbox goes on where it was.
"""

from __future__ import annotations

from collections import deque

from spot.core.topics.announced import Path
from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk
from spot.core.wire.greeting import Incarnation


class Outbox:
    """The messages for one incarnation of a host that the host has not dealt with.

    All of them are, or will be, sent over the ``carrier``. It is None while there is no path. Of
    the messages up to number ``doubted``, the application was told that their outcome is unknown.
    ``unknown`` counts messages that the application was told to be unknown or refused.
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
        # With the names of their topics, as a topic's number differs from path to path.
        self.kept: deque[tuple[Chunk, str]] = deque()
        self.carrier: Path | None = None

    @property
    def unsettled(self) -> int:
        """How many messages are unsettled and were not reported to the application as unknown."""
        return self.published - max(self.settled, self.doubted)

    def keep(self, chunk: Chunk, name: str) -> None:
        self.published += chunk.count
        self.kept.append((chunk, name))

    def doubt(self) -> int:
        """The outcome of unsettled messages is unknown. Returns how many of them are newly so."""
        count = self.unsettled
        self.doubted = self.published
        self.unknown += count
        return count

    def clear(self) -> None:
        """Keeps only the numbers of unsettled messages, without topics: the host refuses those."""
        if not self.kept or not self.kept[-1][1]:
            return
        self.kept.clear()
        for first in range(self.settled + 1, self.published + 1, CHUNK_MSGS):
            count = min(CHUNK_MSGS, self.published + 1 - first)
            self.kept.append((batches.encoded(codec.PUBLISH, 0, first, [b""] * count), ""))

    def refuse(self, count: int) -> int:
        """The host has refused this many in all. Returns how many are news to the application."""
        found = max(0, count - self.unknown)
        self.unknown += found
        return found

    def settle(self, number: int) -> None:
        """The host has dealt with all messages up to this number."""
        self.settled = max(self.settled, number)
        kept = self.kept
        while kept and kept[0][0].last <= self.settled:
            kept.popleft()

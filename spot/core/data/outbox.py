"""Publishing to topics of other nodes: numbered by the publisher, so that each is ordered once.

A publisher numbers what it publishes to one life of a host, over all topics, and keeps it until
that says that it has dealt with it. On a new way to the same life it sends that again, in order;
the host drops what it has dealt with before. Both ends count by the pair of lives, and go on where
they were if one seemed to be over and is not: who says so may be late, and numbers that began anew
would be taken for those that were dealt with.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk
from spot.core.wire.greeting import Incarnation

if TYPE_CHECKING:
    from spot.core.topics.registry import Way

PUBLISHERS_MAX = 4096
"""Publishers that a host remembers, each life for itself. One that is forgotten, of those that are
not linked, may have what it sends again ordered twice."""
LIVES_MAX = 4
"""Lives of a host that a publisher remembers, beside those to which there is a way."""


class Outbox:
    """What this node publishes to one life of a host, as far as that has not dealt with it.

    All of it is, or will be, on its way over the ``carrier``; None while there is no way. Of what
    is ``doubted``, up to a number, it was told that nobody knows what became of it; ``unknown``
    is how much was told to be, that or refused.
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
        # With the names of their topics, whose numbers differ by the way.
        self.kept: deque[tuple[Chunk, str]] = deque()
        self.carrier: Way | None = None

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


class Publisher:
    """How far a host has dealt with what one life of a node published to its topics.

    ``refused`` of them came when their topic had ended.
    """

    __slots__ = ("incarnation", "node", "refused", "settled")

    def __init__(self, node: str, incarnation: Incarnation) -> None:
        self.node = node
        self.incarnation = incarnation
        self.settled = 0
        self.refused = 0


class Publishers:
    """The newest publishers by node id and life."""

    def __init__(self) -> None:
        self._by_life: OrderedDict[tuple[str, Incarnation], Publisher] = OrderedDict()

    def find(self, node: str, incarnation: Incarnation) -> Publisher:
        """What is known of a life of a node, from now on at the latest."""
        key = (node, incarnation)
        publisher = self._by_life.get(key)
        if publisher is None:
            publisher = self._by_life[key] = Publisher(node, incarnation)
        self._by_life.move_to_end(key)
        if len(self._by_life) > PUBLISHERS_MAX:
            self._by_life.popitem(last=False)
        return publisher

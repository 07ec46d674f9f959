"""Publishing to topics of other nodes: numbered by the publisher, so that each is ordered once.

A publisher numbers what it publishes to one host, over all topics, and keeps it until the host says
that it has dealt with it. On a new link to the same life of the host it sends that again, in order;
the host drops what it has dealt with before.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from spot.core.batches import Chunk
from spot.core.greeting import Incarnation
from spot.core.link import Link

if TYPE_CHECKING:
    from spot.core.registry import Way

PUBLISHERS_MAX = 4096
"""Publishers that a host remembers. One that is forgotten, of those that are not linked, may have
what it sends again ordered twice."""


class Outbox:
    """What this node publishes to one life of a host, as far as that has not dealt with it.

    All of it is, or will be, on its way over the ``carrier``; None while there is no way.
    """

    __slots__ = ("carrier", "incarnation", "kept", "published", "refused", "settled")

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.published = 0
        self.settled = 0
        self.refused = 0
        # With the names of their topics, whose numbers differ by the way.
        self.kept: deque[tuple[Chunk, str]] = deque()
        self.carrier: Way | None = None

    @property
    def unsettled(self) -> int:
        """How many messages the host may or may not have ordered."""
        return self.published - self.settled

    def keep(self, chunk: Chunk, name: str) -> None:
        self.published += chunk.count
        self.kept.append((chunk, name))

    def settle(self, number: int) -> None:
        """The host has dealt with all up to this number."""
        self.settled = max(self.settled, number)
        kept = self.kept
        while kept and kept[0][0].last <= self.settled:
            kept.popleft()


class Publisher:
    """How far a host has dealt with what one life of a node published to its topics.

    ``refused`` of them came when their topic had ended. ``told`` is what the publisher knows of it,
    ``back`` where it is told if it publishes through a relay.
    """

    __slots__ = ("back", "incarnation", "refused", "settled", "told")

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.settled = 0
        self.refused = 0
        self.told = 0
        self.back: Link | None = None


class Publishers:
    """The newest publishers by node id."""

    def __init__(self) -> None:
        self._by_node: OrderedDict[str, Publisher] = OrderedDict()

    def find(
        self, node: str, incarnation: Incarnation, *, newest: bool = False
    ) -> Publisher | None:
        """What is known of a life of a node, from now on at the latest; None of an earlier life
        than is known, unless it is certainly the ``newest``.
        """
        publisher = self._by_node.get(node)
        if publisher is None or publisher.incarnation != incarnation:
            if publisher is not None and not newest and incarnation < publisher.incarnation:
                return None
            publisher = self._by_node[node] = Publisher(incarnation)
        self._by_node.move_to_end(node)
        if len(self._by_node) > PUBLISHERS_MAX:
            self._by_node.popitem(last=False)
        return publisher

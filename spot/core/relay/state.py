"""The state of a relay: the topics that it passes on, and the paths that it offers."""

from __future__ import annotations

from spot.core.topics.announced import Path, RemoteTopic
from spot.core.topics.hosted_topic import HostedTopic, Subscriber
from spot.core.wire.batches import Chunk

Wish = tuple[int, int]
"""Epoch and sequence from which a topic is wanted, as FOLLOW says it."""


class RelayedTopic:
    """A topic of another node that this node passes on, under a number of its own.

    ``stream`` is sent to the peers that follow the topic here. While a peer wants it, this node
    follows ``source``. Once the stream ``is_begun``, its head is the newest sequence that came.
    Until then the peers that want it wait in ``pending``, each with a wish.

    Messages that the replay buffer does not hold are fetched from the source, a piece at a time
    (``is_fetching``), and kept in ``again``. ``gone`` are ranges, first and last, of messages that
    no node holds any more, or that can't be sent here, and that a peer still lacks. ``asking`` has
    the relays behind this node that fetch from it. Batches that come before the answer to the
    source's FOLLOW number ``asked`` belong to an earlier FOLLOW; ``asked`` is 0 when the answer has
    come. ``final`` is the last sequence, once the host has left.
    """

    __slots__ = (
        "again",
        "asked",
        "asking",
        "final",
        "gone",
        "is_begun",
        "is_fetching",
        "node",
        "pending",
        "source",
        "stream",
    )

    def __init__(self, topic_id: int, source: RemoteTopic) -> None:
        self.stream = HostedTopic(topic_id, source.name, source.epoch, source.standby)
        self.node = source.node
        self.source = source
        self.is_begun = False
        self.is_fetching = False
        self.asked = 0
        self.pending: dict[Subscriber, Wish] = {}
        self.again: list[Chunk] = []
        self.asking: dict[Subscriber, tuple[int, int]] = {}
        self.gone: list[tuple[int, int]] = []
        self.final: int | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether any peer wants it."""
        return bool(self.pending or self.stream.subscribers or self.asking)

    def forget(self) -> None:
        """No peer wants it any more."""
        self.is_begun = self.is_fetching = False
        self.again.clear()
        self.stream.head = 0
        self.gone.clear()

    def held_again(self, at: int) -> Chunk | None:
        """The fetched batch with a sequence."""
        return next((chunk for chunk in self.again if chunk.first <= at <= chunk.last), None)

    def gone_from(self, at: int) -> int:
        """No node holds the messages from a sequence on up to the result. 0 if none is known to be
        gone."""
        return next((last for first, last in self.gone if first <= at <= last), 0)

    def note_gone(self, first: int, last: int) -> None:
        """No node holds these messages. Ranges that no peer asks for any more are forgotten."""
        wanted = [each.cursors[self.stream] for each in self.stream.catching_up]
        wanted += [asked for asked, _ in self.asking.values()]
        oldest = min(wanted, default=last + 1)
        self.gone = [gone for gone in (*self.gone, (first, last)) if gone[1] >= oldest]


class RelayState:
    """The relayed topics by name and host, and by number. ``best`` has the path that is offered for
    each node. All are empty on a node that is no relay.

    ``ended`` are numbers of topics that their hosts have ended. Publishes to them are refused
    there.
    """

    __slots__ = ("best", "by_id", "ended", "topics")

    def __init__(self) -> None:
        self.topics: dict[tuple[str, str], RelayedTopic] = {}
        self.by_id: dict[int, RelayedTopic] = {}
        self.best: dict[str, Path] = {}
        self.ended: dict[int, None] = {}

    def of(self, source: RemoteTopic) -> RelayedTopic | None:
        """The relayed topic that has this source."""
        topic = self.topics.get((source.name, source.node))
        return topic if topic is not None and topic.source is source else None

    def taking(self, source: RemoteTopic) -> RelayedTopic | None:
        """The relayed topic that takes its messages from this source now."""
        return self.of(source) if source.is_followed else None

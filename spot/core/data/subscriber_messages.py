"""Which messages a subscriber gets: what peers subscribe to here, and where their streams begin.

A peer gets a topic that this node hosts if a subscription of the peer matches the topic's name
(interest.py), or if it asked for the topic by its number. It is *fed* from a position on: live
(hosting.py), or from the replay buffer while it catches up (replay.py).

This node's own subscriptions get its own topics by local_subscriptions.py, and the topics of other
nodes by receive.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from spot.core.context import NodeContext
from spot.core.data.replay import Replay
from spot.core.topics.hosted_topic import HostedTopic, Subscriber
from spot.core.topics.registry import Registry
from spot.core.wire import codec
from spot.core.wire.batches import CHUNK_MSGS
from spot.core.wire.interests import PATTERN, POSITION, InterestEntry

HEADS_MAX = 2048
"""Heads in one record. The limit keeps a peer with many topics from a long turn for one record."""


class SubscriberFeeds:
    """Begins and ends the streams that peers ask for."""

    def __init__(self, context: NodeContext, registry: Registry, replay: Replay) -> None:
        self._context = context
        self._registry = registry
        self._replay = replay

    # INTEREST

    def on_interest(self, subscriber: Subscriber, entries: list[InterestEntry]) -> None:
        """A peer subscribes, or tells a position."""
        registry = self._registry
        subscriber.requests += 1
        found: list[tuple[HostedTopic, int, int]] = []
        patterns: dict[str, int] = {}
        for kind, epoch, last, name in entries:
            topic = registry.local.get(name)
            if kind == POSITION:
                if topic is not None:
                    self._on_position(subscriber, topic, epoch, last)
            elif subscriber.interest.add(name, pattern=kind == PATTERN):
                if kind == PATTERN:
                    patterns[name] = last
                elif topic is not None:
                    found.append((topic, epoch, last))
        for topic, matching in registry.matched(patterns):
            last = max(patterns[text] for text in matching)
            found.append((topic, *subscriber.positions.pop(topic, (0, last))))
        for topic, epoch, last in found:
            if topic in subscriber.follows:
                start = self.feed_again(subscriber, topic, epoch, last)
                self._replay.tell_place(subscriber, topic, start)
            elif topic not in subscriber.feeds:
                start = self.begin(subscriber, topic, epoch, last)
                if topic in subscriber.behind:
                    self._replay.tell_head(subscriber, topic, start)
                    self._replay.tell_place(subscriber, topic, start)
                else:
                    # A link without credit must not put off that the subscription is in force.
                    head = codec.encode_head(topic.topic_id, start, subscriber.requests)
                    self._control(subscriber, head)
        self._context.effects.progress = True

    def on_interest_gone(self, subscriber: Subscriber, entries: list[InterestEntry]) -> None:
        """A peer ends subscriptions."""
        ended: dict[HostedTopic, None] = {}
        for entry in entries:
            pattern = entry.kind == PATTERN
            subscriber.interest.remove(entry.name, pattern=pattern)
            for topic in self._registry.matching(entry.name, pattern=pattern):
                if topic in subscriber.feeds and not self.is_wanted(subscriber, topic):
                    ended[topic] = None
        if ended:
            self.starve(subscriber, ended)

    def _control(self, subscriber: Subscriber, record: bytes) -> None:
        assert subscriber.link is not None
        self._context.effects.control(subscriber.link, record)

    # FOLLOW

    def follow(self, subscriber: Subscriber, topic: HostedTopic, epoch: int, last: int) -> None:
        """A peer asks for a LOCAL topic by its number."""
        if topic in subscriber.feeds:
            self.feed_again(subscriber, topic, epoch, last)
        else:
            start = self.begin(subscriber, topic, epoch, last)
            self._replay.tell_head(subscriber, topic, start)

    def unfollow(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        """A peer that asked for a topic by its number no longer wants it."""
        subscriber.follows.discard(topic)
        if topic in subscriber.feeds and not self.is_wanted(subscriber, topic):
            self.starve(subscriber, (topic,))

    # Streams

    @staticmethod
    def is_wanted(subscriber: Subscriber, topic: HostedTopic) -> bool:
        """Whether a peer wants a topic, by its number or by a subscription."""
        return topic in subscriber.follows or (
            topic.upstream is None and subscriber.interest.wants(topic.name)
        )

    def admit(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        """From now on the peer counts as a subscriber that gets the topic."""
        subscriber.feeds.add(topic)
        topic.subscribers.append(subscriber)
        topic.fit_chunks(CHUNK_MSGS)

    def begin(self, subscriber: Subscriber, topic: HostedTopic, epoch: int, last: int) -> int:
        """Feeds a topic from a position on. Returns the sequence before the first that will come.

        This host has told no peer a position beyond its newest message. So for such a position the
        feed is live. A position of another epoch says nothing about this one.
        """
        self.admit(subscriber, topic)
        head = topic.head
        if epoch == topic.epoch:
            first = min(last, head) + 1
        elif epoch:
            first = 1
        else:
            first = max(1, head + 1 - last)
        chunk = topic.buffer.find(first)
        start = head + 1 if chunk is None else max(first, chunk.first)
        if epoch:
            self._context.counters.dropped_msgs += start - first
        self.start(subscriber, topic, start)
        return start - 1

    def start(self, subscriber: Subscriber, topic: HostedTopic, first: int) -> None:
        """Begins the stream of a subscribed peer with a sequence: live, or from the buffer."""
        if first > topic.head:
            topic.live.append(subscriber)
        else:
            self._replay.fall_behind(subscriber, topic, first)
            assert subscriber.link is not None
            self._context.effects.touched[subscriber.link] = None

    def feed_again(self, subscriber: Subscriber, topic: HostedTopic, epoch: int, last: int) -> int:
        """Another node behind the peer wants a topic that this node already feeds to the peer.

        The stream goes on from that node's position at the latest. Returns the sequence before it.
        """
        at = subscriber.cursors.get(topic, topic.head + 1)
        first = at
        if epoch == topic.epoch:
            first = last + 1
        elif epoch:
            first = 1
        elif last:
            first = max(1, topic.head + 1 - last)
            chunk = topic.buffer.find(first)
            first = at if chunk is None else max(first, chunk.first)
        if first < at:
            self._rewind(subscriber, topic, first)
            at = first
        if subscriber not in topic.untold:
            self._replay.tell_head(subscriber, topic, at - 1)
        assert subscriber.link is not None
        self._context.effects.touched[subscriber.link] = None
        return at - 1

    def _rewind(self, subscriber: Subscriber, topic: HostedTopic, first: int) -> None:
        if subscriber in topic.live:
            topic.live.remove(subscriber)
        self._replay.fall_behind(subscriber, topic, first)

    def _on_position(
        self, subscriber: Subscriber, topic: HostedTopic, epoch: int, last: int
    ) -> None:
        """Notes the position that a peer has reached in a topic. A replay may follow from there."""
        if topic not in subscriber.feeds:
            subscriber.positions[topic] = (epoch, last)
        elif (
            epoch == topic.epoch
            and last < topic.head
            and subscriber in topic.live
            and not subscriber.flow.out
        ):
            self._rewind(subscriber, topic, last + 1)
            assert subscriber.link is not None
            self._context.effects.touched[subscriber.link] = None

    def starve(self, subscriber: Subscriber, topics: Iterable[HostedTopic]) -> None:
        """The peer no longer wants these topics."""
        if subscriber.flow.out:
            # Otherwise the HEAD of a new subscription would wait for credit behind it.
            subscriber.flow.drop({topic.topic_id for topic in topics})
            assert subscriber.link is not None
            self._context.effects.touched[subscriber.link] = None
            self._context.effects.progress = True
        for topic in topics:
            subscriber.feeds.discard(topic)
            subscriber.changed.discard(topic)
            subscriber.positions.pop(topic, None)
            self._leave(subscriber, topic)

    def _leave(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        topic.untold.discard(subscriber)
        topic.subscribers.remove(subscriber)
        if topic in subscriber.cursors:
            self._replay.stop(subscriber, topic)
        else:
            topic.live.remove(subscriber)
        topic.fit_chunks(CHUNK_MSGS)

    def end_all(self, subscriber: Subscriber) -> None:
        """The link of the peer has ended."""
        subscriber.aside_told = False
        for topic in subscriber.feeds:
            self._leave(subscriber, topic)
        subscriber.feeds.clear()
        subscriber.behind.clear()
        subscriber.changed.clear()
        subscriber.positions.clear()

    def changed_heads(self, subscriber: Subscriber) -> list[bytes]:
        """HEADS of the topics sent since heads were last told. None while something waits."""
        if not subscriber.changed or subscriber.flow.out:
            return []
        heads = [
            (topic.topic_id, topic.head)
            for topic in subscriber.changed
            if topic not in subscriber.cursors
        ]
        subscriber.changed.clear()
        step = HEADS_MAX
        return [codec.encode_heads(heads[at : at + step]) for at in range(0, len(heads), step)]

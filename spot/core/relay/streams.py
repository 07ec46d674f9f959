"""Passing streams on: messages from a source are sent to the peers that follow the topic here.

They go into a replay buffer of the relay. Their credit goes back at once, whatever the peers behind
the relay do. If a peer lacks messages that the buffer does not hold, the relay fetches them.
"""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.hosting import Hosting
from spot.core.data.replay import Replay
from spot.core.data.subscriber_messages import SubscriberFeeds
from spot.core.relay.fetch import Fetch, FetchUpstream
from spot.core.relay.following import Follow, first_wish
from spot.core.relay.state import RelayedTopic, RelayState
from spot.core.topics.announced import RemoteTopic
from spot.core.topics.hosted_topic import Subscriber
from spot.core.topics.registry import Registry
from spot.core.topics.replay_buffer import ReplayBuffer, ReplayBuffers
from spot.core.wire import batches, codec
from spot.core.wire.batches import Batch, Chunk


class RelayedStreams:
    """Gives the followers of a topic what its source sends."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        buffers: ReplayBuffers,
        relayed: RelayState,
        replay: Replay,
        hosting: Hosting,
        feeds: SubscriberFeeds,
        follow: Follow,
        fetch: Fetch,
    ) -> None:
        self._context = context
        self._registry = registry
        self._buffers = buffers
        self._relayed = relayed
        self._replay = replay
        self._hosting = hosting
        self._feeds = feeds
        self._follow = follow
        self._fetch = fetch

    # Topics

    def create(self, source: RemoteTopic) -> RelayedTopic:
        """From now on this node passes a topic on."""
        topic = RelayedTopic(self._registry.take_id(), source)
        stream = topic.stream
        stream.upstream = FetchUpstream(self._fetch, topic)
        limit = min(self._context.config.history_bytes, self._buffers.limit)
        stream.buffer = ReplayBuffer(limit, stream.topic_id, self._buffers)
        self._registry.sent[stream.topic_id] = stream
        self._relayed.topics[stream.name, topic.node] = topic
        self._relayed.by_id[stream.topic_id] = topic
        return topic

    def end(self, topic: RelayedTopic) -> None:
        """The topic is no longer passed on, and its followers know."""
        stream = topic.stream
        for subscriber in stream.subscribers:
            subscriber.feeds.discard(stream)
            subscriber.changed.discard(stream)
            subscriber.positions.pop(stream, None)
        for subscriber in list(stream.catching_up):
            self._replay.stop(subscriber, stream)
        stream.subscribers.clear()
        stream.live.clear()
        topic.pending.clear()
        topic.asking.clear()
        self._replay.forget(stream.buffer)
        del self._registry.sent[stream.topic_id]
        del self._relayed.topics[stream.name, topic.node]
        del self._relayed.by_id[stream.topic_id]

    def change_source(self, topic: RelayedTopic, source: RemoteTopic) -> None:
        """The topic comes on another path from now on."""
        before = topic.source
        topic.source = source
        topic.is_fetching = False
        if before.link is not None:
            self._follow.renew(before)
        self._follow.renew(source)

    def send_rest(self, topic: RelayedTopic) -> None:
        """The topic ends. Messages that are held here go out before the news."""
        for subscriber in list(topic.stream.catching_up):
            if not subscriber.aside:
                self._send_held(subscriber, topic)

    def _send_held(self, subscriber: Subscriber, topic: RelayedTopic) -> None:
        stream = topic.stream
        replay = self._replay
        while True:
            at = subscriber.cursors[stream]
            chunk = stream.buffer.find(at)
            if chunk is None or chunk.first > at or replay.room_of(subscriber) < chunk.count:
                return
            replay.tell_begin(subscriber, stream, at - 1)
            piece = chunk.part(at, replay.msgs_max(subscriber))
            replay.put(subscriber, stream, piece)
            subscriber.cursors[stream] = piece.last + 1

    # What comes

    def on_batch(self, source: RemoteTopic, batch: Batch) -> None:
        """A batch of a REMOTE topic that peers may follow here."""
        topic = self._relayed.taking(source)
        if topic is None or not topic.is_begun or topic.asked or not topic.is_wanted:
            return
        stream = topic.stream
        last = batch.first + batch.msgs - 1
        if last <= stream.head:
            return
        kind = codec.DATA if batch.large is None else codec.DATA_LARGE
        data = batches.record_of(batch, kind, stream.topic_id)
        chunk = Chunk(data, batch.msgs, batch.payload_bytes, batch.large, batch.first)
        if batch.first > stream.head + 1:
            self._skip(topic, batch.first - 1)
        at = stream.head + 1
        while at <= last:
            piece = chunk.part(at, stream.chunk_msgs)
            stream.head = piece.last
            self._hosting.send_live(stream, piece)
            self._replay.keep(stream, piece)
            at = piece.last + 1

    def on_head(self, source: RemoteTopic, head: int, asked: int) -> None:
        """Nothing up to here will come any more of a REMOTE topic that peers may follow here."""
        topic = self._relayed.taking(source)
        if topic is None or not topic.is_wanted or asked < topic.asked:
            return
        topic.asked = 0
        if topic.is_begun:
            if head > topic.stream.head:
                self._skip(topic, head)
            return
        topic.is_begun = True
        topic.stream.head = head
        pending, topic.pending = topic.pending, {}
        for subscriber, (epoch, last) in pending.items():
            self._feed(subscriber, topic, epoch, last)

    def _skip(self, topic: RelayedTopic, head: int) -> None:
        """The source does not have the messages between."""
        stream = topic.stream
        stream.head = head
        for subscriber in stream.live:
            self._context.counters.dropped_msgs += 1
            self._replay.tell_head(subscriber, stream, head)

    # Followers

    def follow(self, subscriber: Subscriber, topic: RelayedTopic, epoch: int, last: int) -> None:
        """A peer asks for the topic."""
        if topic.is_begun:
            self._feed(subscriber, topic, epoch, last)
            return
        source = topic.source
        is_first = not topic.pending
        # Several wishes of one peer become one, which begins where the first of them begins.
        before = topic.pending.get(subscriber, (0, 0))
        topic.pending[subscriber] = first_wish(topic.stream.epoch, before, (epoch, last))
        if is_first and source.link is not None:
            # Also if the source is followed already: the peer must learn where the stream begins.
            source.for_others = False
            self._follow.renew(source)

    def unfollow(self, subscriber: Subscriber, topic: RelayedTopic) -> None:
        """A peer no longer wants the topic."""
        topic.pending.pop(subscriber, None)
        topic.asking.pop(subscriber, None)
        if not topic.is_wanted:
            self._replay.forget(topic.stream.buffer)
            topic.forget()
            if topic.source.link is not None:
                self._follow.renew(topic.source)

    def drop_follower(self, subscriber: Subscriber, topic: RelayedTopic) -> None:
        """The topic is not offered to a peer any more."""
        subscriber.follows.discard(topic.stream)
        if topic.stream in subscriber.feeds:
            self._feeds.starve(subscriber, (topic.stream,))
        self.unfollow(subscriber, topic)

    def _feed(self, subscriber: Subscriber, topic: RelayedTopic, epoch: int, last: int) -> None:
        stream = topic.stream
        if stream in subscriber.feeds:
            self._feeds.feed_again(subscriber, stream, epoch, last)
            return
        start = self._begin(subscriber, topic, epoch, last)
        if subscriber not in stream.untold:
            self._replay.tell_head(subscriber, stream, start)

    def _begin(self, subscriber: Subscriber, topic: RelayedTopic, epoch: int, last: int) -> int:
        """Feeds a topic from a position on, even if that is before what the relay holds."""
        stream = topic.stream
        self._feeds.admit(subscriber, stream)
        head = stream.head
        if epoch == stream.epoch:
            first = min(last, head) + 1
        elif epoch:
            first = 1
        else:
            first = max(1, head + 1 - last)
            if first <= head:
                # The relay knows where the wish begins when the answer comes.
                stream.untold.add(subscriber)
        self._feeds.start(subscriber, stream, first)
        return first - 1

"""Fetching: a relay asks its source again for messages that its replay buffer does not hold.

The relay fetches a piece at a time, beside the live stream. A subscriber misses only messages that
the host does not hold either. Every node answers FETCH. Only relays send it.
"""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.credit import Credit
from spot.core.data.replay import Replay
from spot.core.relay.state import RelayedTopic, RelayState
from spot.core.topics.announced import Announced
from spot.core.topics.hosted_topic import Subscriber
from spot.core.topics.registry import Registry
from spot.core.wire import batches, codec
from spot.core.wire.batches import Batch, Chunk
from spot.core.wire.codec import ProtocolError

FETCH_BYTES = 256 * 1024


class FetchUpstream:
    """The upstream of one relayed topic."""

    __slots__ = ("_fetch", "_topic")

    def __init__(self, fetch: Fetch, topic: RelayedTopic) -> None:
        self._fetch = fetch
        self._topic = topic

    def find_again(self, subscriber: Subscriber, at: int, after: Chunk | None) -> Chunk | None:
        return self._fetch.find_again(self._topic, subscriber, at, after)


class Fetch:
    """Answers FETCH from replay buffers, and fetches what a relay's buffers do not hold."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        replay: Replay,
        credit: Credit,
        relayed: RelayState,
    ) -> None:
        self._context = context
        self._registry = registry
        self._replay = replay
        self._credit = credit
        self._relayed = relayed

    def find_again(
        self, topic: RelayedTopic, subscriber: Subscriber, at: int, after: Chunk | None
    ) -> Chunk | None:
        """The batch with a sequence, if it was fetched. Else it is under way, or no node has it."""
        chunk = topic.held_again(at)
        if chunk is not None:
            return chunk
        stream = topic.stream
        end = stream.head if after is None else after.first - 1
        gone = topic.gone_from(at)
        if gone:
            last = min(gone, end)
            if subscriber in stream.untold:
                subscriber.cursors[stream] = last + 1
            else:
                self._replay.lose(subscriber, stream, last)
        elif self._replay.takes(subscriber, 1):
            self._ask(topic, at, end)
        return None

    def _ask(self, topic: RelayedTopic, first: int, last: int) -> None:
        link = topic.source.link
        if topic.is_fetching or link is None:
            return
        topic.is_fetching = True
        topic.again.clear()
        record = codec.encode_fetch(codec.FETCH, topic.source.topic_id, first, last)
        self._context.effects.control(link, record)

    def on_fetch(self, subscriber: Subscriber, topic_id: int, first: int, last: int) -> None:
        """A relay asks for messages again."""
        stream = self._registry.sent.get(topic_id)
        link = subscriber.link
        if stream is None or link is None:
            return
        relayed = self._relayed.by_id.get(topic_id)
        if relayed is not None and stream not in subscriber.follows:
            # Only a relay that follows the topic here lacks anything of it.
            return
        gone = 0
        at = first
        size = 0
        while at <= last and size < FETCH_BYTES:
            chunk = stream.buffer.find(at)
            if relayed is not None and (chunk is None or chunk.first > at):
                chunk = relayed.held_again(at) or chunk
                if (chunk is None or chunk.first > at) and not relayed.gone_from(at):
                    if size:
                        break
                    relayed.asking[subscriber] = (first, last)
                    self._ask(relayed, at, last)
                    return
            if chunk is None or chunk.first > at:
                if size == 0:
                    gone = last if chunk is None else min(last, chunk.first - 1)
                    if relayed is not None:
                        gone = min(gone, relayed.gone_from(at))
                break
            room = subscriber.flow.room(self._context.sndhwm)
            if not room:
                # The rest is asked for when this piece has gone.
                break
            most = min(self._replay.msgs_max(subscriber), room, last + 1 - at)
            piece = chunk.part(at, most)
            if piece.large is not None and piece.size > link.bytes_max:
                if size == 0:
                    gone = piece.last
                break
            kind = codec.AGAIN if piece.large is None else codec.AGAIN_LARGE
            data = codec.with_kind(piece.data, kind)
            subscriber.flow.queue(Chunk(data, piece.count, piece.size, piece.large, piece.first))
            size += len(data) + piece.size
            at = piece.last + 1
        self._context.counters.replayed_msgs += at - first
        subscriber.flow.queue_record(codec.encode_fetch(codec.FETCHED, topic_id, first, gone))
        self._context.effects.touched[link] = None

    def on_again(self, announced: Announced, batch: Batch) -> None:
        """A fetched batch came."""
        link = announced.link
        size = link.data.charge(batch, self._context.bytes_max)
        source = announced.topics.get(batch.topic_id)
        topic = self._relayed.taking(source) if source is not None else None
        if topic is not None and topic.is_fetching:
            kind = codec.DATA if batch.large is None else codec.DATA_LARGE
            data = batches.record_of(batch, kind, topic.stream.topic_id)
            topic.again.append(Chunk(data, batch.msgs, size, batch.large, batch.first))
        self._credit.consumed(link, link.data, batch.msgs, size)

    def on_fetched(self, announced: Announced, topic_id: int, first: int, gone: int) -> None:
        """The answer to a FETCH is complete. Messages ``first`` to ``gone`` can't be had."""
        source = announced.topics.get(topic_id)
        topic = self._relayed.taking(source) if source is not None else None
        if topic is None or not topic.is_fetching:
            return
        topic.is_fetching = False
        stream = topic.stream
        if gone > stream.head:
            raise ProtocolError(f"messages up to {gone} are gone, {stream.head} were told of")
        topic.note_gone(first, gone)
        for subscriber in stream.catching_up:
            # A peer that waited for this goes on at once, and not only at the next heartbeat.
            if subscriber.link is not None:
                self._context.effects.touched[subscriber.link] = None
        asking, topic.asking = topic.asking, {}
        for each, wanted in asking.items():
            self.on_fetch(each, stream.topic_id, *wanted)

"""Passing streams on: what comes from a source goes to those who follow it here.

It goes into a history of the relay, and its credit goes back at once, whatever those behind
it do. Who lacks what that history does not hold makes the relay *fetch* it from its source, a
piece at a time, beside the live stream; only what the host does not hold either is missed.
"""

from __future__ import annotations

from spot.core.data.replay import Subscriber
from spot.core.link import Link
from spot.core.relay.follow import Following
from spot.core.topics.registry import Relayed, RemoteTopic
from spot.core.wire import batches, codec
from spot.core.wire.batches import Batch, Chunk
from spot.core.wire.codec import ProtocolError

FETCH_BYTES = 256 * 1024


class Passing(Following):
    """Gives the followers of a topic what its source sends."""

    # What comes

    def _taking(self, source: RemoteTopic) -> Relayed | None:
        topic = self.registry.relayed.get((source.name, source.node))
        if topic is None or topic.source is not source or not source.followed:
            return None
        return topic

    def relay(self, source: RemoteTopic, batch: Batch) -> None:
        topic = self._taking(source)
        if topic is None or not topic.is_begun or topic.asked or not topic.is_wanted:
            return
        last = batch.first + batch.msgs - 1
        if last <= topic.head:
            return
        data = batches.record_of(
            batch, codec.DATA if batch.large is None else codec.DATA_LARGE, topic.topic_id
        )
        chunk = Chunk(data, batch.msgs, batch.payload_bytes, batch.large, batch.first)
        if batch.first > topic.head + 1:
            self._skip(topic, batch.first - 1)
        at = topic.head + 1
        while at <= last:
            piece = chunk.part(at, topic.chunk_msgs)
            topic.head = piece.last
            self._send_live(topic, piece)
            self._keep(topic, piece)
            at = piece.last + 1

    def relay_head(self, source: RemoteTopic, head: int, asked: int) -> None:
        topic = self._taking(source)
        if topic is None or not topic.is_wanted or asked < topic.asked:
            return
        topic.asked = 0
        if topic.is_begun:
            if head > topic.head:
                self._skip(topic, head)
            return
        topic.is_begun = True
        topic.head = head
        pending, topic.pending = topic.pending, {}
        for link, (epoch, last) in pending.items():
            self._feed(link, topic, epoch, last)

    def _skip(self, topic: Relayed, head: int) -> None:
        """The source does not have what is between."""
        topic.head = head
        for link in topic.live:
            self.counters.dropped_msgs += 1
            self._tell_head(link, topic, head)

    # Fetching

    def find_again(
        self, subscriber: Subscriber, topic: Relayed, at: int, after: Chunk | None
    ) -> Chunk | None:
        for chunk in topic.again:
            if chunk.first <= at <= chunk.last:
                return chunk
        end = topic.head if after is None else after.first - 1
        gone = topic.gone_from(at)
        if gone:
            last = min(gone, end)
            if subscriber in topic.untold:
                subscriber.lacks[topic] = last + 1
            else:
                self._lose(subscriber, topic, last)
        elif self._takes(subscriber, 1):
            self._fetch(topic, at, end)
        return None

    def _fetch(self, topic: Relayed, first: int, last: int) -> None:
        link = topic.source.link
        if topic.is_fetching or link is None:
            return
        topic.is_fetching = True
        topic.again.clear()
        record = codec.encode_fetch(codec.FETCH, topic.source.topic_id, first, last)
        self.effects.control(link, record)

    def on_fetch(self, link: Link, topic_id: int, first: int, last: int) -> None:
        topic = self._known(topic_id)
        if topic is None:
            return
        gone = 0
        at = first
        size = 0
        while at <= last and size < FETCH_BYTES:
            chunk = topic.history.find(at)
            if isinstance(topic, Relayed) and (chunk is None or chunk.first > at):
                chunk = next((c for c in topic.again if c.first <= at <= c.last), chunk)
                if (chunk is None or chunk.first > at) and not topic.gone_from(at):
                    if size:
                        break
                    topic.asking[link] = (first, last)
                    self._fetch(topic, at, last)
                    return
            if chunk is None or chunk.first > at:
                if size == 0:
                    gone = last if chunk is None else min(last, chunk.first - 1)
                    if isinstance(topic, Relayed):
                        gone = min(gone, topic.gone_from(at))
                break
            room = link.room(self.sndhwm)
            if not room:
                # The rest is asked for when this has gone.
                break
            piece = chunk.part(at, min(self._most(link), room, last + 1 - at))
            if piece.large is not None and piece.size > link.bytes_max:
                if size == 0:
                    gone = piece.last
                break
            kind = codec.AGAIN if piece.large is None else codec.AGAIN_LARGE
            data = codec.with_kind(piece.data, kind)
            link.queue(Chunk(data, piece.count, piece.size, piece.large, piece.first))
            size += len(data) + piece.size
            at = piece.last + 1
        self.counters.replayed_msgs += at - first
        link.queue_record(codec.encode_fetch(codec.FETCHED, topic_id, first, gone))
        self.effects.touched[link] = None

    def on_again(self, link: Link, batch: Batch) -> None:
        size = self._charge(link, batch)
        source = link.topics.get(batch.topic_id)
        topic = self._taking(source) if source is not None else None
        if topic is not None and topic.is_fetching:
            kind = codec.DATA if batch.large is None else codec.DATA_LARGE
            data = batches.record_of(batch, kind, topic.topic_id)
            topic.again.append(Chunk(data, batch.msgs, size, batch.large, batch.first))
        self.consumed(link, link, batch.msgs, size)

    def on_fetched(self, link: Link, topic_id: int, first: int, gone: int) -> None:
        source = link.topics.get(topic_id)
        topic = self._taking(source) if source is not None else None
        if topic is None or not topic.is_fetching:
            return
        topic.is_fetching = False
        if gone > topic.head:
            raise ProtocolError(f"messages up to {gone} are gone, {topic.head} were told of")
        topic.note_gone(first, gone)
        for subscriber in topic.lacking:
            # Who waited for this goes on at once, not with the next heartbeat.
            if isinstance(subscriber, Link):
                self.effects.touched[subscriber] = None
        asking, topic.asking = topic.asking, {}
        for each, wanted in asking.items():
            self.on_fetch(each, topic.topic_id, *wanted)

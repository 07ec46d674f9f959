"""The topics that this node hosts: here the messages published to them get their order.

A batch goes into the queue of each *live* subscriber as it is made, and into the topic's replay
buffer, from which the others catch up.

Where a flush finds few messages in each of many topics, a batch for each of these topics would cost
ten times as much as its message. So topics with the same subscribers share one multi-topic batch.
"""

from __future__ import annotations

from collections.abc import Sequence

from spot.core.context import NodeContext
from spot.core.data.local_inbox import LocalInbox
from spot.core.data.replay import Replay
from spot.core.topics.hosted_topic import HostedTopic, Subscriber
from spot.core.topics.interest import Subscriptions
from spot.core.topics.registry import Registry
from spot.core.topics.replay_buffer import PLAIN_MSGS, ReplayBuffer, ReplayBuffers
from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk
from spot.core.wire.multi_batch import encode_multi

ROOM_MAX = 1 << 30


class _Group:
    """Messages of topics with the same subscribers, and the topics whose replay buffer is full."""

    __slots__ = ("full", "payloads", "sequences", "topics")

    def __init__(self) -> None:
        self.topics: list[HostedTopic] = []
        self.sequences: list[int] = []
        self.payloads: list[bytes] = []
        self.full: list[HostedTopic] = []


class Hosting:
    """Creates, orders and ends LOCAL topics."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        subscriptions: Subscriptions,
        buffers: ReplayBuffers,
        replay: Replay,
        local: LocalInbox,
    ) -> None:
        self._context = context
        self._registry = registry
        self._subscriptions = subscriptions
        self._buffers = buffers
        self._replay = replay
        self._local = local

    # Topics

    def host(
        self,
        name: str,
        epoch: int,
        subscribers: Sequence[Subscriber],
        history_bytes: int,
        *,
        standby: bool = False,
    ) -> HostedTopic:
        """Hosts a topic, for the peers and this node's subscriptions that already want it."""
        topic = self._registry.create(name, epoch, standby=standby)
        limit = min(history_bytes, self._buffers.limit)
        topic.buffer = ReplayBuffer(limit, topic.topic_id, self._buffers)
        topic.local = self._subscriptions.wants(name) and self._registry.hears_itself(topic)
        if topic.local:
            self._local.advance(topic, 0)
        for subscriber in subscribers:
            if subscriber.flow.out:
                subscriber.behind.add(topic)
            if subscriber.interest.wants(name):
                subscriber.feeds.add(topic)
                topic.subscribers.append(subscriber)
                topic.live.append(subscriber)
                self._replay.tell_head(subscriber, topic, 0)
                if topic in subscriber.behind:
                    self._replay.tell_place(subscriber, topic, 0)
        topic.fit_chunks(CHUNK_MSGS)
        return topic

    def end(self, topic: HostedTopic, record: bytes, subscribers: Sequence[Subscriber]) -> None:
        """Ends a topic. Messages published before go out before the news of the end."""
        for subscriber in list(topic.catching_up):
            if not subscriber.aside:
                self._replay.send_rest(subscriber, topic)
        for subscriber in subscribers:
            assert subscriber.link is not None
            subscriber.flow.queue_record(record)
            subscriber.ending.add(topic.name)
            self._context.effects.touched[subscriber.link] = None
        for subscriber in topic.subscribers:
            subscriber.feeds.discard(topic)
            subscriber.changed.discard(topic)
        for subscriber in list(topic.catching_up):
            self._replay.stop(subscriber, topic)
        if topic.local:
            position = self._subscriptions.position(topic.name, self._context.node)
            if position is not None:
                self._context.note_missed(position.finish(topic.head))
        self._replay.forget(topic.buffer)
        self._registry.destroy(topic)

    # Publishing

    def room(self, topic: HostedTopic) -> int:
        """How many messages can be published before a subscriber's queue is full."""
        context = self._context
        room = ROOM_MAX
        for subscriber in topic.subscribers:
            if subscriber.flow.out_msgs and not subscriber.aside:
                room = min(room, subscriber.flow.room(context.sndhwm))
        if topic.subscribers:
            room = min(room, context.sndhwm)
        here = self._local.here
        if topic.local and not here.aside:
            room = min(room, here.room(context.rcvhwm))
        if topic.catching_up and topic.buffer.size > topic.buffer.limit:
            return 0
        return room

    def publish(self, topic: HostedTopic, payloads: Sequence[bytes]) -> None:
        """Orders messages and queues them for all subscribers, in batches."""
        buffers = self._buffers
        for batch in batches.cut(payloads, topic.chunk_msgs):
            first = topic.head + 1
            topic.head += len(batch)
            if topic.local:
                self._publish_here(topic, first, batch)
            buffer = topic.buffer
            chunk: Chunk | None = None
            if topic.live:
                chunk = batches.encoded(codec.DATA, topic.topic_id, first, batch)
                self.send_live(topic, chunk)
            if len(batch) <= PLAIN_MSGS and not topic.catching_up:
                size = sum(map(len, batch))
                if buffer.takes_plain(batch, size):
                    buffer.add_plain(first, batch, size)
                    if buffer.size > buffer.limit or buffers.size > buffers.limit:
                        self._replay.make_room(topic)
                    continue
            if buffer.limit or topic.catching_up:
                if chunk is None:
                    chunk = batches.encoded(codec.DATA, topic.topic_id, first, batch)
                self._replay.keep(topic, chunk)

    def send_live(self, topic: HostedTopic, chunk: Chunk) -> None:
        """Queues a batch for all live subscribers. A subscriber that is set aside falls behind.

        A relay waits for no subscriber: there a subscriber without room falls behind, too.
        """
        touched = self._context.effects.touched
        behind: list[Subscriber] = []
        for subscriber in topic.live:
            link = subscriber.link
            assert link is not None
            if subscriber.aside or (
                topic.upstream is not None
                and subscriber.flow.room(self._context.sndhwm) < chunk.count
            ):
                behind.append(subscriber)
            elif chunk.large is not None and chunk.size > link.bytes_max:
                self._replay.skip_large(subscriber, topic, chunk)
            else:
                subscriber.flow.queue(chunk)
                subscriber.changed.add(topic)
                touched[link] = None
        for subscriber in behind:
            topic.live.remove(subscriber)
            self._replay.fall_behind(subscriber, topic, chunk.first)

    def _publish_here(self, topic: HostedTopic, first: int, batch: Sequence[bytes]) -> None:
        here = self._local.here
        if topic in here.cursors:
            return
        if here.aside:
            self._replay.fall_behind(here, topic, first)
            return
        size = sum(map(len, batch))
        self._local.deliver(topic, first, len(batch), size, payloads=batch)

    # Many topics at once

    def publish_across(self, topics: Sequence[HostedTopic], payloads: Sequence[bytes]) -> int:
        """Orders a message of each of many topics. A topic may be there more than once.

        Returns how many more messages can be published, to all of these topics together, before a
        subscriber's queue is full. ``publish`` orders a message alone if it is wanted here, is
        large, or is of a topic that a subscriber reads from the replay buffer.
        """
        groups: dict[tuple[Subscriber, ...], _Group] = {}
        others: dict[HostedTopic, list[bytes]] = {}
        live: list[Subscriber] | None = None
        is_aside = False
        for topic, payload in zip(topics, payloads, strict=True):
            if topic.live != live:
                live = topic.live
                peers = tuple(live)
                is_aside = any(subscriber.aside for subscriber in peers)
                group = groups.get(peers) or groups.setdefault(peers, _Group())
                add_topic = group.topics.append
                add_sequence = group.sequences.append
                add_payload = group.payloads.append
            buffer = topic.buffer
            size = len(payload)
            if (
                topic.local
                or topic.catching_up
                or is_aside
                or size > buffer.plain_most
                or (others and topic in others)
            ):
                others.setdefault(topic, []).append(payload)
                continue
            head = topic.head = topic.head + 1
            add_topic(topic)
            add_sequence(head)
            add_payload(payload)
            if buffer.limit and buffer.add_one(head, payload, size):
                group.full.append(topic)
        room = self._send_groups(groups)
        for topic, few in others.items():
            self.publish(topic, few)
            room = min(room, self.room(topic))
        return room

    def _send_groups(self, groups: dict[tuple[Subscriber, ...], _Group]) -> int:
        """Queues the ordered messages. Returns the room that is left."""
        room = ROOM_MAX
        for peers, group in groups.items():
            if peers and group.topics:
                self._send_group(peers, group)
        for group in groups.values():
            # Afterwards, as it may set subscribers aside.
            for topic in group.full:
                self._replay.make_room(topic)
            if group.topics:
                if self._buffers.size > self._buffers.limit:
                    self._replay.make_room(group.topics[0])
                room = min(room, self.room(group.topics[0]))
        return room

    def _send_group(self, peers: Sequence[Subscriber], group: _Group) -> None:
        topics = group.topics
        payloads = group.payloads
        count = len(payloads)
        most = min(topics[0].chunk_msgs, batches.CHUNK_BYTES // max(1, *map(len, payloads)))
        topic_ids = [topic.topic_id for topic in topics]
        for at in range(0, count, most):
            end = min(at + most, count)
            if end == at + 1:
                first = group.sequences[at]
                chunk = batches.encoded(codec.DATA, topic_ids[at], first, payloads[at:end])
            else:
                data, size = encode_multi(
                    topic_ids[at:end], group.sequences[at:end], payloads[at:end]
                )
                chunk = Chunk(data, end - at, size)
            for subscriber in peers:
                subscriber.flow.queue(chunk)
        for subscriber in peers:
            assert subscriber.link is not None
            subscriber.changed.update(topics)
            self._context.effects.touched[subscriber.link] = None

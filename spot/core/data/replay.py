"""Catching up: a subscriber that lacks messages reads the replay buffer until it has all.

A subscriber *lacks* messages when it comes with a position that is not the newest, or when its
queue stayed full and it was *set aside*, so that publishers no longer wait for it. Then it reads
the replay buffer by a cursor, as its credit allows, a bounded piece each turn. It goes live where
it meets the newest message. Until then the buffer drops nothing that the subscriber still lacks,
unless the subscriber is set aside: a publisher waits for it as for a live one whose queue is full.
"""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.local_inbox import LocalInbox
from spot.core.link import QUEUE_BYTES, chunk_msgs
from spot.core.topics.hosted_topic import HostedTopic, Subscriber
from spot.core.topics.registry import Registry
from spot.core.topics.replay_buffer import ReplayBuffer, ReplayBuffers
from spot.core.wire import batches, codec
from spot.core.wire.batches import Chunk
from spot.message import Event

REPLAY_BYTES = 128 * 1024
"""Bytes of replay buffers that a node reads in one turn. More would delay other links."""
REPLAY_S = 0.001
"""The least seconds between two turns that read replay buffers."""


class Replay:
    """Keeps what subscribers lack, and replays it. Not thread-safe: the node's lock guards it."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        buffers: ReplayBuffers,
        local: LocalInbox,
    ) -> None:
        self._context = context
        self._registry = registry
        self._buffers = buffers
        self._local = local
        # Peers that lack messages. The peer whose turn is next stands first.
        self.catching_up: dict[Subscriber, None] = {}
        self.due_at = 0.0
        self.is_due = False

    # Sending to a subscriber

    def tell_head(self, subscriber: Subscriber, topic: HostedTopic, head: int) -> None:
        """Tells a peer, after the batches that wait for it, that nothing up to ``head`` will
        come."""
        assert subscriber.link is not None
        subscriber.flow.queue_record(codec.encode_head(topic.topic_id, head, subscriber.requests))
        self._context.effects.touched[subscriber.link] = None

    def tell_place(self, subscriber: Subscriber, topic: HostedTopic, head: int) -> None:
        """Tells a peer at once that its subscription begins behind this sequence.

        The HEAD waits for credit, and the link may end meanwhile: BEGIN overtakes it.
        """
        assert subscriber.link is not None
        record = codec.encode_begin(topic.epoch, head, subscriber.requests, topic.name)
        self._context.effects.control(subscriber.link, record)

    def put(self, subscriber: Subscriber, topic: HostedTopic, piece: Chunk) -> None:
        """Gives a subscriber a batch of the replay buffer."""
        self._context.counters.replayed_msgs += piece.count
        link = subscriber.link
        if link is None:
            batch = batches.batch_of(piece.data, piece.large)
            self._local.deliver(topic, piece.first, piece.count, piece.size, batch=batch)
        elif piece.large is not None and piece.size > link.bytes_max:
            self.skip_large(subscriber, topic, piece)
        else:
            subscriber.flow.queue(piece)
            subscriber.changed.add(topic)
            self._context.effects.touched[link] = None

    def skip_large(self, subscriber: Subscriber, topic: HostedTopic, chunk: Chunk) -> None:
        """The message is too large for the link. The peer is told that it missed the message."""
        self._context.counters.dropped_msgs += 1
        self.tell_head(subscriber, topic, chunk.last)

    def room_of(self, subscriber: Subscriber) -> int:
        """How many more messages may wait for a subscriber."""
        context = self._context
        return subscriber.room(context.rcvhwm if subscriber.link is None else context.sndhwm)

    def msgs_max(self, subscriber: Subscriber) -> int:
        """How many messages a batch for a subscriber may hold."""
        if subscriber.link is not None:
            return chunk_msgs(subscriber.link.window_msgs)
        return max(1, subscriber.room(self._context.rcvhwm))

    def takes(self, subscriber: Subscriber, count: int) -> bool:
        """Whether a subscriber has room, or credit, for this many more messages."""
        if subscriber.link is not None:
            return subscriber.flow.has_credit(count)
        return not subscriber.aside and subscriber.room(self._context.rcvhwm) > 0

    # Replay buffers

    def keep(self, topic: HostedTopic, chunk: Chunk) -> None:
        """Keeps a batch in the topic's replay buffer."""
        buffer = topic.buffer
        needed = topic.upstream is None and any(not each.aside for each in topic.catching_up)
        for piece in [chunk] if needed else buffer.fitting(chunk):
            self._buffers.add(buffer, piece)
            if buffer.size > buffer.limit or self._buffers.size > self._buffers.limit:
                self.make_room(topic)

    def make_room(self, topic: HostedTopic) -> None:
        """The replay buffers hold too much, for one topic or for all."""
        self.trim(topic)
        buffers = self._buffers
        while buffers.size > buffers.limit:
            largest = buffers.largest()
            owner = self._registry.sent[largest.topic_id]
            for subscriber in self._needing(owner):
                if largest.size > largest.limit:
                    # The publishers of that topic wait for its subscribers.
                    return
                self._set_aside(subscriber, owner, self._context.now)
            self._drop_oldest(owner)

    def _needing(self, topic: HostedTopic) -> list[Subscriber]:
        """The subscribers that lack the oldest batch of a topic and that publishers wait for."""
        buffer = topic.buffer
        if not topic.catching_up or not buffer.size or topic.upstream is not None:
            # A relay waits for no subscriber: what it drops can be fetched again from the host.
            return []
        last = buffer.oldest.last
        return [
            subscriber
            for subscriber in topic.catching_up
            if not subscriber.aside and subscriber.cursors[topic] <= last
        ]

    def trim(self, topic: HostedTopic) -> None:
        """Drops the excess, except batches that a subscriber needs that publishers wait for."""
        buffer = topic.buffer
        while buffer.size > buffer.limit and not self._needing(topic):
            self._drop_oldest(topic)
            self._context.effects.progress = True

    def _drop_oldest(self, topic: HostedTopic) -> None:
        chunk = self._buffers.drop_oldest(topic.buffer)
        if topic.upstream is not None:
            return
        for subscriber in topic.catching_up:
            self._count_lost(subscriber, topic, chunk.last)

    def _count_lost(self, subscriber: Subscriber, topic: HostedTopic, last: int) -> int:
        """No node holds what the subscriber lacks up to here. Returns how many messages that is."""
        lost = last + 1 - subscriber.cursors[topic]
        if lost <= 0:
            return 0
        subscriber.cursors[topic] = last + 1
        subscriber.lost += lost
        self._context.counters.dropped_msgs += lost
        return lost

    def lose(self, subscriber: Subscriber, topic: HostedTopic, last: int) -> None:
        """No node holds what the subscriber lacks up to here. The subscriber is told."""
        if self._count_lost(subscriber, topic, last):
            self._tell_lost(subscriber, topic, last)

    def _tell_lost(self, subscriber: Subscriber, topic: HostedTopic, last: int) -> None:
        if subscriber.link is None:
            self._local.advance(topic, last)
        else:
            self.tell_head(subscriber, topic, last)

    def tell_begin(self, subscriber: Subscriber, topic: HostedTopic, head: int) -> None:
        """Tells an untold subscriber that its stream begins after this sequence."""
        if subscriber in topic.untold:
            topic.untold.discard(subscriber)
            self._tell_lost(subscriber, topic, head)

    def send_rest(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        """The topic ends: the messages that a subscriber lacks go into its queue, if there is
        room."""
        while (chunk := topic.buffer.find(subscriber.cursors[topic])) is not None:
            self.lose(subscriber, topic, chunk.first - 1)
            if self.room_of(subscriber) < chunk.count:
                self._set_aside(subscriber, topic, self._context.now)
                return
            while (at := subscriber.cursors[topic]) <= chunk.last:
                piece = chunk.part(at, self.msgs_max(subscriber))
                self.put(subscriber, topic, piece)
                subscriber.cursors[topic] = piece.last + 1

    # Falling behind, and being set aside

    def fall_behind(self, subscriber: Subscriber, topic: HostedTopic, first: int) -> None:
        """From this sequence on, the subscriber gets the topic from the replay buffer."""
        subscriber.cursors[topic] = first
        topic.catching_up[subscriber] = None
        if subscriber.link is not None:
            self.catching_up[subscriber] = None

    def _go_live(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        self.stop(subscriber, topic)
        if subscriber.link is not None:
            topic.live.append(subscriber)

    def stop(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        """The subscriber no longer lacks messages of this topic, or no longer wants it."""
        if topic not in subscriber.cursors:
            return
        del subscriber.cursors[topic]
        del topic.catching_up[subscriber]
        self.trim(topic)
        if subscriber.cursors:
            return
        self.catching_up.pop(subscriber, None)
        if subscriber.aside_told and not subscriber.aside:
            self._caught_up(subscriber)

    def _caught_up(self, subscriber: Subscriber) -> None:
        context = self._context
        subscriber.aside_told = False
        node = context.node if subscriber.link is None else subscriber.link.node
        context.effects.events.append(
            Event("caught_up", context.now, node=node, count=subscriber.lost)
        )
        subscriber.lost = 0

    def set_aside_full(self, topic: HostedTopic, now: float) -> None:
        """Publishers no longer wait for the subscribers whose queue is full."""
        context = self._context
        for subscriber in topic.subscribers:
            if not subscriber.aside and subscriber.room(context.sndhwm) == 0:
                self._set_aside(subscriber, topic, now)
        here = self._local.here
        if topic.local and not here.aside and here.room(context.rcvhwm) == 0:
            self._set_aside(here, topic, now)
        buffer = topic.buffer
        while buffer.size > buffer.limit and (needing := self._needing(topic)):
            for subscriber in needing:
                self._set_aside(subscriber, topic, now)

    def _set_aside(self, subscriber: Subscriber, topic: HostedTopic, now: float) -> None:
        context = self._context
        subscriber.aside = subscriber.aside_told = True
        if subscriber.link is not None:
            # Its queue may be empty, and then this is over soon.
            context.effects.touched[subscriber.link] = None
        for lacked in list(subscriber.cursors):
            self.trim(lacked)
        context.counters.set_aside += 1
        node = context.node if subscriber.link is None else subscriber.link.node
        context.effects.events.append(
            Event("set_aside", now, node=node, topics=(topic.name,), reason="queue full")
        )

    def end_aside(self, subscriber: Subscriber) -> None:
        """The queue has drained. The rest comes from replay buffers, and publishers wait for the
        subscriber again."""
        subscriber.aside = False
        self._context.effects.progress = True
        if not subscriber.cursors:
            self._caught_up(subscriber)

    # Reading on

    def run(self, now: float) -> None:
        """Reads on for the peers that lack something and have credit, a piece at a time.

        ``is_due`` says afterwards that there is more to do, at ``due_at``.
        """
        if now < self.due_at:
            self.is_due = True
            return
        left = REPLAY_BYTES
        self.is_due = False
        for subscriber in list(self.catching_up):
            for topic in list(subscriber.cursors):
                if left > 0:
                    left -= self._read_on(subscriber, topic, left)
            if subscriber in self.catching_up:
                # A subscriber that had its turn goes to the end.
                del self.catching_up[subscriber]
                self.catching_up[subscriber] = None
            if left <= 0:
                self.is_due = bool(self.catching_up)
                break
        self.due_at = now + REPLAY_S

    def run_here(self) -> None:
        """The same for this node's own subscriptions, until the inbox is full."""
        here = self._local.here
        for topic in list(here.cursors):
            self._read_on(here, topic, QUEUE_BYTES)

    def _read_on(self, subscriber: Subscriber, topic: HostedTopic, most: int) -> int:
        """Reads on in one replay buffer. Returns how many bytes it read."""
        used = 0
        while used < most and (at := subscriber.cursors[topic]) <= topic.head:
            chunk = topic.buffer.find(at)
            if topic.upstream is not None and (chunk is None or chunk.first > at):
                chunk = topic.upstream.find_again(subscriber, at, chunk)
                if chunk is None:
                    if subscriber.cursors[topic] == at:
                        # It is on its way.
                        return used
                    continue
            if chunk is None:
                self.lose(subscriber, topic, topic.head)
                break
            self.lose(subscriber, topic, chunk.first - 1)
            piece = chunk.part(max(at, chunk.first), self.msgs_max(subscriber))
            if not self.takes(subscriber, piece.count):
                return used
            self.tell_begin(subscriber, topic, piece.first - 1)
            self.put(subscriber, topic, piece)
            subscriber.cursors[topic] = piece.last + 1
            used += len(piece.data) if piece.large is None else piece.size
            self.trim(topic)
        if subscriber.cursors[topic] > topic.head:
            self.tell_begin(subscriber, topic, topic.head)
            if subscriber.lost:
                # The messages that the buffer dropped may have been the newest.
                self._tell_lost(subscriber, topic, topic.head)
            self._go_live(subscriber, topic)
        return used

    def forget(self, buffer: ReplayBuffer) -> None:
        """The topic has ended, or has no subscriber any more."""
        self._buffers.forget(buffer)

"""Catching up: who lacks something reads history until it meets the newest message.

A subscriber *lacks* something when it comes with a position that is not the newest, or when its
queue stayed full and it was *set aside*: nobody waits for it any longer. Then it reads history by a
cursor, as its credit allows, a bounded piece a turn, and goes live where it meets the newest
message. Until then history drops nothing that it still lacks, unless it is set aside: a
publisher waits for it as for a live one whose queue is full.
"""

from __future__ import annotations

from collections.abc import Sequence

from spot.core.counters import Counters
from spot.core.data.inbox import Delivery, Inbox
from spot.core.data.replay_buffer import History, Shelf
from spot.core.effects import Effects
from spot.core.link import QUEUE_BYTES, Link, chunk_msgs
from spot.core.topics.interest import Subscriptions
from spot.core.topics.position import Position
from spot.core.topics.registry import HostedTopic, Registry, Relayed
from spot.core.wire import batches, codec
from spot.core.wire.batches import Batch, Chunk
from spot.message import Event

REPLAY_BYTES = 128 * 1024
"""How much of its histories a node reads in one turn, so that other links don't notice."""
REPLAY_S = 0.001
"""A turn is no shorter than this."""


class Here:
    """The node's own subscriptions as a subscriber: what waits for ``recv``, what is lacking."""

    __slots__ = ("aside", "aside_told", "lacks", "lost", "msgs", "size")

    def __init__(self) -> None:
        self.msgs = 0
        self.size = 0
        self.aside = False
        self.aside_told = False
        self.lacks: dict[HostedTopic, int] = {}
        self.lost = 0

    def room(self, hwm: int) -> int:
        return 0 if self.size >= QUEUE_BYTES else max(0, hwm - self.msgs)


Subscriber = Link | Here


class CatchUp:
    """Keeps what subscribers lack, and replays it. Pure, and not thread-safe: the driver's lock
    guards it.
    """

    def __init__(
        self,
        node: str,
        sndhwm: int,
        rcvhwm: int,
        history_total_bytes: int,
        effects: Effects,
    ) -> None:
        self.node = node
        self.sndhwm = sndhwm
        self.rcvhwm = rcvhwm
        self.effects = effects
        self.subscriptions = Subscriptions()
        self.registry = Registry(self.subscriptions.wants)
        self.inbox = Inbox()
        self.counters = Counters()
        self.here = Here()
        self.shelf = Shelf(history_total_bytes)
        self.now = 0.0
        # Links that lack something; whose turn it is next stands first.
        self.lacking: dict[Link, None] = {}
        self.replay_at = 0.0
        self.is_replaying = False

    # What a subscriber gets

    def _tell_head(self, link: Link, topic: HostedTopic, head: int) -> None:
        link.queue_record(codec.encode_head(topic.topic_id, head, link.asked))
        self.effects.touched[link] = None

    def _put(self, subscriber: Subscriber, topic: HostedTopic, piece: Chunk) -> None:
        self.counters.replayed_msgs += piece.count
        if isinstance(subscriber, Here):
            batch = batches.batch_of(piece.data, piece.large)
            self._deliver_here(topic, piece.first, piece.count, piece.size, batch=batch)
        elif piece.large is not None and piece.size > subscriber.bytes_max:
            self._too_large(subscriber, topic, piece)
        else:
            subscriber.queue(piece)
            subscriber.changed.add(topic)
            self.effects.touched[subscriber] = None

    def _too_large(self, link: Link, topic: HostedTopic, chunk: Chunk) -> None:
        """It would end the link; the peer is told that it missed it instead."""
        self.counters.dropped_msgs += 1
        self._tell_head(link, topic, chunk.last)

    def _deliver_here(
        self,
        topic: HostedTopic,
        first: int,
        count: int,
        size: int,
        *,
        batch: Batch | None = None,
        payloads: Sequence[bytes] = (),
    ) -> None:
        position = self._position(topic.name, self.node)
        self._note_missed(position.advance(topic.epoch, first - 1))
        missed = position.deliver(first + count - 1)
        self.here.msgs += count
        self.here.size += size
        self.inbox.deliver(
            Delivery(
                topic.name,
                self.node,
                topic.epoch,
                first,
                missed,
                None,
                count,
                size,
                batch=batch,
                payloads=payloads,
            )
        )
        self.effects.progress = True

    def _room_of(self, subscriber: Subscriber) -> int:
        return subscriber.room(self.sndhwm if isinstance(subscriber, Link) else self.rcvhwm)

    def _most(self, subscriber: Subscriber) -> int:
        if isinstance(subscriber, Link):
            return chunk_msgs(subscriber.window_msgs)
        return max(1, subscriber.room(self.rcvhwm))

    def _takes(self, subscriber: Subscriber, count: int) -> bool:
        if isinstance(subscriber, Link):
            return subscriber.takes(count)
        return not subscriber.aside and subscriber.room(self.rcvhwm) > 0

    def _position(self, name: str, node: str) -> Position:
        """The position in the stream that one node hosts under a name."""
        return self.subscriptions.new_position(name, node)

    def _note_missed(self, missed: int | None) -> None:
        if missed is None:
            self.counters.missed_unknown += 1
        else:
            self.counters.missed_msgs += missed

    # History

    def _keep(self, topic: HostedTopic, chunk: Chunk) -> None:
        history = topic.history
        needed = not topic.is_relayed and any(not subscriber.aside for subscriber in topic.lacking)
        for piece in [chunk] if needed else history.fitting(chunk):
            self.shelf.add(history, piece)
            if history.size > history.limit or self.shelf.size > self.shelf.limit:
                self._make_room(history)

    def _make_room(self, history: History) -> None:
        """Too much is held, of one topic or of all."""
        self._trim(history)
        shelf = self.shelf
        while shelf.size > shelf.limit:
            largest = shelf.largest()
            for subscriber in self._needing(largest):
                if largest.size > largest.limit:
                    # Its own publishers wait for that.
                    return
                self._set_aside(subscriber, largest.topic, self.now)
            self._drop_oldest(largest)

    def _needing(self, history: History) -> list[Subscriber]:
        """Who lacks the oldest batch of a history, and is waited for."""
        topic = history.topic
        if not topic.lacking or not history.size or topic.is_relayed:
            # A relay holds up nobody: what it drops can be had again from the host.
            return []
        last = history.oldest.last
        return [
            subscriber
            for subscriber in topic.lacking
            if not subscriber.aside and subscriber.lacks[topic] <= last
        ]

    def _trim(self, history: History) -> None:
        """Drops what is too much, but for what somebody needs who is waited for."""
        while history.size > history.limit and not self._needing(history):
            self._drop_oldest(history)
            self.effects.progress = True

    def _drop_oldest(self, history: History) -> None:
        chunk = self.shelf.drop_oldest(history)
        if history.topic.is_relayed:
            return
        for subscriber in history.topic.lacking:
            self._count_lost(subscriber, history.topic, chunk.last)

    def _count_lost(self, subscriber: Subscriber, topic: HostedTopic, last: int) -> int:
        """Nobody has what the subscriber lacks up to here. Returns how much that is."""
        lost = last + 1 - subscriber.lacks[topic]
        if lost <= 0:
            return 0
        subscriber.lacks[topic] = last + 1
        subscriber.lost += lost
        self.counters.dropped_msgs += lost
        return lost

    def _lose(self, subscriber: Subscriber, topic: HostedTopic, last: int) -> None:
        """The same, and it is told."""
        if self._count_lost(subscriber, topic, last):
            self._tell_lost(subscriber, topic, last)

    def _tell_lost(self, subscriber: Subscriber, topic: HostedTopic, last: int) -> None:
        if isinstance(subscriber, Link):
            self._tell_head(subscriber, topic, last)
        else:
            position = self._position(topic.name, self.node)
            self._note_missed(position.advance(topic.epoch, last))

    def _hurry(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        """The topic ends: all that a subscriber lacks goes into its queue, if that has room."""
        while (chunk := topic.history.find(subscriber.lacks[topic])) is not None:
            self._lose(subscriber, topic, chunk.first - 1)
            if self._room_of(subscriber) < chunk.count:
                self._set_aside(subscriber, topic, self.now)
                return
            while (at := subscriber.lacks[topic]) <= chunk.last:
                piece = chunk.part(at, self._most(subscriber))
                self._put(subscriber, topic, piece)
                subscriber.lacks[topic] = piece.last + 1

    def find_again(
        self, subscriber: Subscriber, topic: Relayed, at: int, after: Chunk | None
    ) -> Chunk | None:
        """What a relay's history does not hold, if the host has sent it again."""
        raise NotImplementedError

    # Behind, and aside

    def _falls_behind(self, subscriber: Subscriber, topic: HostedTopic, first: int) -> None:
        """From this sequence on it gets the topic from history."""
        subscriber.lacks[topic] = first
        topic.lacking[subscriber] = None
        if isinstance(subscriber, Link):
            self.lacking[subscriber] = None

    def _goes_live(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        self._has_all(subscriber, topic)
        if isinstance(subscriber, Link):
            topic.live.append(subscriber)

    def _has_all(self, subscriber: Subscriber, topic: HostedTopic) -> None:
        """It lacks nothing of this topic any more, or wants nothing of it."""
        if topic not in subscriber.lacks:
            return
        del subscriber.lacks[topic]
        del topic.lacking[subscriber]
        self._trim(topic.history)
        if subscriber.lacks:
            return
        if isinstance(subscriber, Link):
            self.lacking.pop(subscriber, None)
        if subscriber.aside_told and not subscriber.aside:
            self._caught_up(subscriber)

    def _caught_up(self, subscriber: Subscriber) -> None:
        subscriber.aside_told = False
        node = subscriber.node if isinstance(subscriber, Link) else self.node
        self.effects.events.append(Event("caught_up", self.now, node=node, count=subscriber.lost))
        subscriber.lost = 0

    def set_aside_full(self, topic: HostedTopic, now: float) -> None:
        """Nobody waits any longer for the subscribers whose queue is full."""
        for link in topic.links:
            if not link.aside and link.room(self.sndhwm) == 0:
                self._set_aside(link, topic, now)
        if topic.local and not self.here.aside and self.here.room(self.rcvhwm) == 0:
            self._set_aside(self.here, topic, now)
        history = topic.history
        while history.size > history.limit and (needing := self._needing(history)):
            for subscriber in needing:
                self._set_aside(subscriber, topic, now)

    def _set_aside(self, subscriber: Subscriber, topic: HostedTopic, now: float) -> None:
        subscriber.aside = subscriber.aside_told = True
        if isinstance(subscriber, Link):
            # Its queue may be empty, and then this is over soon.
            self.effects.touched[subscriber] = None
        for lacked in list(subscriber.lacks):
            self._trim(lacked.history)
        self.counters.set_aside += 1
        node = subscriber.node if isinstance(subscriber, Link) else self.node
        self.effects.events.append(
            Event("set_aside", now, node=node, topics=(topic.name,), reason="queue full")
        )

    def end_aside(self, subscriber: Subscriber) -> None:
        """The queue has drained: the rest comes from history, and is waited for again."""
        subscriber.aside = False
        self.effects.progress = True
        if not subscriber.lacks:
            self._caught_up(subscriber)

    # Replay

    def replay(self, now: float) -> None:
        """Reads on in history for those who lack something and have credit, a piece at a time.

        ``is_replaying`` says afterwards that there is more to do, at ``replay_at``.
        """
        if now < self.replay_at:
            self.is_replaying = True
            return
        left = REPLAY_BYTES
        self.is_replaying = False
        for link in list(self.lacking):
            for topic in list(link.lacks):
                if left > 0:
                    left -= self._read_on(link, topic, left)
            if link in self.lacking:
                # Who had its turn goes to the end.
                del self.lacking[link]
                self.lacking[link] = None
            if left <= 0:
                self.is_replaying = bool(self.lacking)
                break
        self.replay_at = now + REPLAY_S

    def replay_here(self) -> None:
        """The same for this node's own subscriptions, up to a full inbox."""
        for topic in list(self.here.lacks):
            self._read_on(self.here, topic, QUEUE_BYTES)

    def _read_on(self, subscriber: Subscriber, topic: HostedTopic, most: int) -> int:
        """Reads on in one history. Returns how many bytes that was."""
        used = 0
        while used < most and (at := subscriber.lacks[topic]) <= topic.head:
            chunk = topic.history.find(at)
            if isinstance(topic, Relayed) and (chunk is None or chunk.first > at):
                chunk = self.find_again(subscriber, topic, at, chunk)
                if chunk is None:
                    if subscriber.lacks[topic] == at:
                        # It is on its way.
                        return used
                    continue
            if chunk is None:
                self._lose(subscriber, topic, topic.head)
                break
            self._lose(subscriber, topic, chunk.first - 1)
            piece = chunk.part(max(at, chunk.first), self._most(subscriber))
            if not self._takes(subscriber, piece.count):
                return used
            if subscriber in topic.untold:
                topic.untold.discard(subscriber)
                self._tell_lost(subscriber, topic, piece.first - 1)
            self._put(subscriber, topic, piece)
            subscriber.lacks[topic] = piece.last + 1
            used += len(piece.data) if piece.large is None else piece.size
            self._trim(topic.history)
        if subscriber.lacks[topic] > topic.head:
            if subscriber in topic.untold:
                topic.untold.discard(subscriber)
                self._tell_lost(subscriber, topic, topic.head)
            if subscriber.lost:
                # What history dropped may have been the newest.
                self._tell_lost(subscriber, topic, topic.head)
            self._goes_live(subscriber, topic)
        return used

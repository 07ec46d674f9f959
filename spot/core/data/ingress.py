"""The messages that peers publish to topics of this node: their order, and their wait for room.

Where subscribers have no room, publishes wait at the link that they came by, and the credit of that
link waits with them. When there is room, the waiting links share it in turn, a bounded number of
messages each time, so that each publisher gets an equal share. This is round robin (Nagle, "On
Packet Switches with Infinite Storage", RFC 970), but by messages and not by frames, as frames
differ in size.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from spot.core.context import NodeContext
from spot.core.data.credit import Credit
from spot.core.data.hosting import ROOM_MAX, Hosting
from spot.core.data.publishers import Publishers
from spot.core.data.replay import Replay
from spot.core.link import Link
from spot.core.topics.registry import Registry
from spot.core.wire import batches
from spot.core.wire.batches import Batch, Chunk
from spot.core.wire.codec import Sender
from spot.core.wire.greeting import Incarnation

SHARE_MSGS = 256
"""The most messages that are ordered for one link at a time, where several links wait."""


class Forwarder(Protocol):
    """Sends publishes on to hosts behind this node."""

    def forward(self, link: Link, topic_id: int, sender: Sender, chunk: Chunk) -> Chunk | None:
        """Sends on publishes that came by a link. Returns those for which there is no room now."""


class Publish(NamedTuple):
    """Messages that a node published and that wait to be ordered.

    ``last`` is the publisher's number of the last message. ``sender`` is set if they came through a
    relay. ``chunk`` is also set if they go on to a host behind this node.
    """

    topic_id: int
    payloads: tuple[bytes, ...]
    size: int
    last: int
    sender: Sender | None = None
    chunk: Chunk | None = None


class _LinkQueue:
    """The publishes that wait at a link, and since when the first of them waits."""

    __slots__ = ("publishes", "since")

    def __init__(self) -> None:
        self.publishes: deque[Publish] = deque()
        self.since = 0.0


class Ingress:
    """Orders publishes of peers, as there is room, and fairly."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        hosting: Hosting,
        replay: Replay,
        publishers: Publishers,
        credit: Credit,
        forwarder: Forwarder,
    ) -> None:
        self._context = context
        self._registry = registry
        self._hosting = hosting
        self._replay = replay
        self._publishers = publishers
        self._credit = credit
        self._forwarder = forwarder
        self._queues: dict[Link, _LinkQueue] = {}
        # Links at which publishes wait. The link whose turn is next stands first.
        self.waiting: dict[Link, None] = {}

    # Links

    def link_up(self, link: Link) -> None:
        """A link is up: the peer may publish."""
        self._queues[link] = _LinkQueue()
        self._publishers.link_up(link)

    def link_down(self, link: Link) -> None:
        """The link has ended. Publishes that waited there are sent again on another link."""
        self._queues.pop(link, None)
        self.waiting.pop(link, None)
        self._publishers.link_down(link)

    def stop(self) -> None:
        """The node leaves: from now on no publish is ordered."""
        for queue in self._queues.values():
            queue.publishes.clear()
        self.waiting.clear()

    # Arrivals

    def on_publish(self, link: Link, batch: Batch, now: float) -> None:
        """A peer's messages for a topic hosted here."""
        size = link.publishes.charge(batch, self._context.bytes_max)
        last = batch.first + batch.msgs - 1
        payloads = batches.payloads_of(batch)
        self._append(link, Publish(batch.topic_id, payloads, size, last), now)

    def on_forward(
        self, link: Link, sender: Sender, batch: Batch, record: bytes, now: float
    ) -> None:
        """Messages of a node behind the peer, or of the peer to a host behind this node."""
        context = self._context
        size = link.publishes.charge(batch, context.bytes_max)
        is_host = sender.host == context.node
        if is_host and Incarnation(sender.host_started, sender.host_random) != context.incarnation:
            # They are for an earlier incarnation. Messages for this one have the same numbers.
            self._credit.consumed(link, link.publishes, batch.msgs, size)
            return
        last = batch.first + batch.msgs - 1
        if is_host:
            found = Publish(batch.topic_id, batches.payloads_of(batch), size, last, sender)
        else:
            chunk = Chunk(record, batch.msgs, size, batch.large, batch.first)
            found = Publish(batch.topic_id, (), size, last, sender, chunk)
        self._append(link, found, now)

    def _append(self, link: Link, publish: Publish, now: float) -> None:
        queue = self._queues[link]
        if not queue.publishes:
            queue.since = now
        queue.publishes.append(publish)
        self.waiting[link] = None

    # Order

    def order(self, link: Link, now: float) -> None:
        """Orders what a peer published. If a subscriber is full, the node's deadline says when to
        go on.

        With ``overflow="catch-up"`` such a subscriber is set aside after ``send_timeout``, as it is
        after a publish of this node.
        """
        config = self._context.config
        patience = config.send_timeout if config.overflow == "catch-up" else None
        due = self._order(link, now, patience, ROOM_MAX)
        if due is not None:
            self._context.due(due)

    def go_on(self, now: float) -> None:
        """Orders publishes that waited for room, where there is some now."""
        most = SHARE_MSGS if len(self.waiting) > 1 else ROOM_MAX
        moved = True
        while moved:
            moved = False
            for link in list(self.waiting):
                before = link.publishes.consumed_msgs
                self._order(link, now, None, most)
                if link.publishes.consumed_msgs == before:
                    continue
                moved = True
                if link in self.waiting:
                    # A link that had its turn goes to the end.
                    del self.waiting[link]
                    self.waiting[link] = None

    def _order(self, link: Link, now: float, patience: float | None, most: int) -> float | None:
        """Orders what a peer published, up to so many messages.

        If a subscriber is full, returns when to go on: after ``patience`` seconds it is set aside
        (None: never). Messages that were ordered before, on this path or another, are dropped. So
        are messages that follow a gap, as the publisher sends them again.
        """
        queue = self._queues[link]
        publishes = queue.publishes
        while publishes:
            if most <= 0:
                self.waiting[link] = None
                return None
            publish = publishes.popleft()
            if publish.chunk is not None:
                passed = self._forward(link, queue, publish, publish.chunk)
                if passed is None:
                    self.waiting[link] = None
                    return None
                most -= passed
                continue
            fresh = self._fresh(link, publish)
            if not fresh.payloads:
                continue
            topic_id, payloads, size, last, sender, _ = fresh
            publisher = self._publishers.of(link, sender)
            topic = self._registry.sent.get(topic_id)
            if topic is None or topic.upstream is not None or self._context.refusing:
                publisher.refused += len(payloads)
            else:
                room = self._hosting.room(topic)
                if room == 0:
                    due = None if patience is None else queue.since + patience
                    if due is None or now < due:
                        publishes.appendleft(fresh)
                        self.waiting[link] = None
                        return due
                    self._replay.set_aside_full(topic, now)
                    room = self._hosting.room(topic)
                room = min(room, most)
                if room < len(payloads):
                    rest = payloads[room:]
                    payloads = payloads[:room]
                    left = sum(map(len, rest))
                    publishes.appendleft(Publish(topic_id, rest, left, last, sender))
                    size -= left
                    last -= len(rest)
                self._hosting.publish(topic, payloads)
            publisher.settled = last
            queue.since = now
            self._credit.consumed(link, link.publishes, len(payloads), size)
            most -= len(payloads)
        self.waiting.pop(link, None)
        return None

    def _forward(self, link: Link, queue: _LinkQueue, publish: Publish, chunk: Chunk) -> int | None:
        """Sends publishes on. Returns how many. None if some of them wait for room."""
        assert publish.sender is not None
        unsent = self._forwarder.forward(link, publish.topic_id, publish.sender, chunk)
        left = 0 if unsent is None else unsent.size
        passed = chunk.count - (0 if unsent is None else unsent.count)
        self._credit.consumed(link, link.publishes, passed, chunk.size - left)
        if unsent is None:
            return passed
        queue.publishes.appendleft(publish._replace(size=left, chunk=unsent))
        return None

    def _fresh(self, link: Link, publish: Publish) -> Publish:
        """The publish without the messages that this host has dealt with before."""
        topic_id, payloads, size, last, sender, _ = publish
        publisher = self._publishers.of(link, sender)
        known = len(payloads)
        if sender is None or last - known <= publisher.settled:
            known = max(0, min(known, publisher.settled - last + known))
            self._context.counters.duplicates += known
            if known:
                self._publishers.tell_again(link, publisher, sender)
        if not known:
            return publish
        left = sum(map(len, payloads[known:]))
        self._credit.consumed(link, link.publishes, known, size - left)
        return Publish(topic_id, payloads[known:], left, last, sender)

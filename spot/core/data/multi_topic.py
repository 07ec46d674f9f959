"""Many topics at once: published in one flush, and handed to ``recv`` as one delivery.

A batch of its own would cost a topic with a single message ten times as much as the message: a
record, a place in the queue and in history, a delivery, a release of credit. Here one medley, one
delivery and one release stand for all the topics that the same links get.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from spot.core.data.hosting import ROOM_MAX
from spot.core.data.inbox import Delivery
from spot.core.data.receive import Traffic
from spot.core.data.replay_buffer import History
from spot.core.link import Link
from spot.core.topics.position import Position
from spot.core.topics.registry import HostedTopic, RemoteTopic
from spot.core.wire import batches, codec
from spot.core.wire.batches import Batch, Chunk
from spot.core.wire.multi_batch import Medley, encode_medley
from spot.message import Message, ReceivedMessage


class MedleyDelivery(Delivery):
    """Messages of several topics for the application, none of which says that it missed something:
    those of a medley from number ``at`` on, one for each of ``topics``.
    """

    __slots__ = ("at", "medley", "topics")

    def __init__(self, link: Link, medley: Medley, at: int, topics: list[RemoteTopic]) -> None:
        count = len(topics)
        size = medley.offset(at + count) - medley.offset(at)
        super().__init__("", link.node, 0, 0, 0, link, count, size)
        self.medley = medley
        self.at = at
        self.topics = topics

    def messages(self) -> list[Message]:
        end = self.at + self.count
        rows = zip(
            [topic.name for topic in self.topics],
            self.medley.payloads(self.at, end),
            self.medley.sequences[self.at : end],
            repeat(0),
            repeat(self.node),
            [topic.epoch for topic in self.topics],
            strict=False,
        )
        return list(map(ReceivedMessage, rows))


class _Group:
    """Messages of topics that the same links get, and histories that they have filled."""

    __slots__ = ("full", "payloads", "sequences", "topics")

    def __init__(self) -> None:
        self.topics: list[HostedTopic] = []
        self.sequences: list[int] = []
        self.payloads: list[bytes] = []
        self.full: list[History] = []


class Together(Traffic):
    """The data side of a node, with what it publishes, and gets, of many topics at once."""

    # Publishing

    def publish_together(self, topics: Sequence[HostedTopic], payloads: Sequence[bytes]) -> int:
        """Orders a message of each of many topics; one may be there more than once. Returns how
        many more can be published, to all of these together, before a subscriber's queue is full.

        What is not plain (wanted here, read from history, large) is ordered as ``publish`` does.
        """
        groups: dict[tuple[Link, ...], _Group] = {}
        others: dict[HostedTopic, list[bytes]] = {}
        live: list[Link] | None = None
        is_aside = False
        for topic, payload in zip(topics, payloads, strict=True):
            if topic.live != live:
                live = topic.live
                links = tuple(live)
                is_aside = any(link.aside for link in links)
                group = groups.get(links) or groups.setdefault(links, _Group())
                add_topic = group.topics.append
                add_sequence = group.sequences.append
                add_payload = group.payloads.append
            history = topic.history
            size = len(payload)
            if (
                topic.local
                or topic.lacking
                or is_aside
                or size > history.plain_most
                or (others and topic in others)
            ):
                others.setdefault(topic, []).append(payload)
                continue
            head = topic.head = topic.head + 1
            add_topic(topic)
            add_sequence(head)
            add_payload(payload)
            if history.limit and history.add_one(head, payload, size):
                group.full.append(history)
        room = self._send_groups(groups)
        for topic, few in others.items():
            self.publish(topic, few)
            room = min(room, self.room(topic))
        return room

    def _send_groups(self, groups: dict[tuple[Link, ...], _Group]) -> int:
        """Queues what was ordered. Returns the room that is left."""
        room = ROOM_MAX
        for links, group in groups.items():
            if links and group.topics:
                self._send_together(links, group)
        for group in groups.values():
            # Afterwards, as it may set subscribers aside.
            for history in group.full:
                self._make_room(history)
            if group.topics:
                if self.shelf.size > self.shelf.limit:
                    self._make_room(group.topics[0].history)
                room = min(room, self.room(group.topics[0]))
        return room

    def _send_together(self, links: Sequence[Link], group: _Group) -> None:
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
                data, size = encode_medley(
                    topic_ids[at:end], group.sequences[at:end], payloads[at:end]
                )
                chunk = Chunk(data, end - at, size)
            for link in links:
                link.queue(chunk)
        for link in links:
            link.changed.update(topics)
            self.effects.touched[link] = None

    # Arrivals

    def on_data(self, link: Link, batch: Batch) -> None:
        """Takes a batch: quickly, if it is the next of a stream that is known."""
        topic_id = batch.topic_id
        position = self._streams(link).get(topic_id) or self._stream(link, topic_id)
        if (
            position is None
            or position.last + 1 != batch.first
            or position.owed != 0
            or self.registry.relayed
        ):
            super().on_data(link, batch)
            return
        size = self._charge(link, batch)
        position.last = batch.first + batch.msgs - 1
        topic = link.topics[topic_id]
        self.inbox.deliver(
            Delivery(
                topic.name,
                topic.node,
                topic.epoch,
                batch.first,
                0,
                link,
                batch.msgs,
                size,
                batch=batch,
            )
        )
        self.effects.progress = True

    def on_medley(self, link: Link, medley: Medley) -> None:
        """Takes the messages that are the next of their topics together, and others singly."""
        self._charge(link, medley)
        if self.registry.relayed:
            for at in range(medley.msgs):
                self._take_one(link, medley, at)
            return
        streams = self._streams(link)
        topic_ids = medley.topic_ids
        first = at = 0
        for position, sequence in zip(map(streams.get, topic_ids), medley.sequences, strict=True):
            stream = position or self._stream(link, topic_ids[at])
            if stream is None or stream.last + 1 != sequence or stream.owed != 0:
                self._deliver_together(link, medley, first, at)
                self._take_one(link, medley, at)
                first = at + 1
            else:
                stream.last = sequence
            at += 1
        self._deliver_together(link, medley, first, at)

    def _take_one(self, link: Link, medley: Medley, at: int) -> None:
        batch = medley.message(at)
        self.take_in(link, batch, batch.payload_bytes)

    def _deliver_together(self, link: Link, medley: Medley, first: int, end: int) -> None:
        if first < end:
            topics = [link.topics[topic_id] for topic_id in medley.topic_ids[first:end]]
            self.inbox.deliver(MedleyDelivery(link, medley, first, topics))
            self.effects.progress = True

    def _streams(self, link: Link) -> dict[int, Position]:
        """The streams of a link that are known, by the number of the topic."""
        if link.streams_as_of != self.registry.version:
            link.streams_as_of = self.registry.version
            link.streams.clear()
        return link.streams

    def _stream(self, link: Link, topic_id: int) -> Position | None:
        """The position in a topic whose messages on this link are what its subscribers get; it
        is remembered until subscriptions, topics or hosts change.
        """
        topic = link.topics.get(topic_id)
        if topic is None or topic.asked or topic.way.path or not self._is_wanted(topic):
            return None
        if not self._is_active(topic) or not self._is_listened(topic):
            return None
        position = self.subscriptions.position(topic.name, topic.node)
        if position is None or position.epoch != topic.epoch:
            return None
        link.streams[topic_id] = position
        return position

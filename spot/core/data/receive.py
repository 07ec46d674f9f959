"""What arrives for this node's subscriptions: in order, at most once, with what was missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from spot.core.context import NodeContext
from spot.core.data.credit import Credit
from spot.core.data.inbox import Delivery, Inbox, MultiDelivery
from spot.core.topics.announced import Announced, RemoteTopic
from spot.core.topics.interest import Subscriptions
from spot.core.topics.position import Position
from spot.core.topics.registry import Registry
from spot.core.topics.topic_sources import Listening
from spot.core.wire import codec
from spot.core.wire.batches import Batch
from spot.core.wire.interests import POSITION, InterestEntry, encode_interest
from spot.core.wire.multi_batch import MultiBatch


class Tap(Protocol):
    """What a relay does with the stream of a REMOTE topic, beside this node's subscriptions."""

    @property
    def topics(self) -> Mapping[tuple[str, str], object]:
        """The topics that pass through, by name and host."""

    def on_batch(self, topic: RemoteTopic, batch: Batch) -> None:
        """A batch came that peers of the relay may want."""

    def on_head(self, topic: RemoteTopic, head: int, asked: int) -> None:
        """Nothing up to here will come any more."""


class Refollow(Protocol):
    """What this node asks of relays."""

    def ask_again(self, topic: RemoteTopic, head: int) -> None:
        """All of a followed topic up to ``head`` was sent: what has not come is asked for again."""


class Receiver:
    """Takes batches and heads of REMOTE topics, and delivers them to the inbox."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        subscriptions: Subscriptions,
        inbox: Inbox,
        listening: Listening,
        credit: Credit,
        follow: Refollow,
        tap: Tap,
    ) -> None:
        self._context = context
        self._registry = registry
        self._subscriptions = subscriptions
        self._inbox = inbox
        self._listening = listening
        self._credit = credit
        self._follow = follow
        self._tap = tap
        self._tapped = tap.topics

    # Batches

    def on_data(self, announced: Announced, batch: Batch) -> None:
        """Takes a batch: quickly, if it is the next of a stream that is known."""
        link = announced.link
        size = link.data.charge(batch, self._context.bytes_max)
        topic_id = batch.topic_id
        position = self._streams(announced).get(topic_id) or self._find_stream(announced, topic_id)
        if (
            position is None
            or position.last + 1 != batch.first
            or position.owed != 0
            or self._tapped
        ):
            self._take_in(announced, batch, size)
            return
        position.last = batch.first + batch.msgs - 1
        topic = announced.topics[topic_id]
        self._inbox.deliver(
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
        self._context.effects.progress = True

    def _take_in(self, announced: Announced, batch: Batch, size: int) -> None:
        """Messages of one topic that the link has paid for, with so many bytes."""
        listening = self._listening
        link = announced.link
        topic = announced.topics.get(batch.topic_id)
        if topic is not None and self._tapped:
            self._tap.on_batch(topic, batch)
        if topic is None or not listening.is_wanted(topic) or not listening.is_active(topic):
            self._credit.consumed(link, link.data, batch.msgs, size)
            return
        position = self._subscriptions.new_position(topic.name, topic.node)
        first = batch.first
        last = first + batch.msgs - 1
        if not listening.is_listened(topic):
            position.follow(topic.epoch, last)
            self._credit.consumed(link, link.data, batch.msgs, size)
            return
        if position.epoch == 0 or topic.asked:
            # Every stream begins with a HEAD: this was under way to an earlier subscription.
            self._credit.consumed(link, link.data, batch.msgs, size)
            return
        skip = 0
        if position.epoch == topic.epoch and first <= position.last:
            skip = min(batch.msgs, position.last + 1 - first)
            self._context.counters.duplicates += skip
            if skip == batch.msgs:
                self._credit.consumed(link, link.data, batch.msgs, size)
                return
        self._context.note_missed(position.advance(topic.epoch, first + skip - 1))
        if topic.name in self._subscriptions.in_doubt:
            doubt = self._subscriptions.stream_goes_on(topic.name, topic.node, topic.epoch)
            self._context.note_missed(doubt)
        self._inbox.deliver(
            Delivery(
                topic.name,
                topic.node,
                topic.epoch,
                first + skip,
                position.deliver(last),
                link,
                batch.msgs,
                size,
                batch=batch,
                skip=skip,
            )
        )
        self._context.effects.progress = True

    def on_multi(self, announced: Announced, batch: MultiBatch) -> None:
        """Takes a multi-topic batch: the messages that are the next of their topics together, the
        others one by one.
        """
        announced.link.data.charge(batch, self._context.bytes_max)
        if self._tapped:
            for at in range(batch.msgs):
                self._take_one(announced, batch, at)
            return
        streams = self._streams(announced)
        topic_ids = batch.topic_ids
        first = at = 0
        for known, sequence in zip(map(streams.get, topic_ids), batch.sequences, strict=True):
            position = known or self._find_stream(announced, topic_ids[at])
            if position is None or position.last + 1 != sequence or position.owed != 0:
                self._deliver_together(announced, batch, first, at)
                self._take_one(announced, batch, at)
                first = at + 1
            else:
                position.last = sequence
            at += 1
        self._deliver_together(announced, batch, first, at)

    def _take_one(self, announced: Announced, batch: MultiBatch, at: int) -> None:
        one = batch.message(at)
        self._take_in(announced, one, one.payload_bytes)

    def _deliver_together(
        self, announced: Announced, batch: MultiBatch, first: int, end: int
    ) -> None:
        if first < end:
            known = announced.topics
            topics = [known[topic_id] for topic_id in batch.topic_ids[first:end]]
            self._inbox.deliver(MultiDelivery(announced.link, batch, first, topics))
            self._context.effects.progress = True

    def _streams(self, announced: Announced) -> dict[int, Position]:
        """The positions in the known streams of a link, by the number of the topic."""
        if announced.streams_as_of != self._registry.version:
            announced.streams_as_of = self._registry.version
            announced.streams.clear()
        return announced.streams

    def _find_stream(self, announced: Announced, topic_id: int) -> Position | None:
        """The position in a topic whose messages on this link are what its subscribers get.

        It is remembered until subscriptions, topics or hosts change.
        """
        listening = self._listening
        topic = announced.topics.get(topic_id)
        if topic is None or topic.asked or topic.path.relays or not listening.is_wanted(topic):
            return None
        if not listening.is_active(topic) or not listening.is_listened(topic):
            return None
        if topic.name in self._subscriptions.in_doubt:
            return None
        position = self._subscriptions.position(topic.name, topic.node)
        if position is None or position.epoch != topic.epoch:
            return None
        announced.streams[topic_id] = position
        return position

    # Heads

    def on_head(self, announced: Announced, topic_id: int, head: int, asked: int) -> None:
        """Nothing up to here will come any more, for a node that had sent so many requests."""
        listening = self._listening
        topic = announced.topics.get(topic_id)
        if topic is None:
            return
        if topic in announced.awaiting:
            announced.awaiting.discard(topic)
            self._context.effects.progress = True
        self._tap.on_head(topic, head, asked)
        if asked >= topic.asked:
            topic.asked = 0
        if not listening.is_wanted(topic) or not listening.is_active(topic):
            return
        position = self._subscriptions.new_position(topic.name, topic.node)
        if not listening.is_listened(topic):
            position.follow(topic.epoch, head)
        elif not topic.asked:
            self._context.note_missed(position.advance(topic.epoch, head))

    def on_begin(self, announced: Announced, epoch: int, head: int, asked: int, name: str) -> None:
        """A subscription begins here, whose HEAD is still to come.

        The HEAD may stand behind the announcement of the topic, and the end of an earlier topic of
        that name. If the link ends before the HEAD, the next link is asked from here on.
        """
        subscriptions = self._subscriptions
        link = announced.link
        position = subscriptions.position(name, link.node)
        if position is None or position.epoch:
            return
        topic = self._registry.announced.get((name, link.node), {}).get(link)
        listened = self._registry.listened(name)
        if topic is None:
            answered = announced.requests.number_for(name, subscriptions)
        else:
            answered = topic.asked
        if asked < answered:
            return
        if listened is None or listened is topic:
            position.advance(epoch, head)

    def on_heads(self, announced: Announced, heads: list[tuple[int, int]]) -> None:
        """The peer has sent all up to these heads: what has not come is asked for again."""
        listening = self._listening
        entries: list[InterestEntry] = []
        for topic_id, head in heads:
            topic = announced.topics.get(topic_id)
            if topic is None or not listening.is_listened(topic):
                continue
            if topic.is_followed:
                self._follow.ask_again(topic, head)
                continue
            position = self._subscriptions.position(topic.name, topic.node)
            if position is not None and position.epoch == topic.epoch and position.last < head:
                entries.append(InterestEntry(POSITION, topic.epoch, position.last, topic.name))
        if entries:
            announced.ask(self._context.effects, encode_interest(codec.INTEREST, entries))

    def on_final(self, topic: RemoteTopic, head: int) -> None:
        """The epoch of a REMOTE topic ended in an orderly way."""
        listening = self._listening
        self._subscriptions.stream_ended(topic.name, topic.node, topic.epoch)
        position = self._subscriptions.position(topic.name, topic.node)
        if position is None or position.epoch != topic.epoch or not listening.is_active(topic):
            return
        if not listening.is_listened(topic):
            position.follow(topic.epoch, head)
        self._context.note_missed(position.finish(head))

    def forget_ends(self, node: str, names: set[str]) -> None:
        """Other epochs may come and go, unnoticed here, before there is a path again."""
        for name in names:
            position = self._subscriptions.position(name, node)
            if position is not None:
                position.final = False

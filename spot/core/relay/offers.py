"""What a relay offers its peers: nodes, their topics, and the way on which publishes go to them.

All that concerns a node goes by one way: it is offered by that, its topics are taken from there,
and what is published to it is sent on there. Whoever is behind hears when the way is another.
"""

from __future__ import annotations

from typing import Any

from spot.core.data.ingress import UNTOLD
from spot.core.data.outbox import PUBLISHERS_MAX
from spot.core.data.replay import Subscriber
from spot.core.data.replay_buffer import History
from spot.core.link import Link, chunk_msgs
from spot.core.relay.forward import Passing
from spot.core.topics.registry import Relayed, RemoteTopic, Way
from spot.core.wire import codec
from spot.core.wire.batches import Chunk
from spot.core.wire.codec import Sender
from spot.core.wire.greeting import Incarnation, encode_node_gone

LISTED = 1024
ENDED_MAX = 65_536
"""Topics that a relay knows to have been ended by their hosts: more do not end while a publish is
under way to it."""


class Relaying(Passing):
    """The data side of a node, with what goes through it. ``relays`` says whether it is a relay."""

    relays = False
    history_bytes = 0

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        # By node: the way that is offered to others.
        self.best: dict[str, Way] = {}
        # Numbers of topics that their hosts have ended: what is published to them is refused there.
        self.ended: dict[int, None] = {}

    # Nodes

    def renew_offers(self, why: str) -> None:
        """Tells peers of the nodes that they can reach through this one, and of changes."""
        if not self.relays:
            return
        links = self.links()
        offered = {node for link in links for node in link.offered}
        for node in {*offered, *self.ways}:
            self._offer(node, links, why)

    def _offer(self, node: str, links: list[Link], why: str) -> None:
        before_best = self.best.get(node)
        best = self._best_way(node, before_best)
        if before_best is not None and (
            best is None or best.incarnation != before_best.incarnation
        ):
            self._withdraw(node, links, why)
        if best is not None and best is not before_best:
            self.best[node] = best
            for name, host in {**self.registry.relayed, **self.registry.ways}:
                if host == node:
                    self._renew_relayed(name, node)
        topics = self._relayed_of(node)
        for link in links:
            before = link.offered.get(node)
            entry = None
            if best is not None and best.link is not link:
                entry = self._entry_for(link, best)
            if entry == before:
                continue
            self.effects.touched[link] = None
            if entry is None:
                del link.offered[node]
                link.queue_record(_gone(node, why, topics))
                for topic in topics:
                    self._drop_follower(link, topic)
                continue
            link.offered[node] = entry
            if before is None:
                link.queue_record(codec.encode_node(entry._replace(complete=False)))
                known = [self.entry_of(topic) for topic in topics]
                for at in range(0, len(known), LISTED):
                    link.queue_record(codec.encode_topics(known[at : at + LISTED], complete=False))
            link.queue_record(codec.encode_node(entry))

    def _withdraw(self, node: str, links: list[Link], why: str) -> None:
        """The life of a node that was offered can't be reached any more: its topics end with the
        offer, before there is one of another life.

        What is held here goes out before the news.
        """
        del self.best[node]
        topics = self._relayed_of(node)
        for topic in topics:
            self._hurry_all(topic)
        record = _gone(node, why, topics)
        for link in links:
            if link.offered.pop(node, None) is not None:
                link.queue_record(record)
                self.effects.touched[link] = None
        for topic in topics:
            self.end_relayed(topic, None)

    def _relayed_of(self, node: str) -> list[Relayed]:
        return [topic for topic in self.registry.relayed.values() if topic.node == node]

    def _entry_for(self, link: Link, way: Way) -> codec.NodeEntry | None:
        """What a peer is offered, if it is not on that way itself."""
        if link.node == way.node or link.node in way.path or len(way.path) >= codec.RELAYS_MAX:
            return None
        life = way.incarnation
        size = min(way.bytes_max, self.bytes_max)
        path = (self.node, *way.path)
        return codec.NodeEntry(way.node, life.started, life.random, size, path, complete=True)

    def _drop_follower(self, link: Link, topic: Relayed) -> None:
        link.follows.discard(topic)
        if topic in link.feeds:
            self._starve(link, (topic,))
        topic.pending.pop(link, None)
        topic.asking.pop(link, None)
        self._no_longer(topic)

    # Their topics

    def resteer(self, name: str, node: str) -> None:
        if self.relays:
            self._renew_relayed(name, node)
        super().resteer(name, node)

    def _renew_relayed(self, name: str, node: str) -> None:
        """A topic is passed on from the way that its host is offered by, so that no circle of
        relays can keep alive what has ended.
        """
        relayed = self.registry.relayed.get((name, node))
        best = self.best.get(node)
        source = None
        if best is not None:
            source = self.registry.ways.get((name, node), {}).get(best.link)
        if relayed is not None and (source is None or source.epoch != relayed.epoch):
            self.end_relayed(relayed, None)
            relayed = None
        if source is None:
            return
        if relayed is None:
            self._pass_on_topic(source)
        elif relayed.source is not source:
            before = relayed.source
            relayed.source = source
            relayed.is_fetching = False
            if before.link is not None:
                self.follow(before)
            self.follow(source)

    def _pass_on_topic(self, source: RemoteTopic) -> None:
        registry = self.registry
        topic = Relayed(registry.next_id, source)
        registry.next_id += 1
        topic.history = History(min(self.history_bytes, self.shelf.limit), topic, self.shelf)
        registry.relayed[topic.name, topic.node] = topic
        registry.relayed_by_id[topic.topic_id] = topic
        for link in self.links():
            if topic.node in link.offered:
                link.queue_record(codec.encode_topics((self.entry_of(topic),), complete=False))
                self.effects.touched[link] = None

    def links(self) -> list[Link]:
        """All links that are up."""
        return [way.link for ways in self.ways.values() for way in ways.values() if not way.path]

    @staticmethod
    def entry_of(topic: Relayed) -> codec.TopicEntry:
        return codec.TopicEntry(
            topic.topic_id, topic.epoch, topic.head, topic.name, topic.standby, topic.node
        )

    def end_relayed(self, topic: Relayed, head: int | None) -> None:
        """A topic is passed on no longer. ``head`` is its last sequence, None if nobody knows.

        What is held here goes out before the news.
        """
        self._hurry_all(topic)
        record = codec.encode_gone(topic.topic_id, codec.EVERYTHING if head is None else head)
        for link in self.links():
            if topic.node in link.offered:
                link.queue_record(record)
                self.effects.touched[link] = None
            link.follows.discard(topic)
        for link in topic.links:
            link.feeds.discard(topic)
            link.changed.discard(topic)
            link.positions.pop(topic, None)
        for subscriber in list(topic.lacking):
            self._has_all(subscriber, topic)
        topic.links.clear()
        topic.live.clear()
        topic.pending.clear()
        topic.asking.clear()
        self.shelf.forget(topic.history)
        del self.registry.relayed[topic.name, topic.node]
        del self.registry.relayed_by_id[topic.topic_id]
        if head is not None:
            self.ended[topic.topic_id] = None
            if len(self.ended) > ENDED_MAX:
                del self.ended[next(iter(self.ended))]

    def _hurry_all(self, topic: Relayed) -> None:
        for subscriber in list(topic.lacking):
            if not subscriber.aside:
                self._hurry_held(subscriber, topic)

    def _hurry_held(self, subscriber: Subscriber, topic: Relayed) -> None:
        while True:
            at = subscriber.lacks[topic]
            chunk = topic.history.find(at)
            if chunk is None or chunk.first > at or self._room_of(subscriber) < chunk.count:
                return
            if subscriber in topic.untold:
                topic.untold.discard(subscriber)
                self._tell_lost(subscriber, topic, at - 1)
            piece = chunk.part(at, self._most(subscriber))
            self._put(subscriber, topic, piece)
            subscriber.lacks[topic] = piece.last + 1

    # Publishes that go through

    def pass_on(
        self, link: Link, topic_id: int, sender: Sender | None, chunk: Chunk
    ) -> Chunk | None:
        assert sender is not None
        way = self.best.get(sender.host)
        life = Incarnation(sender.host_started, sender.host_random)
        if way is None or way.link is link or way.incarnation != life:
            # The publisher was offered another way then: it hears that, and sends this again.
            return None
        relayed = self.registry.relayed_by_id.get(topic_id)
        if relayed is None and topic_id and topic_id not in self.ended:
            # So did the way by which the topic was offered then.
            return None
        self._remember(sender, link)
        number = 0 if relayed is None else relayed.source.topic_id
        most = chunk_msgs(way.link.window_msgs)
        first = chunk.first
        while first <= chunk.last:
            room = way.link.publishes.room(self.sndhwm)
            if not room:
                return chunk.part(first, chunk.count)
            piece = chunk.part(first, min(most, room))
            data = codec.forwarded(sender, codec.with_topic(piece.data, number))
            way.link.publishes.queue(Chunk(data, piece.count, piece.size, piece.large, first))
            self.effects.touched[way.link] = None
            first = piece.last + 1
        return None

    @staticmethod
    def _remember(sender: Sender, link: Link) -> None:
        """What is confirmed is to be told on this link, also if it was told before."""
        link.returns.pop(sender, None)
        link.returns[sender] = UNTOLD
        if len(link.returns) > PUBLISHERS_MAX:
            del link.returns[next(iter(link.returns))]

    def pass_back(self, sender: Sender, number: int, refused: int) -> None:
        """CONFIRMED, towards its publisher: it is this node, or behind links that publishes came
        by. On each of them, as what came last may have been under way for long, and no way any
        more; and once, as they may lead in a circle.
        """
        if sender.node == self.node:
            self.on_confirmed(sender, number, refused)
            return
        for link in self.links():
            if link.returns.get(sender, number) < number:
                link.returns[sender] = number
                self.effects.control(link, codec.encode_confirmed(sender, number, refused))


def _gone(node: str, why: str, topics: list[Relayed]) -> bytes:
    """NODE_GONE, with the last sequences of the topics whose host has told them."""
    heads = {topic.topic_id: topic.final for topic in topics if topic.final is not None}
    return encode_node_gone(node, why, heads)

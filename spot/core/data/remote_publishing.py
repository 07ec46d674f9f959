"""What this node publishes to topics of others, and the ways on which it goes to their hosts."""

from __future__ import annotations

from collections.abc import Sequence

from spot.core.data.ingress import Ordering
from spot.core.data.outbox import LIVES_MAX, Outbox
from spot.core.effects import Effects
from spot.core.link import Link, chunk_msgs
from spot.core.topics.registry import RemoteTopic, Way
from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk
from spot.core.wire.codec import ProtocolError, Sender
from spot.core.wire.greeting import Incarnation


class Outgoing(Ordering):
    """Publishes to other hosts, each life of which has an outbox and ways of its own."""

    def __init__(
        self,
        node: str,
        sndhwm: int,
        rcvhwm: int,
        history_total_bytes: int,
        effects: Effects,
        me: Incarnation,
    ) -> None:
        super().__init__(node, sndhwm, rcvhwm, history_total_bytes, effects)
        self.me = me
        # By node, how it can be reached, by the link that leads there.
        self.ways: dict[str, dict[Link, Way]] = {}
        # By host, and by its lives in the order in which they were first published to.
        self.outboxes: dict[str, dict[Incarnation, Outbox]] = {}
        # By host: publishes of which nobody knows what became, until a publish has told.
        self.unknown: dict[str, int] = {}

    # Ways

    def add_way(self, way: Way) -> None:
        way.link.ways[way.node] = way
        self.ways.setdefault(way.node, {})[way.link] = way

    def end_way(self, way: Way) -> None:
        """A way to a node is lost: what went by it goes by another, if there is one."""
        way.link.ways.pop(way.node, None)
        ways = self.ways.get(way.node, {})
        if ways.get(way.link) is way:
            del ways[way.link]
            if not ways:
                del self.ways[way.node]
        self.steer_publishes(way.node)

    def _best_way(
        self, node: str, now: Way | None = None, life: Incarnation | None = None
    ) -> Way | None:
        """How a node, or one life of it, is reached best: over a link to it, else in the life that
        began last, else by the fewest relays, else as ``now``.
        """
        return min(
            (
                way
                for way in self.ways.get(node, {}).values()
                if way.is_complete and life in (None, way.incarnation)
            ),
            key=lambda way: (
                way.rank > 0,
                -way.incarnation.started,
                way.rank,
                way is not now,
                way.path,
            ),
            default=None,
        )

    # Publishing

    def publish_remote(self, topic: RemoteTopic, payloads: Sequence[bytes]) -> None:
        """Sends messages to the topic's host, which will order them.

        If the last way to it has just ended, they wait for the next one.
        """
        outbox = self._outbox_to(topic.node, topic.incarnation) or self._new_outbox(topic)
        carrier = outbox.carrier
        most = CHUNK_MSGS if carrier is None else chunk_msgs(carrier.link.window_msgs)
        for batch in batches.cut(payloads, most):
            chunk = batches.encoded(codec.PUBLISH, topic.topic_id, outbox.published + 1, batch)
            outbox.keep(chunk, topic.name)
            if outbox.carrier is not None:
                number = self._number_on(outbox.carrier, topic.name)
                if number is None:
                    # It goes with the rest, when the topic is announced on that way.
                    outbox.carrier = None
                else:
                    self._carry(outbox.carrier, chunk, number)
        if outbox.carrier is None:
            self._doubt_lost(topic.node)

    def _outbox_to(self, node: str, life: Incarnation) -> Outbox | None:
        return self.outboxes.get(node, {}).get(life)

    def _new_outbox(self, topic: RemoteTopic) -> Outbox:
        node = topic.node
        outboxes = self.outboxes.setdefault(node, {})
        reached = {way.incarnation for way in self.ways.get(node, {}).values()}
        others = [life for life in outboxes if life not in reached]
        for life in others[: max(0, len(others) + 1 - LIVES_MAX)]:
            self.lose_publishes(node, outboxes.pop(life).unsettled)
        outbox = outboxes[topic.incarnation] = Outbox(topic.incarnation)
        outbox.carrier = self._best_way(node, life=topic.incarnation)
        return outbox

    def room_to(self, topic: RemoteTopic) -> int:
        """How many messages can be published to a REMOTE topic before the queue that they go into
        is full. Its own messages may come by another way than publishes to its host go.
        """
        life = topic.incarnation
        outbox = self._outbox_to(topic.node, life)
        carrier = self._best_way(topic.node, life=life) if outbox is None else outbox.carrier
        if carrier is not None:
            return carrier.link.publishes.room(self.sndhwm)
        return self.sndhwm if outbox is None else max(0, self.sndhwm - outbox.unsettled)

    def _number_on(self, way: Way, name: str) -> int | None:
        topic = self.registry.ways.get((name, way.node), {}).get(way.link)
        return None if topic is None else topic.topic_id

    def _carry(self, way: Way, chunk: Chunk, number: int) -> None:
        data = chunk.data if number == chunk.topic_id else codec.with_topic(chunk.data, number)
        if way.path:
            sender = self._sender(way.node, way.incarnation, self.node, self.me)
            data = codec.forwarded(sender, data)
        if data is not chunk.data:
            chunk = Chunk(data, chunk.count, chunk.size, chunk.large, chunk.first)
        way.link.publishes.queue(chunk)
        self.effects.touched[way.link] = None

    def steer_publishes(self, node: str, *, again: Way | None = None) -> None:
        """Ways to a host came or went: what a life of it has not dealt with goes by the best of
        those that lead there.

        ``again``: something may have been lost on this way.
        """
        for life, outbox in self.outboxes.get(node, {}).items():
            carrier = self._best_way(node, outbox.carrier, life)
            if carrier is outbox.carrier and carrier is not again:
                continue
            outbox.carrier = carrier
            if carrier is None:
                continue
            most = chunk_msgs(carrier.link.window_msgs)
            for chunk, name in outbox.kept:
                # A topic that has ended has no number: the host refuses 0.
                number = self._number_on(carrier, name) or 0
                for first in range(max(chunk.first, outbox.settled + 1), chunk.last + 1, most):
                    self._carry(carrier, chunk.part(first, most), number)
        self._doubt_lost(node)

    def _doubt_lost(self, node: str) -> None:
        """Where a way leads to one life of a host, and none to another, that other may be over.

        It may also live behind relays that are late to know, and then gets the rest when they do;
        but not if it is the earlier one.
        """
        outboxes = self.outboxes.get(node)
        if not outboxes:
            return
        ways = self.ways.get(node, {}).values()
        lives = [way.incarnation for way in ways if way.is_complete or not way.path]
        if not lives:
            return
        found = max(lives)
        reached = {way.incarnation for way in ways}
        for life, outbox in outboxes.items():
            if life not in reached:
                self.lose_publishes(node, outbox.doubt())
                if life < found:
                    outbox.clear()

    def lose_publishes(self, node: str, count: int) -> None:
        """Nobody can know what became of so many publishes to a host."""
        if count:
            self.counters.publish_unknown += count
            self.unknown[node] = self.unknown.get(node, 0) + count

    def on_settled(self, link: Link, number: int, refused: int) -> None:
        """A host tells up to where it has dealt with the publishes to its topics."""
        self._settle(self._outbox_to(link.node, link.incarnation), number, refused)

    def on_confirmed(self, sender: Sender, number: int, refused: int) -> None:
        """The same, through relays."""
        outbox = self._outbox_to(sender.host, Incarnation(sender.host_started, sender.host_random))
        if outbox is None or number > outbox.published:
            return
        if Incarnation(sender.started, sender.random) == self.me:
            self._settle(outbox, number, refused)

    @staticmethod
    def _sender(host: str, host_life: Incarnation, node: str, life: Incarnation) -> Sender:
        """The publishes of one life of a node to one life of a host, which have own numbers."""
        return Sender(host, node, life.started, life.random, host_life.started, host_life.random)

    def _settle(self, outbox: Outbox | None, number: int, refused: int) -> None:
        if outbox is None or number > outbox.published or refused > number:
            raise ProtocolError(f"publishes up to {number} are settled, which never were")
        self.counters.publish_unknown += outbox.refuse(refused)
        outbox.settle(number)

    def settled(self, link: Link) -> bytes:
        """SETTLED, and CONFIRMED to those behind the peer, if there is news."""
        news = b""
        publisher = link.publisher
        if publisher is not None and link.told != publisher.settled:
            link.told = publisher.settled
            news = codec.encode_settled(publisher.settled, publisher.refused)
        for each, told in link.forwarders.items():
            if told != each.settled:
                link.forwarders[each] = each.settled
                sender = self._sender(self.node, self.me, each.node, each.incarnation)
                news += codec.encode_confirmed(sender, each.settled, each.refused)
        return news

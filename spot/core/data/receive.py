"""What arrives, and what it costs in credit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spot.core.data.inbox import Delivery, Notice
from spot.core.data.remote_publishing import Outgoing
from spot.core.effects import Effects
from spot.core.link import Flow, Ingress, Link
from spot.core.topics.interest import POSITION, InterestEntry, encode_interest
from spot.core.topics.patterns import may_overlap
from spot.core.topics.registry import RemoteTopic, Way
from spot.core.wire import batches, codec
from spot.core.wire.batches import Batch, Chunk
from spot.core.wire.codec import ProtocolError, Sender
from spot.core.wire.greeting import Incarnation

if TYPE_CHECKING:
    from spot.core.wire.multi_batch import Medley

FRAME_BYTES = 256 * 1024


class Traffic(Outgoing):
    """The data side of a node: its own topics, what it publishes to others', what comes of them."""

    def __init__(
        self,
        node: str,
        sndhwm: int,
        rcvhwm: int,
        history_total_bytes: int,
        bytes_max: int,
        effects: Effects,
        me: Incarnation,
    ) -> None:
        super().__init__(node, sndhwm, rcvhwm, history_total_bytes, effects, me)
        self.bytes_max = max(bytes_max, 2 * batches.CHUNK_BYTES)

    # Asking

    def ask(self, link: Link, record: bytes) -> None:
        """Sends an INTEREST or FOLLOW. A HEAD says how many of them its sender had handled."""
        link.asks += 1
        self.effects.control(link, record)

    def asked_anew(self, link: Link, name: str, *, pattern: bool, was_wanted: bool) -> None:
        """A subscription has begun; what came for one that ended before is not for it."""
        if not link.has_unasked:
            return
        if pattern:
            link.renewed_patterns[name] = link.asks
        elif not was_wanted:
            link.renewed[name] = link.asks

    def unasked(self, link: Link, name: str, *, pattern: bool) -> None:
        """A subscription has ended."""
        link.has_unasked = True
        if pattern:
            since = link.renewed_patterns.pop(name, 0)
            for other, asked in link.renewed_patterns.items():
                if asked > since and may_overlap(name, other):
                    # What both match is wanted since the first of them.
                    link.renewed_patterns[other] = since
            for each in [each for each in link.renewed if not self.subscriptions.wants(each)]:
                del link.renewed[each]
            return
        if self.subscriptions.wants(name):
            link.renewed.setdefault(name, 0)
        else:
            link.renewed.pop(name, None)

    def asked_for(self, link: Link, name: str) -> int:
        """The number of the INTEREST whose answer begins a topic that was announced just now."""
        if name in self.subscriptions.topics:
            return link.renewed.get(name, 0)
        if name in link.renewed:
            return link.renewed[name]
        matching = self.subscriptions.patterns.matching(name) if link.renewed_patterns else ()
        return min((link.renewed_patterns.get(each, 0) for each in matching), default=0)

    # Arrivals

    def _is_listened(self, topic: RemoteTopic) -> bool:
        """Whether this node takes the topic from that peer, and not from itself or another."""
        return self.registry.listened(topic.name) is topic

    def _is_active(self, topic: RemoteTopic) -> bool:
        """Whether it is the way on which the topic is taken from its host."""
        return self.registry.active(topic.name, topic.node) is topic

    def _is_wanted(self, topic: RemoteTopic) -> bool:
        return topic.name in self.subscriptions.positions or self.subscriptions.wants(topic.name)

    def on_data(self, link: Link, batch: Batch) -> None:
        self.take_in(link, batch, self._charge(link, batch))

    def take_in(self, link: Link, batch: Batch, size: int) -> None:
        """Messages of a topic that the link has paid for, with so many bytes."""
        topic = link.topics.get(batch.topic_id)
        if topic is not None and self.registry.relayed:
            self.relay(topic, batch)
        if topic is None or not self._is_wanted(topic) or not self._is_active(topic):
            self.consumed(link, link, batch.msgs, size)
            return
        position = self._position(topic.name, topic.node)
        first = batch.first
        last = first + batch.msgs - 1
        if not self._is_listened(topic):
            position.follow(topic.epoch, last)
            self.consumed(link, link, batch.msgs, size)
            return
        if position.epoch == 0 or topic.asked:
            # Every stream begins with a HEAD: this was under way to an earlier one.
            self.consumed(link, link, batch.msgs, size)
            return
        skip = 0
        if position.epoch == topic.epoch and first <= position.last:
            skip = min(batch.msgs, position.last + 1 - first)
            self.counters.duplicates += skip
            if skip == batch.msgs:
                self.consumed(link, link, batch.msgs, size)
                return
        self._note_missed(position.advance(topic.epoch, first + skip - 1))
        self.inbox.deliver(
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
        self.effects.progress = True

    def on_head(self, link: Link, topic_id: int, head: int, asked: int) -> None:
        """Nothing up to here will come any more, to who had sent so many INTEREST and FOLLOW."""
        topic = link.topics.get(topic_id)
        if topic is None:
            return
        if topic in link.awaiting:
            link.awaiting.discard(topic)
            self.effects.progress = True
        self.relay_head(topic, head, asked)
        if asked >= topic.asked:
            topic.asked = 0
        if not self._is_wanted(topic) or not self._is_active(topic):
            return
        position = self._position(topic.name, topic.node)
        if not self._is_listened(topic):
            position.follow(topic.epoch, head)
        elif not topic.asked:
            self._note_missed(position.advance(topic.epoch, head))

    def on_begin(self, link: Link, epoch: int, head: int, asked: int, name: str) -> None:
        """A subscription begins here, of which the HEAD is still to come: perhaps behind the
        announcement of the topic, and the end of an earlier one. If the link ends before that,
        the next is asked from here on.
        """
        position = self.subscriptions.position(name, link.node)
        if position is None or position.epoch:
            return
        topic = self.registry.ways.get((name, link.node), {}).get(link)
        listened = self.registry.listened(name)
        if asked < (self.asked_for(link, name) if topic is None else topic.asked):
            return
        if listened is None or listened is topic:
            position.advance(epoch, head)

    def on_heads(self, link: Link, heads: list[tuple[int, int]]) -> None:
        """All up to here was sent: what has not come is asked for again."""
        lacking: list[InterestEntry] = []
        for topic_id, head in heads:
            topic = link.topics.get(topic_id)
            if topic is None or not self._is_listened(topic):
                continue
            if topic.followed:
                self.ask_again(topic, head)
                continue
            position = self.subscriptions.position(topic.name, topic.node)
            if position is not None and position.epoch == topic.epoch and position.last < head:
                lacking.append(InterestEntry(POSITION, topic.epoch, position.last, topic.name))
        if lacking:
            self.ask(link, encode_interest(codec.INTEREST, lacking))

    def on_final(self, topic: RemoteTopic, head: int) -> None:
        """The epoch of a REMOTE topic ended in an orderly way."""
        position = self.subscriptions.position(topic.name, topic.node)
        if position is None or position.epoch != topic.epoch or not self._is_active(topic):
            return
        if not self._is_listened(topic):
            position.follow(topic.epoch, head)
        self._note_missed(position.finish(head))

    # Publishes of others

    def on_publish(self, link: Link, batch: Batch, now: float) -> None:
        """A peer's messages for a topic hosted here: ordered when its subscribers have room."""
        size = self._charge(link.publishes, batch)
        last = batch.first + batch.msgs - 1
        if not link.ingress:
            link.ingress_since = now
        link.ingress.append(Ingress(batch.topic_id, batches.payloads_of(batch), size, last))

    def on_forward(
        self, link: Link, sender: Sender, batch: Batch, record: bytes, now: float
    ) -> None:
        """Messages of a node behind the peer, or of the peer for a host behind this node."""
        size = self._charge(link.publishes, batch)
        is_host = sender.host == self.node
        if is_host and Incarnation(sender.host_started, sender.host_random) != self.me:
            # An earlier life was meant: what is meant for this one has the same numbers.
            self.consumed(link, link.publishes, batch.msgs, size)
            return
        last = batch.first + batch.msgs - 1
        if not link.ingress:
            link.ingress_since = now
        if is_host:
            found = Ingress(batch.topic_id, batches.payloads_of(batch), size, last, sender)
        else:
            chunk = Chunk(record, batch.msgs, size, batch.large, batch.first)
            found = Ingress(batch.topic_id, (), size, last, sender, chunk)
        link.ingress.append(found)

    # Credit

    def _charge(self, flow: Flow, batch: Batch | Medley) -> int:
        size = batch.payload_bytes
        flow.recv_msgs += batch.msgs
        flow.recv_bytes += size
        if flow.recv_msgs > flow.granted_msgs:
            raise ProtocolError(
                f"{flow.recv_msgs} messages were sent, credit was given for {flow.granted_msgs}"
            )
        if flow.recv_bytes - size >= flow.granted_bytes + self.bytes_max:
            raise ProtocolError(
                f"{flow.recv_bytes} bytes were sent, credit was given for {flow.granted_bytes}"
            )
        return size

    def consumed(self, link: Link, flow: Flow, count: int, size: int) -> None:
        """Messages of the link were taken (or dropped): the peer may send as many more."""
        flow.consumed_msgs += count
        flow.consumed_bytes += size
        if link.is_up and flow.grant(self.rcvhwm):
            settled = b"" if flow is link else self.settled(link)
            self.effects.control(link, codec.encode_credit(link.credit) + settled)

    def take(self) -> Delivery | Notice | None:
        """The next of the inbox, to be handed out; ``taken`` is called when that is done."""
        item = self.inbox.take()
        if isinstance(item, Delivery):
            self.counters.recv_msgs += item.count - item.skip
            self.counters.recv_bytes += item.size
        return item

    def taken(self, delivery: Delivery, now: float) -> None:
        """All messages of a delivery were handed out: the peer gets its credit back."""
        if delivery.link is not None:
            self.consumed(delivery.link, delivery.link, delivery.count, delivery.size)
            return
        here = self.here
        here.msgs -= delivery.count
        here.size -= delivery.size
        self.effects.progress = True
        self.now = now
        if here.aside and here.msgs == 0:
            self.end_aside(here)
        if here.lacks:
            self.replay_here()
        if self.stuck:
            self.go_on(now)

    # Links

    def link_up(self, link: Link) -> None:
        """A peer was greeted: what it published before is known."""
        link.publisher = self.publishers.find(link.node, link.incarnation)
        self.add_way(Way(link.node, link.incarnation, link.bytes_max, (), link))
        self._doubt_lost(link.node)

    def link_down(self, link: Link, why: str) -> None:
        self.stop_feeding(link)
        self.forget_ends(link.node, link.ended)
        for way in link.ways.values():
            self.forget_ends(way.node, way.ended)
        link.ingress.clear()
        self.stuck.pop(link, None)
        link.forwarders.clear()
        link.returns.clear()
        link.out.clear()
        link.publishes.out.clear()
        link.awaiting.clear()
        for remote in list(link.topics.values()):
            self.registry.end_way(remote)
        for way in list(link.ways.values()):
            self.end_way(way)
        self.renew_offers(why)
        for remote in link.topics.values():
            self.resteer(remote.name, remote.node)
        self.effects.touched.pop(link, None)
        self.effects.progress = True
        self.effects.rerouted = True

    def forget_ends(self, node: str, names: set[str]) -> None:
        """Other epochs may come and go before the way is back: nobody will tell of them."""
        for name in names:
            position = self.subscriptions.position(name, node)
            if position is not None:
                position.final = False

    # Relays

    def resteer(self, name: str, node: str) -> None:
        """The ways to a host's topic are not what they were."""
        raise NotImplementedError

    def renew_offers(self, why: str) -> None:
        """Other nodes can be reached through this one than before."""
        raise NotImplementedError

    def relay(self, topic: RemoteTopic, batch: Batch) -> None:
        """A batch of a REMOTE topic that others may want."""
        raise NotImplementedError

    def relay_head(self, topic: RemoteTopic, head: int, asked: int) -> None:
        """Nothing up to here will come any more of a REMOTE topic that others may want."""
        raise NotImplementedError

    def ask_again(self, topic: RemoteTopic, head: int) -> None:
        """All up to here was sent of a followed topic: what has not come is asked for again."""
        raise NotImplementedError

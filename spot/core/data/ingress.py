"""What peers publish to the topics of this node: in which order, and when there is room.

Where subscribers have no room, publishes wait at the link that they came by, and that link's credit
with them. What room there is then goes round the links that wait, a bounded number of messages a
turn, so that each publisher gets an equal share: round robin (Nagle, "On Packet Switches with
Infinite Storage", RFC 970), but by messages and not by frames, whose sizes differ.
"""

from __future__ import annotations

from spot.core.data.hosting import ROOM_MAX, Hosting
from spot.core.data.outbox import PUBLISHERS_MAX, Publisher, Publishers
from spot.core.effects import Effects
from spot.core.link import Flow, Ingress, Link
from spot.core.wire.batches import Chunk
from spot.core.wire.codec import Sender
from spot.core.wire.greeting import Incarnation

SHARE_MSGS = 256
"""A turn, where several links wait."""
UNTOLD = -1
"""What was dealt with is to be told, also if it is nothing, or was told before."""


class Ordering(Hosting):
    """Gives publishes of peers their order, as there is room, and fairly."""

    def __init__(
        self, node: str, sndhwm: int, rcvhwm: int, history_total_bytes: int, effects: Effects
    ) -> None:
        super().__init__(node, sndhwm, rcvhwm, history_total_bytes, effects)
        # Links whose publishes wait for room; whose turn it is next stands first.
        self.stuck: dict[Link, None] = {}
        # While there is no quorum.
        self.refusing = False
        self.publishers = Publishers()

    def _publisher_of(self, link: Link, ingress: Ingress) -> Publisher:
        """Whose it is, to be told on all ways that it publishes on: what comes last may have been
        under way for long, on one that is lost.
        """
        sender = ingress.sender
        if sender is None:
            assert link.publisher is not None
            return link.publisher
        life = Incarnation(sender.started, sender.random)
        publisher = self.publishers.find(sender.node, life)
        if publisher not in link.forwarders:
            link.forwarders[publisher] = UNTOLD
            if len(link.forwarders) > PUBLISHERS_MAX:
                del link.forwarders[next(iter(link.forwarders))]
        return publisher

    def order_ingress(
        self, link: Link, now: float, patience: float | None, most: int = ROOM_MAX
    ) -> float | None:
        """Orders what a peer published, up to so many. Returns when to go on, if a subscriber is
        full.

        After ``patience`` seconds (None: never) such a subscriber is set aside, as after a publish
        of one's own. What was ordered before, on this way or another, is dropped; so is what
        follows a gap, as the publisher sends it again.
        """
        while link.ingress:
            if most <= 0:
                self.stuck[link] = None
                return None
            ingress = link.ingress.popleft()
            if ingress.chunk is not None:
                chunk = ingress.chunk
                unsent = self.pass_on(link, ingress.topic_id, ingress.sender, chunk)
                left = 0 if unsent is None else unsent.size
                passed = chunk.count - (0 if unsent is None else unsent.count)
                self.consumed(link, link.publishes, passed, chunk.size - left)
                most -= passed
                if unsent is not None:
                    link.ingress.appendleft(ingress._replace(size=left, chunk=unsent))
                    self.stuck[link] = None
                    return None
                continue
            topic_id = ingress.topic_id
            payloads = ingress.payloads
            size = ingress.size
            last = ingress.last
            publisher = self._publisher_of(link, ingress)
            known = len(payloads)
            gap = ingress.sender is not None and last - known > publisher.settled
            if not gap:
                known = max(0, min(known, publisher.settled - last + known))
                self.counters.duplicates += known
                if known and ingress.sender is None:
                    # Who sends again has not heard.
                    link.told = UNTOLD
                elif known:
                    link.forwarders[publisher] = UNTOLD
            if known:
                left = sum(map(len, payloads[known:]))
                self.consumed(link, link.publishes, known, size - left)
                payloads = payloads[known:]
                size = left
            if not payloads:
                continue
            topic = self.registry.local_by_id.get(topic_id)
            if topic is None or self.refusing:
                publisher.refused += len(payloads)
            else:
                room = self.room(topic)
                if room == 0:
                    due = None if patience is None else link.ingress_since + patience
                    if due is None or now < due:
                        link.ingress.appendleft(
                            Ingress(topic_id, payloads, size, last, ingress.sender)
                        )
                        self.stuck[link] = None
                        return due
                    self.set_aside_full(topic, now)
                    room = self.room(topic)
                room = min(room, most)
                if room < len(payloads):
                    rest = payloads[room:]
                    payloads = payloads[:room]
                    left = sum(map(len, rest))
                    link.ingress.appendleft(Ingress(topic_id, rest, left, last, ingress.sender))
                    size -= left
                    last -= len(rest)
                self.publish(topic, payloads)
            publisher.settled = last
            link.ingress_since = now
            self.consumed(link, link.publishes, len(payloads), size)
            most -= len(payloads)
        self.stuck.pop(link, None)
        return None

    def go_on(self, now: float) -> None:
        """Orders what waited for room, where there is some now."""
        most = SHARE_MSGS if len(self.stuck) > 1 else ROOM_MAX
        moved = True
        while moved:
            moved = False
            for link in list(self.stuck):
                before = link.publishes.consumed_msgs
                self.order_ingress(link, now, None, most)
                if link.publishes.consumed_msgs == before:
                    continue
                moved = True
                if link in self.stuck:
                    # Who had its turn goes to the end.
                    del self.stuck[link]
                    self.stuck[link] = None

    def consumed(self, link: Link, flow: Flow, count: int, size: int) -> None:
        """Messages of the link were taken (or dropped): the peer may send as many more."""
        raise NotImplementedError

    def pass_on(
        self, link: Link, topic_id: int, sender: Sender | None, chunk: Chunk
    ) -> Chunk | None:
        """Sends publishes on towards their host. Returns those for which there is no room now."""
        raise NotImplementedError

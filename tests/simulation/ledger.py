"""The books of messages: each arrives once, unchanged, in order, and each missing one is
counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

from spot.core.data.inbox import Delivery, MultiDelivery, Notice
from spot.core.link import Link
from spot.core.topics.hosted_topic import HostedTopic
from spot.message import Message
from tests.simulation.connections import Connection
from tests.simulation.life import TOLD_S, Life, Reader, Stream, matches
from tests.simulation.network import Network
from tests.simulation.relays import relayed_up_to

if TYPE_CHECKING:
    from tests.simulation.node import Node


class Violation(BaseException):
    """A guarantee did not hold. ``trace`` is what happened before, if it was recorded.

    No Exception: the event loop would take it for a frame that the core can't handle.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.trace: list[str] = []


class Ledger:
    """The books of one schedule. ``trace`` gets a line for every action, if it is a list."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.trace: list[str] | None = None
        # With relays between, news of ends may not come, and links may not lead to hosts.
        self.has_relays = False
        self.bytes_max = 0
        self.lives: dict[str, Life] = {}
        self.streams: dict[tuple[str, str, int], Stream] = {}
        self.by_topic: dict[str, list[Stream]] = {}
        self.aside: set[tuple[str, str]] = set()
        self.unordered: dict[bytes, str] = {}
        self.counts = dict.fromkeys(
            ("ordered", "messages", "missed", "unknown", "notices", "links"), 0
        )
        self._latest: dict[tuple[str, str, str], int] = {}

    def fail(self, node: str, what: str) -> Violation:
        return Violation(f"at {self.network.now:.4f} s, node {node}: {what}")

    def note(self, node: str, what: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.network.now:9.4f}  {node:<5} {what}")

    def several_hosts(self, topic: str) -> bool:
        """Whether more than one node has ever hosted a topic."""
        return len({stream.node for stream in self.by_topic[topic]}) > 1

    # Topics and subscriptions

    def created(self, node: Node, hosted: HostedTopic) -> None:
        now = self.network.now
        stream = Stream(hosted.name, node.name, hosted.epoch, now, standby=hosted.standby)
        key = (hosted.name, node.name, hosted.epoch)
        if key in self.streams:
            raise self.fail(node.name, f"topic {hosted.name} has epoch {hosted.epoch} twice")
        self.streams[key] = stream
        self.by_topic.setdefault(hosted.name, []).append(stream)
        self.lives[node.name].streams.append(stream)
        stream.heralded = self._within_reach(stream)
        self.note(node.name, f"creates {hosted.name}, epoch {hosted.epoch}")

    def destroyed(self, node: Node, hosted: HostedTopic) -> None:
        self.end_stream(self.streams[hosted.name, node.name, hosted.epoch], "destroyed")
        self.note(node.name, f"destroys {hosted.name} at {hosted.head}")

    def end_stream(self, stream: Stream, how: str) -> None:
        """An epoch is over: "destroyed", "left" (with a goodbye), or "crashed"."""
        now = self.network.now
        stream.ended = how
        stream.ended_at = now
        if how != "crashed":
            stream.told = self._within_reach(stream)

    def _within_reach(self, stream: Stream) -> dict[Life, Connection]:
        """The nodes that news of a stream reaches at once, and on which link."""
        found = {}
        host = self.lives[stream.node].node
        for life in self.lives.values():
            seen = life.up.get(stream.node)
            if life.name == stream.node:
                found[life] = Connection()
            elif seen is not None and seen.connection is not None:
                link = host.core.links.by_node.get(life.name)
                # News of topics keeps its place behind messages. A goodbye doesn't.
                at_once = stream.ended == "left" or (link is not None and not link.data.out)
                if at_once and seen.since < self.network.now - TOLD_S:
                    found[life] = seen.connection
        return found

    def subscribed(self, node: Node, name: str) -> None:
        life = self.lives[node.name]
        self.note(node.name, f"subscribes to {name}")
        inbox = node.core.inbox.items
        waiting = [item for item in inbox if not isinstance(item, Notice)]
        topics = {message.topic for delivery in waiting for message in delivery.messages()}
        topics |= life.readers.keys()
        known = {topic for topic in topics if life.wants(topic)}
        life.names.setdefault(name, self.network.now)
        for stream in self.streams.values():
            if matches(name, stream.topic):
                life.begins[stream] = relayed_up_to(stream, self.lives.values())
        for topic in topics - known:
            if life.wants(topic):
                reader = life.reader(topic)
                if reader.fresh:
                    # The subscription that has ended got the messages since it began.
                    since = (item for item in waiting if item not in reader.stale)
                    reader.turns += [item for item in since if _is_of(item, topic)][:1]
                reader.fresh = True
                reader.since = self.network.now
                if not any(_is_of(item, topic) for item in waiting):
                    reader.oldest = reader.since
                reader.in_force.clear()
                reader.stale = waiting

    def unsubscribed(self, node: Node, name: str) -> None:
        self.note(node.name, f"unsubscribes from {name}")
        life = self.lives[node.name]
        for topic in self.by_topic:
            if matches(name, topic):
                # If another subscription keeps the topic, the time since when it is wanted stays.
                life.reader(topic)
        known = {topic for topic in life.readers if life.wants(topic)}
        life.names.pop(name, None)
        life.confirmed.pop(name, None)
        for topic in known:
            if not life.wants(topic):
                life.readers[topic].left = self.network.now

    def confirmed(self, node: Node, name: str, host: str) -> None:
        """A host has answered the ping after a subscription: the subscription is in force there."""
        life = self.lives[node.name]
        life.confirmed.setdefault(name, {}).setdefault(host, self.network.now)
        for stream in self.streams.values():
            if stream.node == host and not stream.ended and matches(name, stream.topic):
                life.reader(stream.topic).in_force.setdefault(host, self.network.now)

    # Publishing

    def accepted(self, node: Node, topic: str, payloads: Sequence[bytes], host: str) -> None:
        """A publish of these payloads returned."""
        for payload in payloads:
            self.unordered[payload] = topic
        if host != node.name:
            known = self.lives.get(host)
            remote = node.core.registry.host_of(topic)
            if known is not None and (
                remote is None or remote.incarnation != known.node.core.handshake.me.incarnation
            ):
                known = None
            self.lives[node.name].published |= dict.fromkeys(payloads, known)

    def ordered(self, node: Node, hosted: HostedTopic, payloads: Sequence[bytes]) -> None:
        """A host orders messages."""
        stream = self.streams[hosted.name, node.name, hosted.epoch]
        if hosted.head != len(stream.payloads):
            raise self.fail(node.name, f"{hosted.name} skips from {len(stream.payloads)}")
        for payload in payloads:
            topic = self.unordered.pop(payload, None)
            if topic != hosted.name:
                raise self.fail(
                    node.name, f"orders {short(payload)} in {hosted.name}: accepted for {topic}"
                )
            publisher, number = _origin(payload)
            latest = self._latest.get((publisher, topic, node.name), 0)
            if number <= latest:
                raise self.fail(node.name, f"orders {short(payload)} after number {latest}")
            self._latest[publisher, topic, node.name] = number
        stream.payloads += payloads
        stream.times += [self.network.now] * len(payloads)
        self.counts["ordered"] += len(payloads)

    def kept(self, node: Node, hosted: HostedTopic, count: int) -> None:
        """A host has ordered this many messages: does its replay buffer hold them?"""
        stream = self.streams[hosted.name, node.name, hosted.epoch]
        for sequence in range(hosted.head - count + 1, hosted.head + 1):
            chunk = hosted.buffer.find(sequence)
            if (chunk is None or chunk.first > sequence) and sequence > stream.dropped:
                stream.unkept.add(sequence)

    def dropped(self, node: Node, hosted: HostedTopic, last: int) -> None:
        """The replay buffer drops its messages up to this one."""
        self.streams[hosted.name, node.name, hosted.epoch].drop(last, self.network.now)

    # Receiving

    def received(self, node: Node, delivery: Delivery | MultiDelivery) -> None:
        """``recv`` hands out a delivery."""
        life = self.lives[node.name]
        self.check_place(life, delivery.link)
        messages = delivery.messages()
        if self.trace is not None:
            for _, same in groupby(messages, key=attrgetter("topic")):
                first, *rest = same
                last = rest[-1] if rest else first
                self.note(
                    node.name,
                    f"receives {first.topic} {first.seq} to {last.seq} of {first.epoch}, "
                    f"missed {first.missed}",
                )
        for message in messages:
            self._receive(life, message, delivery)

    def check_place(self, life: Life, link: Link | None) -> None:
        """Whether a message of a link may come now, before or after the notice of its loss."""
        raise NotImplementedError

    def _receive(self, life: Life, message: Message, delivery: Delivery | MultiDelivery) -> None:
        topic, data, seq, missed, host, epoch = message
        stream = self.streams.get((topic, host, epoch))
        if stream is None or not 0 < seq <= len(stream.payloads):
            raise self.fail(life.name, f"{topic} {seq} of {host}'s {epoch} was never published")
        if stream.payloads[seq - 1] != data:
            truth = short(stream.payloads[seq - 1])
            raise self.fail(life.name, f"{topic} {seq} is {short(data)}, not {truth}")
        reader = life.reader(topic)
        stale = delivery in reader.stale
        turns = delivery in reader.turns
        if ((reader.fresh and not stale) or turns) and seq <= reader.last.get(stream, 0):
            # Another subscription, which may have asked for what an earlier one had.
            reader.last.clear()
        last = reader.last.get(stream, 0)
        if seq <= last:
            what = "twice" if seq == last else f"after {last}"
            raise self.fail(life.name, f"{topic} {seq} of {host}'s {epoch} comes {what}")
        if missed != 0 or reader.stream is not stream or seq != last + 1:
            if reader.stream is None or (reader.fresh and not stale):
                self._check_first(life, reader, message, stream, stale=stale)
            elif not turns:
                self._check_count(life, reader, message, stream, delivery.link)
            if missed is None:
                self._check_doubts(life, reader, message)
        if turns:
            reader.turns.remove(delivery)
        reader.stream = stream
        reader.last[stream] = seq
        reader.link = delivery.link
        if not stale:
            reader.fresh = False
            reader.stale = []
            reader.turns = []
        self._count(life, missed)

    def _count(self, life: Life, missed: int | None) -> None:
        life.messages += 1
        self.counts["messages"] += 1
        if missed is None:
            life.unknown += 1
            self.counts["unknown"] += 1
        else:
            life.missed += missed
            self.counts["missed"] += missed

    def _check_first(
        self, life: Life, reader: Reader, message: Message, stream: Stream, *, stale: bool
    ) -> None:
        """The first message of a subscription counts those missed since it was in force."""
        missed, seq = message.missed, message.seq
        began = reader.oldest if stale else reader.since
        what = f"first {message.topic} {seq} says missed {missed}"
        others = [other for other in self.by_topic[stream.topic] if other is not stream]
        if missed is None:
            # A relay goes on with a stream until it has noticed that its host is gone.
            since = began - (self._silence() if self.has_relays else 0.0)
            broken = self._hosts_broken(life, stream.topic)
            ends = [at for at, _ in broken] + [other.ended_at for other in others if other.ended]
            if all(other.ended for other in others) and max(ends, default=0.0) < since:
                raise self.fail(life.name, what)
            return
        # Messages sent while another host was listened to are not missed.
        alone = not self.several_hosts(stream.topic)
        if alone and any(
            hosts.get(stream.node, self.network.now) < stream.created
            for name, hosts in life.confirmed.items()
            if matches(name, stream.topic)
        ):
            # The host knew of the subscription before the topic began.
            self._check_lost(life, stream, 1, message.seq, what)
        last = reader.last.get(stream)
        if last is not None and missed == seq - last - 1:
            return
        if not alone:
            return
        most = stream.since(began, seq)
        most += sum(other.since(began, len(other.payloads) + 1) for other in others)
        # Older ones may have been asked for: too large for this node, or dropped without credit.
        most += stream.asked_and_lost(began, seq)
        # So may those of a topic that was destroyed, with its replay buffer, before they went.
        most += sum(other.held_at(began) for other in others)
        # Through a relay, what was on its way there belongs to a new subscription.
        most += stream.under_way(life.begins.get(stream, seq), began, seq)
        limit = life.node.plan.config.max_message_bytes
        most += sum(len(payload) > limit for payload in stream.payloads[: seq - 1])
        in_force = None if stale else reader.in_force.get(message.node)
        least = 0
        if in_force is not None and in_force >= stream.created:
            least = stream.since(in_force, seq)
        if not least <= missed <= most:
            raise self.fail(life.name, f"{what}, not {least} to {most}")

    def _silence(self) -> float:
        """The longest that a link may be silent before a node notices."""
        timeout = max(life.node.plan.config.peer_timeout for life in self.lives.values())
        return timeout + timeout / 3 + TOLD_S

    def _check_count(
        self, life: Life, reader: Reader, message: Message, stream: Stream, link: Link | None
    ) -> None:
        """Received and missed add up to what was published."""
        missed = message.missed
        before = reader.stream
        assert before is not None
        where = f"{message.topic} {message.seq} of {message.node}'s {message.epoch}"
        if missed is None:
            self._check_unknown(life, before, stream, where)
            if not self.several_hosts(stream.topic):
                self._check_lost(life, stream, 1, message.seq, where)
            return
        # A standby may have given the topic back to a host that then left.
        unsure = before.standby or (self.has_relays and before.node != stream.node)
        if before is not stream and before.ended in ("", "crashed") and not unsure:
            raise self.fail(
                life.name, f"{where} says missed {missed}, but nobody told the end of the last"
            )
        if self.several_hosts(stream.topic):
            # Messages sent while another host is listened to do not count.
            return
        if before is stream:
            exact = message.seq - reader.last[stream] - 1
            if missed != exact:
                raise self.fail(life.name, f"{where} says missed {missed}: it is {exact}")
        else:
            exact = len(before.payloads) - reader.last[before] + message.seq - 1
            unseen = sum(len(other.payloads) for other in self._between(before, stream))
            # A host that left in good order may have come and gone again without being noticed.
            unsure = before.ended == "left" or self.has_relays
            if missed != exact + unseen and (not unsure or missed != exact):
                raise self.fail(life.name, f"{where} says missed {missed}: it is {exact + unseen}")
        if not exact or reader.left <= self._moment_of_last(reader, stream) < reader.since + TOLD_S:
            # Between an unsubscribe and the next subscribe messages pass by.
            return
        first = reader.last.get(stream, 0) + 1
        self._check_lost(life, stream, first, message.seq, where)
        if link is reader.link and not self.has_relays:
            self._check_cause(life, reader, message, stream, f"{where}: {exact} were lost")

    def _moment_of_last(self, reader: Reader, stream: Stream) -> float:
        """When the first message after the last that was received had its place."""
        last = reader.last.get(stream, 0)
        return stream.times[last]

    def _check_lost(self, life: Life, stream: Stream, first: int, end: int, what: str) -> None:
        """Only messages that the replay buffer does not hold are lost."""
        limit = life.node.plan.config.max_message_bytes
        if self.has_relays:
            limit = self.bytes_max
        for sequence in range(first, end):
            if not stream.is_lost(sequence) and len(stream.payloads[sequence - 1]) <= limit:
                raise self.fail(life.name, f"{what}: {sequence} was lost, which the buffer held")

    def _check_unknown(self, life: Life, before: Stream, stream: Stream, where: str) -> None:
        """Checks that the number of missed messages was really unknown."""
        if self.several_hosts(stream.topic):
            return
        streams = [before, *self._between(before, stream), stream]
        if self.has_relays and before is not stream:
            return
        if before is stream or all(end.is_known_to(life, then) for end, then in pairwise(streams)):
            raise self.fail(
                life.name,
                f"{where} says missed None, but the end of {before.epoch} "
                f"({before.ended} at {before.ended_at:.4f}) could be known",
            )

    def _check_doubts(self, life: Life, reader: Reader, message: Message) -> None:
        """Each link that was lost brings at most one None."""
        reader.unknown += 1
        broken = len(self._hosts_broken(life, message.topic))
        if reader.unknown > broken and not self.has_relays:
            raise self.fail(
                life.name,
                f"{message.topic} {message.seq} says missed None, the {reader.unknown}. time, with "
                f"{broken} links lost to its hosts",
            )

    def _hosts_broken(self, life: Life, topic: str) -> list[tuple[float, str]]:
        """The links with hosts of a topic of whose ends they need not have told."""
        hosts = {stream.node for stream in self.by_topic[topic]}
        return [(at, peer) for at, peer in life.broken if peer in hosts]

    def _between(self, before: Stream, stream: Stream) -> list[Stream]:
        return [
            other
            for other in self.by_topic[stream.topic]
            if (before.created, before.epoch)
            < (other.created, other.epoch)
            < (stream.created, stream.epoch)
        ]

    def _check_cause(
        self, life: Life, reader: Reader, message: Message, stream: Stream, what: str
    ) -> None:
        """On a link that stayed up, only a subscriber that was set aside loses messages."""
        if (stream.node, life.name) in self.aside:
            return
        last = reader.last.get(stream, 0)
        limit = life.node.plan.config.max_message_bytes
        # What was published before the link, or the subscription, came by a replay or not at all.
        began = max(reader.since, reader.link.up_since if reader.link is not None else 0.0) + TOLD_S
        if all(
            len(stream.payloads[at]) > limit or stream.times[at] < began
            for at in range(last, message.seq - 1)
        ):
            return
        raise self.fail(life.name, f"{what} on a link that was up")

    def check_publishes(self, life: Life) -> None:
        """Publishes to REMOTE topics were ordered, or are counted as unknown."""
        lost = [payload for payload in life.published if payload in self.unordered]
        for payload in lost:
            topic = self.unordered[payload]
            host = life.published[payload]
            # A host without a quorum refuses publishes that were under way.
            if (
                host is not None
                and self.lives[host.name] is host
                and not host.node.plan.config.require_quorum
                and not any(stream.ended for stream in host.streams if stream.topic == topic)
            ):
                raise self.fail(life.name, f"{short(payload)} was lost, its host never restarted")
        unknown = life.node.core.counters.publish_unknown
        if len(lost) > unknown:
            raise self.fail(
                life.name,
                f"{len(lost)} publishes to REMOTE topics were lost ({short(lost[0])} is one), "
                f"publish_unknown says {unknown}",
            )


def _origin(payload: bytes) -> tuple[str, int]:
    """The publisher's incarnation, and its number."""
    publisher, _, number = payload.split(b" ", 1)[0].rpartition(b"/")
    return publisher.decode(), int(number)


def short(payload: bytes) -> str:
    """The beginning of a payload, which identifies it."""
    return payload[:24].decode(errors="replace").rstrip(". ")


def _is_of(delivery: Delivery | MultiDelivery, topic: str) -> bool:
    return any(message.topic == topic for message in delivery.messages())

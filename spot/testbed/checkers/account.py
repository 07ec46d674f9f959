"""The journals of a run put together: which node published each message, and which received it.

Publisher, its incarnation, topic and counter identify a message. SPOT's own sequence numbers never
do, as checkers judge those. One account is made for a run, and all checkers share it.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from spot.testbed.evidence import Evidence
from spot.testbed.journal import IncarnationRecords, Record
from spot.testbed.topology import NodeSpec

__all__ = [
    "FLUSH_S",
    "Account",
    "Arrival",
    "IncarnationSpan",
    "Published",
    "Stream",
    "account_of",
    "matches",
]

FLUSH_S = 0.3
"""The journal of a killed node may lack its last moments (0.2 s, with some room)."""
TAIL_MESSAGES_MIN = 10
NANOSECONDS = 1e9
RELAYS_MAX = 2
"""The guarantee: a message may pass at most so many relays."""


class IncarnationSpan:
    """One incarnation of a node: its time, and its records that are not traffic."""

    def __init__(self, node: str, number: int, incarnation: IncarnationRecords) -> None:
        self.node = node
        self.number = number
        """From 0, the oldest."""
        self.began = incarnation.start.at
        self.ended = max(record.at for record in incarnation.records)
        """The time of its last record. A node without later records looks dead from there."""
        self.is_killed = not incarnation.ended_well
        self.left: float | None = None
        """When it recorded that it leaves. None: never."""
        self.events: list[Record] = []
        """All records but publish, publish_error and recv, by time."""
        fields = incarnation.start.fields
        self.wall: float = fields["wall"]
        rate = fields.get("rate")
        self.rate: float | None = rate if isinstance(rate, int | float) else None
        self.incarnation: str | None = fields.get("incarnation")
        """How its payloads to topics of other nodes identify it. None: they don't."""
        size = fields.get("payload_bytes")
        self.payload_bytes: int = size if isinstance(size, int) else 0
        config = fields.get("config")
        self.config: Mapping[str, Any] = config if isinstance(config, dict) else {}

    @property
    def wall_ended(self) -> float:
        """Its last record on the wall clock, seconds since 1970."""
        return self.wall + self.ended - self.began

    def setting(self, name: str, default: Any) -> Any:
        """One of the library's settings, as this incarnation recorded it."""
        return self.config.get(name, default)

    def of(self, *kinds: str) -> Iterator[Record]:
        """The events of this incarnation that are of these kinds."""
        return (record for record in self.events if record.kind in kinds)


class Published:
    """What one incarnation published to one topic."""

    def __init__(self, span: IncarnationSpan, topic: str) -> None:
        self.span = span
        self.topic = topic
        self.accepted: dict[int, float] = {}
        """When each counter was published, for publishes that returned."""
        self.raised: dict[int, float] = {}
        """The same for publishes that raised."""
        self.errors: dict[int, int | None] = {}
        """The error number of each publish that raised."""

    @cached_property
    def counters(self) -> list[int]:
        """The accepted counters, in order."""
        return sorted(self.accepted)

    @cached_property
    def last(self) -> int:
        """The highest counter on record, raised or not; 0 if there is none."""
        return max(self.counters[-1:] + list(self.raised), default=0)

    @cached_property
    def tail(self) -> int:
        """How many more it may have published without a record, if it was killed."""
        span = self.span
        if not span.is_killed:
            return 0
        rate = span.rate if span.rate is not None else len(self.accepted)
        return max(TAIL_MESSAGES_MIN, math.ceil(2 * rate))

    def between(self, first: int, last: int) -> int:
        """How many were accepted with a counter above ``first`` and below ``last``."""
        if last == first + 1:
            return 0
        return max(0, bisect_left(self.counters, last) - bisect_right(self.counters, first))

    def after(self, counter: int) -> int:
        """How many were accepted with a counter above this one."""
        return len(self.counters) - bisect_right(self.counters, counter)

    def knows(self, counter: int) -> bool:
        """Whether it may have published this counter, raised or not."""
        if counter in self.accepted or counter in self.raised:
            return True
        return self.last < counter <= self.last + self.tail


class Arrival(NamedTuple):
    """A message that was received."""

    at: float
    seq: int | None
    missed: int | None
    counter: int | None
    epoch: int | None
    host: str
    source: Published | None
    """Its publisher's incarnation and topic. None: not found, or the message has no counter."""


class Stream:
    """What one incarnation of a node received of one topic, until it unsubscribed."""

    def __init__(self, span: IncarnationSpan, topic: str) -> None:
        self.span = span
        self.topic = topic
        self.arrivals: list[Arrival] = []

    @property
    def node(self) -> str:
        """The node that received it."""
        return self.span.node


class Account:
    """The journals of a run by incarnations, published messages and streams."""

    def __init__(self, evidence: Evidence) -> None:
        # Not the evidence itself: that would keep both alive for ever, once they are cached.
        self.topology = evidence.topology
        self.faults = evidence.faults
        self.phases = evidence.phases
        self.bounds = evidence.bounds
        self.spans: dict[str, list[IncarnationSpan]] = {}
        self.published: dict[tuple[str, int, str], Published] = {}
        self.streams: list[Stream] = []
        self.memo: dict[Any, Any] = {}
        """Results that other modules computed from it, by names of their own."""
        self._hosts: dict[tuple[str, int | None], IncarnationSpan | None] = {}
        for node, journal in evidence.journals.items():
            spans = self.spans[node] = []
            for number, incarnation in enumerate(journal.incarnations):
                span = IncarnationSpan(node, number, incarnation)
                spans.append(span)
                self._read_published(span, incarnation)
        for node, journal in evidence.journals.items():
            for span, incarnation in zip(self.spans[node], journal.incarnations, strict=True):
                self._read_received(span, incarnation)

    def _read_published(self, span: IncarnationSpan, incarnation: IncarnationRecords) -> None:
        for record in incarnation.records:
            kind = record.kind
            if kind == "recv":
                continue
            if kind == "publish":
                fields = record.fields
                self._of(span, fields["topic"]).accepted[fields["counter"]] = record.at
            elif kind == "publish_error":
                fields = record.fields
                published = self._of(span, fields["topic"])
                published.raised[fields["counter"]] = record.at
                published.errors[fields["counter"]] = fields.get("errno")
            else:
                span.events.append(record)
                if kind == "stop":
                    span.left = record.at
        span.events.sort(key=lambda record: record.at)

    def _of(self, span: IncarnationSpan, topic: str) -> Published:
        key = (span.node, span.number, topic)
        found = self.published.get(key)
        if found is None:
            found = self.published[key] = Published(span, topic)
        return found

    def _read_received(self, span: IncarnationSpan, incarnation: IncarnationRecords) -> None:
        streams: dict[str, Stream] = {}
        sources: dict[tuple[str, str, int | None], Published | None] = {}
        for record in incarnation.records:
            if record.kind == "command":
                self._forget(streams, record.fields)
            if record.kind != "recv":
                continue
            fields = record.fields
            topic, host, epoch = fields["topic"], fields["node"], fields["epoch"]
            counter, publisher = fields["counter"], fields.get("from")
            stream = streams.get(topic)
            if stream is None:
                stream = streams[topic] = Stream(span, topic)
                self.streams.append(stream)
            if publisher is not None:
                source = self._source(
                    stream, publisher, fields.get("incarnation"), counter, record.at
                )
            else:
                key = (topic, host, epoch)
                if key in sources:
                    source = sources[key]
                else:
                    source = self._published_by(host, epoch, topic, record.at)
                    if epoch is not None:
                        sources[key] = source
            if source is not None and counter is not None and not source.knows(counter):
                source = None
            stream.arrivals.append(
                Arrival(record.at, fields["seq"], fields["missed"], counter, epoch, host, source)
            )

    @staticmethod
    def _forget(streams: dict[str, Stream], fields: Mapping[str, Any]) -> None:
        """An unsubscribe forgets the position, so a later subscribe starts a new stream."""
        if fields["do"] == "unsubscribe" and fields.get("ok", True):
            pattern = str(fields.get("topic"))
            for topic in [topic for topic in streams if matches(pattern, topic)]:
                del streams[topic]

    def _published_by(
        self, host: str, epoch: int | None, topic: str, at: float
    ) -> Published | None:
        span = self.host_incarnation(host, epoch, at)
        return self.published.get((host, span.number, topic)) if span else None

    def _source(
        self,
        stream: Stream,
        publisher: str,
        incarnation: str | None,
        counter: int | None,
        at: float,
    ) -> Published | None:
        """The incarnation that published a message to another node's topic, as the message tells.

        If the message tells none, times and counters decide. Counters begin at 1 in each of the
        publisher's incarnations. If this message directly follows the one before it, the two have
        the same incarnation. Else it is the newest that had published this counter by then.
        """
        if incarnation is not None:
            for span in self.spans.get(publisher, []):
                if span.incarnation == incarnation:
                    return self.published.get((publisher, span.number, stream.topic))
            return None
        incarnations = [
            found
            for span in self.spans.get(publisher, [])
            if span.began <= at
            and (found := self.published.get((publisher, span.number, stream.topic)))
            and counter is not None
            and found.knows(counter)
        ]
        if len(incarnations) < 2 or counter is None:
            return incarnations[0] if incarnations else None
        accepted = [found for found in incarnations if found.accepted.get(counter, math.inf) <= at]
        for arrival in reversed(stream.arrivals):
            before = arrival.source
            if before is not None and before.span.node == publisher:
                last = arrival.counter
                follows = last is not None and last < counter
                if follows and before in accepted and not before.between(last or 0, counter):
                    return before
                break
        # A killed publisher may not have recorded its last messages.
        return accepted[-1] if accepted else incarnations[-1]

    def host_incarnation(self, host: str, epoch: int | None, at: float) -> IncarnationSpan | None:
        """The incarnation in which this topic was created, by its epoch (nanoseconds since 1970).

        Without an epoch it is the newest that had begun ``at`` that time.
        """
        spans = self.spans.get(host, [])
        if epoch is None or not spans or epoch < NANOSECONDS:
            begun = [span for span in spans if span.began <= at]
            return begun[-1] if begun else None
        key = (host, epoch)
        if key not in self._hosts:
            # Topics of the settings are created just before the incarnation is recorded, so an
            # epoch belongs to the first incarnation that was not over by then.
            created = epoch / NANOSECONDS
            alive = (span for span in spans if created <= span.wall_ended)
            self._hosts[key] = next(alive, spans[-1])
        return self._hosts[key]

    # Subscriptions

    def spec(self, node: str) -> NodeSpec:
        """The topology's entry for a node. Raises UnknownNode."""
        return self.topology.node(node)

    @cached_property
    def links(self) -> frozenset[tuple[str, str]]:
        """The pairs that are to be linked, each sorted."""
        return frozenset((min(a, b), max(a, b)) for a, b in self.topology.links)

    def are_linked(self, a: str, b: str) -> bool:
        """Whether two nodes are to be linked, in either order."""
        return (min(a, b), max(a, b)) in self.links

    @cached_property
    def relays(self) -> frozenset[str]:
        """The nodes that pass messages on between their peers."""
        return frozenset(
            node
            for node, spans in self.spans.items()
            if any(span.setting("relay", False) for span in spans)
        )

    def ways(self, a: str, b: str) -> list[list[str]]:
        """The paths from one node to another, as node names: the link, and paths over relays."""
        found = []
        growing = [[a]]
        for _ in range(RELAYS_MAX + 1):
            longer = [
                [*way, node]
                for way in growing
                if way[-1] == a or way[-1] in self.relays
                for node in self.topology.names
                if node not in way and self.are_linked(way[-1], node)
            ]
            found += [way for way in longer if way[-1] == b]
            growing = [way for way in longer if way[-1] != b]
        return found

    @cached_property
    def hosts(self) -> dict[str, list[tuple[str, float, float]]]:
        """The hosts of each topic and their times; an entry for each incarnation of a host."""
        found: dict[str, list[tuple[str, float, float]]] = {}
        for node, spans in self.spans.items():
            for span in spans:
                since = dict.fromkeys(span.config.get("topics", self.spec(node).topics), span.began)
                for record in span.of("command"):
                    fields = record.fields
                    topic = fields.get("topic")
                    if not fields.get("ok", True) or topic is None:
                        continue
                    if fields["do"] == "create":
                        since.setdefault(topic, record.at)
                    elif fields["do"] == "destroy" and topic in since:
                        begun = since.pop(topic)
                        found.setdefault(topic, []).append((node, begun, record.at))
                ended = span.ended + FLUSH_S * span.is_killed
                for topic, begun in since.items():
                    found.setdefault(topic, []).append((node, begun, ended))
        return found

    @cached_property
    def standbys(self) -> set[tuple[str, str]]:
        """Topic and node of each standby host."""
        return {
            (str(record.fields.get("topic")), node)
            for node, spans in self.spans.items()
            for span in spans
            for record in span.of("command")
            if record.fields["do"] == "create" and record.fields.get("standby")
        }

    def topics_of(self, host: str) -> list[str]:
        """The topics that a node ever hosted."""
        return [
            topic for topic, hosts in self.hosts.items() if any(host == one for one, _, _ in hosts)
        ]

    def only_host(self, topic: str, host: str) -> bool:
        """Whether no other node ever hosted this topic."""
        return all(one == host for one, _, _ in self.hosts.get(topic, ()))

    def subscribed(self, node: str, topic: str) -> list[tuple[float, float]]:
        """When a node was subscribed to a topic: from the call until the opposite call returned."""
        key = ("subscribed", node, topic)
        if key not in self.memo:
            self.memo[key] = self._intervals(node, topic)
        found: list[tuple[float, float]] = self.memo[key]
        return found

    def _intervals(self, node: str, topic: str) -> list[tuple[float, float]]:
        found = []
        for span in self.spans.get(node, []):
            patterns = dict.fromkeys(
                span.config.get("subscribe", self.spec(node).subscribe), span.began
            )
            since = span.began if _any_matches(patterns, topic) else None
            for record in span.of("command"):
                fields = record.fields
                if fields["do"] not in ("subscribe", "unsubscribe") or not fields.get("ok", True):
                    continue
                pattern = str(fields.get("topic"))
                if fields["do"] == "subscribe":
                    patterns[pattern] = record.at
                else:
                    patterns.pop(pattern, None)
                wanted = _any_matches(patterns, topic)
                if wanted and since is None:
                    since = record.at
                elif not wanted and since is not None:
                    found.append((since, record.at))
                    since = None
            if since is not None:
                found.append((since, span.ended))
        return found

    def hears(self, node: str, host: str) -> list[str]:
        """The topics of ``host`` that ``node`` was ever subscribed to, if they can come to it."""
        if node != host and not self.ways(node, host):
            return []
        return [topic for topic in self.topics_of(host) if self.subscribed(node, topic)]

    def clock(self, at: float) -> str:
        """A time as findings show it: since the start of the run."""
        return f"{at - self.phases.started:.3f} s"


def _any_matches(patterns: Mapping[str, float], topic: str) -> bool:
    return any(matches(pattern, topic) for pattern in patterns)


def matches(pattern: str, topic: str) -> bool:
    """Whether a subscription is to a topic: a ``*`` in it stands for any characters, or none.

    Not by the library's own code, which is among the things that are judged.
    """
    return _compiled(pattern).fullmatch(topic) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*?".join(map(re.escape, pattern.split("*"))), re.DOTALL)


_accounts: WeakKeyDictionary[Evidence, Account] = WeakKeyDictionary()


def account_of(evidence: Evidence) -> Account:
    """The account of this evidence. It is made at the first call."""
    found = _accounts.get(evidence)
    if found is None:
        found = _accounts[evidence] = Account(evidence)
    return found

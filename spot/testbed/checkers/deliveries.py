"""The messages that each node should have received, and the excuses for those that it did not.

While a fault, a restart or a command separated the nodes on a message's path, and until they were
synchronised again, the message need not arrive. After that the host has it in its replay buffer,
and must deliver it, up to the last message. A message is excused for good if the host had ended, if
the receiver did not run, or if the buffer need not have held it any more.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from spot.testbed.checkers.account import Account, Published
from spot.testbed.checkers.kept import is_held
from spot.testbed.checkers.outages import (
    BUSY_S,
    IN_FLIGHT_S,
    IN_FORCE_S,
    Span,
    away,
    breaks,
    incarnation_at,
    is_covered,
    link_events,
    resumed,
    slowed_since,
)

__all__ = ["Apart", "ExpectedDelivery", "deliveries", "excuses", "unobserved", "without_quorum"]

QUIET_MAX_S = 4.0
"""A node that still publishes so long after it was told to be quiet did not obey."""


class Apart(NamedTuple):
    """A time in which messages of one node can't reach another at once."""

    since: float
    """What was published from then on may not have arrived, as it was under way."""
    began: float
    ended: float
    """When they were synchronised again; infinity: never."""
    gone: frozenset[str]
    """Nodes that did not run in that time, or began another incarnation."""

    def covers(self, at: float) -> bool:
        """Whether what was published ``at`` that time may not have arrived by it."""
        return self.since <= at <= self.ended


@dataclass
class ExpectedDelivery:
    """What one incarnation published to a topic, and one node should have had of it."""

    node: str
    published: Published
    host: str
    received: int = 0
    healed: int = 0
    """Received messages that were published while the path was broken and came after the heal."""
    excused: int = 0
    overrun: int = 0
    """Excused messages that the buffer need not have held, although both nodes lived on."""
    lost: list[tuple[int, float]] = field(default_factory=list)
    """Counter and publishing time of messages that had to come and never came."""
    unhealed: list[tuple[int, float]] = field(default_factory=list)
    """Lost messages that were published while the path was broken."""
    tail: float | None = None
    """When its last message was published, if the path was broken then and no other message of the
    topic followed before it was healed."""
    tail_lost: bool = False
    """Whether this last message had to come and never came."""


def deliveries(account: Account) -> list[ExpectedDelivery]:
    """The expected deliveries of every subscription, from every publisher that it hears."""
    if "deliveries" not in account.memo:
        account.memo["deliveries"] = _deliveries(account)
    found: list[ExpectedDelivery] = account.memo["deliveries"]
    return found


def _deliveries(account: Account) -> list[ExpectedDelivery]:
    received: dict[tuple[str, Published], set[int]] = {}
    for stream in account.streams:
        for arrival in stream.arrivals:
            if arrival.source is not None and arrival.counter is not None:
                key = (stream.node, arrival.source)
                if key not in received:
                    received[key] = set()
                received[key].add(arrival.counter)
    found = []
    for published in account.published.values():
        publisher, topic = published.span.node, published.topic
        hosts = {host for host, _, _ in account.hosts.get(topic, ())}
        if publisher in hosts:
            host = publisher
        elif len(hosts) == 1 and account.ways(publisher, min(hosts)):
            host = min(hosts)
        else:
            continue  # the subscribers that it went to are unknown
        for node in account.spans:
            if topic in account.hears(node, host):
                one = ExpectedDelivery(node, published, host)
                _judge(account, one, received.get((node, published), set()))
                found.append(one)
    return found


def _judge(account: Account, one: ExpectedDelivery, received: set[int]) -> None:
    published = one.published
    if not published.counters:
        return  # all of its publishes raised
    missing = [counter for counter in published.counters if counter not in received]
    one.received = len(published.counters) - len(missing)
    spans = _not_owed(account, one)
    times = _aparts_on_the_way(account, one)
    healing = [time for time in times if not _is_for_good(one, time)]
    _note_healed(one, healing, missing)
    for counter in missing:
        at = published.accepted[counter]
        covering = [time for time in times if time.covers(at)]
        if is_covered(at, spans) or any(_is_for_good(one, time) for time in covering):
            one.excused += 1
        elif not covering:
            one.lost.append((counter, at))
        elif _is_sure(account, one, at, covering):
            one.lost.append((counter, at))
            one.unhealed.append((counter, at))
        else:
            one.excused += 1
            one.overrun += 1
    _note_tail(account, one, healing, spans)


def _note_healed(one: ExpectedDelivery, healing: list[Apart], missing: list[int]) -> None:
    accepted = one.published.accepted
    times = sorted(accepted.values())
    gone = sorted(accepted[counter] for counter in missing)
    for time in healing:
        if time.ended < math.inf:
            published = bisect_right(times, time.ended) - bisect_left(times, time.began)
            lost = bisect_right(gone, time.ended) - bisect_left(gone, time.began)
            one.healed += published - lost


def _note_tail(
    account: Account, one: ExpectedDelivery, healing: list[Apart], spans: list[Span]
) -> None:
    counters = one.published.counters
    at = one.published.accepted[counters[-1]]
    ended = max((time.ended for time in healing if time.began <= at <= time.ended), default=None)
    if ended is None or ended == math.inf or is_covered(at, spans):
        return
    followed = any(
        other.topic == one.published.topic
        and any(at < when <= ended for when in other.accepted.values())
        for other in account.published.values()
    )
    if not followed:
        one.tail = at
        one.tail_lost = counters[-1] in [counter for counter, _ in one.unhealed]


def _is_for_good(one: ExpectedDelivery, time: Apart) -> bool:
    """Whether what such a time has kept from arriving may never arrive.

    The receiver was away, or the host has ended since: its buffer ended with it. What another node
    had published, and the host had not confirmed, ends with its publisher, too.
    """
    span = one.published.span
    ended = span.ended <= time.ended
    if span.node == one.host:
        return one.node in time.gone or ended
    return one.node in time.gone or one.host in time.gone or ended


def _is_sure(account: Account, one: ExpectedDelivery, at: float, covering: list[Apart]) -> bool:
    """Whether the host's replay buffer still held a message when the path was back."""
    published = one.published
    if published.span.node == one.host:
        host = published.span
    else:
        # It came to the host when the way there was healed, and may be older than others then.
        at = min(at, *(time.since for time in covering))
        found = incarnation_at(account, one.host, at)
        if found is None:
            return False
        host = found
    return is_held(account, host, published.topic, at, max(time.ended for time in covering))


def _aparts_on_the_way(account: Account, one: ExpectedDelivery) -> list[Apart]:
    publisher = one.published.span.node
    found = _aparts(account, one.host, one.node)
    if publisher != one.host:
        found = _merged([*found, *_aparts(account, publisher, one.host)])
    return found


def _not_owed(account: Account, one: ExpectedDelivery) -> list[Span]:
    """The times in which published messages are owed to no subscriber, whatever the links did."""
    published, node, host = one.published, one.node, one.host
    ready = account.phases.ready
    spans: list[Span] = [(-math.inf, math.inf if ready is None else ready + IN_FORCE_S)]
    if published.span.node != host:
        lacking = without_quorum(account, host)
        # A message that waited for the path to the host is refused if it then finds no quorum.
        late = _aparts(account, published.span.node, host)
        spans += [(time.since, time.ended) for time in late if is_covered(time.ended, lacking)]
        spans += lacking
    spans.append((_tail_began(account, published), math.inf))
    spans += _before_first_met(account, node, host, published.topic)
    spans += _unsubscribed(account, node, published.topic)
    spans += _routed_elsewhere(account, node, host, published.topic)
    for other, began, ended in account.hosts[published.topic]:
        if other != host:  # two hosts of one topic: each subscriber hears one of them
            spans.append((began - IN_FLIGHT_S, ended + account.bounds.silence + BUSY_S))
    for record in published.span.of("command"):
        # Created: who is subscribed has to hear of it first. Destroyed: what had not left goes.
        fields = record.fields
        if fields["do"] in ("create", "destroy") and fields.get("topic") == published.topic:
            spans.append((record.at - IN_FLIGHT_S, record.at + IN_FORCE_S))
    return spans


def without_quorum(account: Account, host: str) -> list[Span]:
    """The times in which a host that requires a quorum had none, and ordered nothing."""
    found: list[Span] = []
    for span in account.spans.get(host, []):
        if not span.setting("require_quorum", False):
            continue
        began: float | None = span.began
        for record in span.of("view"):
            if record.fields.get("quorum"):
                if began is not None:
                    found.append((began - IN_FLIGHT_S, record.at + IN_FORCE_S))
                began = None
            elif began is None:
                began = record.at
        if began is not None:
            found.append((began - IN_FLIGHT_S, span.ended))
    return found


def _before_first_met(account: Account, node: str, host: str, topic: str) -> Iterator[Span]:
    """The times before a host first heard of a pattern. A pattern begins with new messages.

    A subscription to the topic's name begins with the first message that the buffer holds.
    """
    if node == host:
        return
    for span in account.spans[node]:
        names = span.setting("subscribe", account.spec(node).subscribe)
        if topic in names:
            continue
        if account.are_linked(node, host):
            met = [
                record.at
                for record in link_events(account, node, host)
                if record.kind != "link_down" and span.began <= record.at <= span.ended
            ]
        else:
            met = [
                arrival.at
                for stream in account.streams
                if stream.span is span and stream.topic == topic
                for arrival in stream.arrivals[:1]
            ]
        yield span.began, min(met, default=span.ended) + IN_FORCE_S


def _tail_began(account: Account, published: Published) -> float:
    """From when on messages are not owed any more, as nodes were leaving.

    Infinity where its node was quiet by then: all of its messages have had the time to arrive.
    """
    phases = account.phases
    last = max(published.accepted.values())
    if phases.quiet is not None and last <= phases.quiet + QUIET_MAX_S:
        return math.inf
    ends = [spans[-1].ended for spans in account.spans.values() if spans]
    stopped = min(ends) if phases.stopped is None else phases.stopped
    return stopped - IN_FLIGHT_S


def _unsubscribed(account: Account, node: str, topic: str) -> list[Span]:
    """The times between subscriptions. Times in which its node did not run are not included."""
    found: list[Span] = []
    since = -math.inf
    starts = {span.began for span in account.spans[node]}
    ends = {span.ended for span in account.spans[node]}
    for began, ended in account.subscribed(node, topic):
        found.append((since, began if began in starts else began + IN_FORCE_S))
        since = ended if ended in ends else ended - IN_FLIGHT_S
    return [*found, (since, math.inf)]


def _routed_elsewhere(account: Account, node: str, host: str, topic: str) -> Iterator[Span]:
    """The times in which a node's route named another host of the topic, and it heard that one."""
    for span in account.spans[node]:
        since: float | None = None
        for record in span.of("route"):
            if topic not in record.fields.get("topics", ()):
                continue
            if record.fields.get("node") != host:
                since = record.at if since is None else since
            elif since is not None:
                yield since - IN_FLIGHT_S, record.at + IN_FORCE_S
                since = None
        if since is not None:
            yield since - IN_FLIGHT_S, span.ended


def excuses(account: Account, sender: str, node: str) -> list[Span]:
    """The times in which messages of ``sender`` need not reach ``node`` at once."""
    ready = account.phases.ready
    began: list[Span] = [(-math.inf, math.inf if ready is None else ready + IN_FORCE_S)]
    aparts = _aparts(account, sender, node)
    return began + [(time.since, time.ended) for time in aparts]


def _aparts(account: Account, sender: str, node: str) -> list[Apart]:
    """The times in which a pair is apart, each from its first reason to its last."""
    key = ("aparts", sender, node)
    if key not in account.memo:
        account.memo[key] = _merged(_each_apart(account, sender, node))
    found: list[Apart] = account.memo[key]
    return found


def _each_apart(account: Account, sender: str, node: str) -> Iterator[Apart]:
    ready = account.phases.ready
    outages = list(away(account, node)) if sender == node else breaks(account, sender, node)
    for outage in outages:
        if ready is not None and outage.ended <= ready:
            continue
        planned = account.phases.stopped is not None and outage.began >= account.phases.stopped
        # A leaving host delivers first. A subscriber that leaves or is cut off may miss the rest.
        leaves = outage.notice == "left" and node not in outage.gone
        margin = 0.0 if leaves or planned else IN_FLIGHT_S
        ended = outage.ended + IN_FORCE_S
        if sender != node:
            ended = resumed(account, sender, node, outage)
        began = slowed_since(account, sender, node, outage.began)
        yield Apart(began - margin, began, ended, outage.gone)
    for began, ended in _set_aside(account, sender, node):
        yield Apart(began, began, ended, frozenset())


def _merged(aparts: Iterator[Apart] | list[Apart]) -> list[Apart]:
    found: list[Apart] = []
    for time in sorted(aparts, key=lambda time: time.began):
        if found and time.began <= found[-1].ended:
            last = found.pop()
            ended = max(last.ended, time.ended)
            time = Apart(min(last.since, time.since), last.began, ended, last.gone | time.gone)
        found.append(time)
    return found


def _set_aside(account: Account, sender: str, node: str) -> list[Span]:
    """The times in which a sender did not wait for a slow subscriber."""
    found: list[Span] = []
    waited = account.bounds.send_timeout + IN_FLIGHT_S
    for span in account.spans.get(sender, []):
        began: float | None = None
        for record in span.of("set_aside", "caught_up"):
            if record.fields.get("node") != node:
                continue
            if record.kind == "set_aside" and began is None:
                began = record.at - waited
            elif record.kind == "caught_up" and began is not None:
                found.append((began, record.at + IN_FORCE_S))
                began = None
        if began is not None:
            found.append((began, span.ended))
    return found


def unobserved(account: Account) -> list[str]:
    """The subscriptions that received none of their messages, as texts."""
    return [
        f"{one.node} received nothing of the {len(one.lost)} messages that "
        f"{one.published.span.node} published to {one.published.topic} for it"
        for one in deliveries(account)
        if one.lost and not one.received
    ]

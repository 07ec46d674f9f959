"""The times in which two nodes could not talk, by the faults and commands of the run, and the nodes
that must be told of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from spot.testbed.checkers.account import FLUSH_S, Account, IncarnationSpan
from spot.testbed.evidence import FaultWindow, Notice
from spot.testbed.journal import Record

__all__ = [
    "BUSY_S",
    "Break",
    "Due",
    "Span",
    "away",
    "breaks",
    "deadline_of",
    "due_notices",
    "incarnation_at",
    "is_covered",
    "is_held",
    "link_events",
    "may_alarm",
    "notices",
    "touched",
]

CLOSED_S = 0.1
"""The guarantee: seconds until a closed connection is noticed."""
SILENT_EXTRA_S = 0.2
"""Beyond ``Bounds.silence``, until ``recv`` has raised it."""
RECONNECT_EXTRA_S = 0.5
"""The guarantee: seconds beyond the backoff step, until the first message has come."""
BUSY_S = 0.4
"""How far a bound of time must be exceeded before it counts as broken, as guarantees hold on
machines that are not overloaded, and those of a testbed often are."""
IN_FLIGHT_S = 0.5
"""A message published so long before a fault may not have arrived, or not be recorded, when a
connection broke or a node was killed."""
IN_FORCE_S = 0.3
"""A subscription is in force so long after the nodes have said that they are synchronised."""

Span = tuple[float, float]


class Break(NamedTuple):
    """A time in which two nodes may be without a link."""

    began: float
    acted: float
    """When it was in force altogether."""
    ended: float
    """When it was healed; infinity: never."""
    notice: Notice
    window: FaultWindow | None
    """The fault. None: a node was not there, or was told to remove the other."""
    removed_by: str | None = None
    """The node that was told to remove the other."""
    gone: frozenset[str] = frozenset()
    """Nodes that did not run."""


def touched(account: Account, window: FaultWindow) -> Iterator[tuple[str, str]]:
    """The linked pairs (sorted) that can't be up while this fault lasts, or may be lost."""
    effect = window.effect
    may_be_lost = effect.notice != "none"
    for a, b in sorted(account.links):
        held = a in effect.paused or b in effect.paused
        slowed = (a, b) in effect.slowed or (b, a) in effect.slowed
        if (
            a in effect.down
            or b in effect.down
            or (may_be_lost and (held or slowed or (a, b) in effect.pairs))
        ):
            yield a, b


def breaks(account: Account, one: str, other: str) -> list[Break]:
    """All breaks of a pair, by when they began; of one without a link those on all of its ways."""
    pair = (min(one, other), max(one, other))
    key = ("breaks", pair)
    if key not in account.memo and pair not in account.links:
        links = {(min(link), max(link)) for way in account.ways(*pair) for link in pairwise(way)}
        several = [outage for link in sorted(links) for outage in breaks(account, *link)]
        account.memo[key] = sorted(dict.fromkeys(several), key=lambda item: item.began)
    if key not in account.memo:
        found = [
            Break(
                window.began,
                window.acted,
                math.inf if window.healed is None else window.healed,
                "maybe" if window.effect.notice == "none" else window.effect.notice,
                window,
                gone=window.effect.down,
            )
            for window in account.faults
            if pair in touched(account, window)
        ]
        for node, peer in (pair, pair[::-1]):
            found += away(account, node)
            found += _removed(account, node, peer)
        account.memo[key] = sorted(found, key=lambda item: item.began)
    known: list[Break] = account.memo[key]
    return known


def away(account: Account, node: str) -> Iterator[Break]:
    """When a node did not run, as its journal shows; also before its first incarnation."""
    gone = frozenset((node,))
    spans = account.spans.get(node, [])
    first = spans[0].began if spans else math.inf
    yield Break(-math.inf, -math.inf, first, "maybe", None, gone=gone)
    for span, following in zip(spans, [*spans[1:], None], strict=False):  # of none: none
        ended = following.began if following else math.inf
        if span.is_killed:
            began = span.ended - FLUSH_S
            yield Break(began, began, ended, "maybe", None, gone=gone)
        else:
            began = span.ended if span.left is None else span.left
            yield Break(began, began, ended, "left", None, gone=gone)


def _removed(account: Account, node: str, peer: str) -> Iterator[Break]:
    for span in account.spans.get(node, []):
        began: float | None = None
        for record in span.of("command"):
            fields = record.fields
            if fields.get("peer") != peer or not fields.get("ok", True):
                continue
            if fields["do"] == "remove" and began is None:
                began = record.at
            elif fields["do"] == "add" and began is not None:
                yield Break(began, began, record.at, "maybe", None, node)
                began = None
        if began is not None:
            yield Break(began, began, span.ended, "maybe", None, node)


def slowed_since(account: Account, one: str, other: str, at: float) -> float:
    """The start of a fault that slows this link and acted ``at`` that time. Without one, ``at``."""
    found = at
    for window in account.faults:
        effect = window.effect
        slow = (one, other) in effect.slowed or (other, one) in effect.slowed
        healed = math.inf if window.healed is None else window.healed
        if slow and window.began < found and healed + IN_FLIGHT_S >= at:
            found = window.began
    return found


def link_events(account: Account, node: str, peer: str) -> list[Record]:
    """``link_up``, ``synced`` and ``link_down`` of one node about another, by time.

    A link that was replaced by a newer one with the same peer was not lost.
    """
    key = ("link events", node)
    if key not in account.memo:
        about: dict[str, list[Record]] = {}
        for span in account.spans.get(node, []):
            for record in span.of("link_up", "synced", "link_down"):
                fields = record.fields
                if record.kind != "link_down" or fields.get("reason") != "replaced":
                    about.setdefault(str(fields.get("node")), []).append(record)
        account.memo[key] = about
    found: list[Record] = account.memo[key].get(peer, [])
    return found


def notices(account: Account, node: str, host: str) -> list[Record]:
    """When ``node`` was told that ``host`` can't be reached, by time, before all were stopped."""
    until = math.inf if account.phases.stopped is None else account.phases.stopped
    return [
        record
        for span in account.spans.get(node, [])
        for record in span.of("host_unreachable")
        if record.fields["node"] == host and record.at < until
    ]


def resumed(account: Account, one: str, other: str, outage: Break) -> float:
    """The latest time at which messages must flow again after a break.

    That is when both have said that they are synchronised; for nodes that don't say it, as long
    after the heal as the backoff may take.
    """
    if math.isinf(outage.ended):
        return math.inf
    reachable = reachable_from(account, one, other, outage.ended)
    limit = reachable + account.bounds.reconnect_max + RECONNECT_EXTRA_S + BUSY_S
    both = link_events(account, one, other) + link_events(account, other, one)
    said = sorted((record for record in both if record.at <= limit), key=lambda record: record.at)
    if not said or said[-1].kind == "link_down":
        return limit
    return min(limit, max(reachable, said[-1].at) + IN_FORCE_S)


def reachable_from(account: Account, one: str, other: str, healed: float) -> float:
    """When both nodes run again after a heal: one that was started has to come up first."""
    found = healed
    for node in (one, other):
        spans = account.spans.get(node, [])
        if not any(span.began <= healed <= span.ended for span in spans):
            later = [span.began for span in spans if span.began > healed]
            found = max(found, later[0] if later else found)
    return found


def is_covered(at: float, spans: list[Span]) -> bool:
    """Whether one of these spans of time contains ``at``."""
    return any(began <= at <= ended for began, ended in spans)


class Due(NamedTuple):
    """A node that must be told that a host is lost."""

    node: str
    host: str
    window: FaultWindow
    promise: float
    """Seconds within which the node must be told, by the guarantee."""
    deadline: float
    """The time after which the node was told too late, even on a busy machine."""
    ended: float
    """The end of the time in which the node may be told of this fault."""
    is_alone: bool
    """Whether no other fault of this pair was near."""


def alarm_slack(account: Account) -> float:
    """So long after a heal a link may still be found lost."""
    return account.bounds.silence + SILENT_EXTRA_S + BUSY_S


def may_alarm(account: Account, outage: Break, at: float) -> bool:
    """Whether a link may be found lost ``at`` that time because of a break."""
    # Before a node's first incarnation there was nothing to lose, nor to be told of late.
    slack = 0.0 if math.isinf(outage.began) else alarm_slack(account)
    return outage.began <= at <= outage.ended + slack


def due_notices(account: Account) -> list[Due]:
    """The nodes that must be told, and of which host, for all faults of the run."""
    return [
        due
        for window in account.faults
        for pair in touched(account, window)
        for node, host in (pair, pair[::-1])
        if (due := _due(account, window, node, host)) is not None
    ]


def _due(account: Account, window: FaultWindow, node: str, host: str) -> Due | None:
    effect, bounds = window.effect, account.bounds
    still = effect.down | effect.paused
    if effect.notice not in ("closed", "silent", "left") or node in still:
        return None
    pair = (min(node, host), max(node, host))
    if pair not in effect.pairs and host not in still:
        return None
    if host not in still and len(account.ways(node, host)) > 1:
        return None  # it may still be reached over relays
    span = incarnation_at(account, node, window.began)
    if span is None or not _is_wanted(account, node, host, window.began):
        return None
    if not is_up(account, span, host, window.began):
        return None
    healed = math.inf if window.healed is None else window.healed
    promise = bounds.silence if effect.notice == "silent" else CLOSED_S
    deadline = deadline_of(window, promise)
    near = [
        other
        for other in breaks(account, node, host)
        if other.window is not None
        and other.window is not window
        and other.began <= deadline
        and other.ended + alarm_slack(account) >= window.began
    ]
    slowed = slowed_since(account, node, host, window.began) < window.began
    if near or slowed:
        promise = bounds.silence
        latest = max([window.acted, *(other.acted for other in near)])
        deadline = latest + promise + SILENT_EXTRA_S + BUSY_S
    if effect.notice == "silent" and healed < window.began + promise + SILENT_EXTRA_S:
        return None
    if not _is_there(account, span, window.began, deadline) or _is_removed(
        account, node, host, window, deadline
    ):
        return None
    ended = healed + alarm_slack(account)
    return Due(node, host, window, promise, deadline, ended, not near)


def deadline_of(window: FaultWindow, promise: float) -> float:
    """The time limit for a fault that must be told within ``promise`` seconds."""
    if window.effect.notice == "silent":
        return window.acted + promise + SILENT_EXTRA_S + BUSY_S
    return window.acted + promise + BUSY_S


def is_held(account: Account, node: str, since: float, until: float) -> bool:
    """Whether a fault kept a node from running, or starved it, at any time of this span."""
    for window in account.faults:
        effect = window.effect
        starved = effect.slowed if effect.notice == "maybe" else frozenset()
        held = effect.paused | effect.down | {one for pair in starved for one in pair}
        is_over = window.healed is not None and window.healed + BUSY_S < since
        if node in held and window.began <= until and not is_over:
            return True
    return False


def incarnation_at(account: Account, node: str, at: float) -> IncarnationSpan | None:
    """The incarnation that a node was in. None: it did not run."""
    for span in account.spans.get(node, []):
        if span.began <= at <= span.ended:
            return span
    return None


def is_up(account: Account, span: IncarnationSpan, peer: str, at: float) -> bool:
    """Whether an incarnation had a link with a peer; by what it received if it tells no links."""
    events = [
        record for record in link_events(account, span.node, peer) if span.began <= record.at < at
    ]
    if events:
        # A host that was greeted, and lost before its topics were known, was never there.
        says = any(record.kind == "synced" for record in link_events(account, span.node, peer))
        return events[-1].kind == ("synced" if says else "link_up")
    return any(
        stream.span is span
        and any(arrival.host == peer and arrival.at < at for arrival in stream.arrivals)
        for stream in account.streams
    )


def _is_wanted(account: Account, node: str, host: str, at: float) -> bool:
    """Whether the node is subscribed to a topic that this host, and no other, has then."""
    for topic in account.hears(node, host):
        hosts = {one for one, began, ended in account.hosts[topic] if began <= at <= ended}
        if hosts == {host} and is_covered(at, account.subscribed(node, topic)):
            return True
    return False


def _is_there(account: Account, span: IncarnationSpan, began: float, deadline: float) -> bool:
    """Whether this incarnation runs until then without being paused or starved."""
    stopped = account.phases.stopped
    if span.ended < deadline or (stopped is not None and stopped < deadline):
        return False
    return not any(
        span.node in window.effect.down | window.effect.paused
        and window.began <= deadline
        and (window.healed is None or window.healed >= began)
        for window in account.faults
    )


def _is_removed(
    account: Account, node: str, host: str, window: FaultWindow, deadline: float
) -> bool:
    return any(
        other.removed_by is not None and other.began <= deadline and other.ended >= window.began
        for other in breaks(account, node, host)
    )

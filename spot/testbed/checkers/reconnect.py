"""reconnect: a lost link comes back by itself, with its topics and subscriptions, in its time."""

from __future__ import annotations

import math
from typing import NamedTuple

from spot.testbed.checkers.account import Account, account_of
from spot.testbed.checkers.backoff import waits
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised, nothing_seen
from spot.testbed.checkers.outages import (
    BUSY_S,
    RECONNECT_EXTRA_S,
    breaks,
    incarnation_at,
    is_covered,
    link_events,
    reachable_from,
    touched,
)
from spot.testbed.evidence import Evidence, FaultWindow
from spot.testbed.verdict import Finding

__all__ = ["Recovery", "reconnect", "recoveries"]

NAME = "reconnect"


class Recovery(NamedTuple):
    """How one direction of a link came back after a fault."""

    window: FaultWindow
    node: str
    """The node that receives."""
    host: str
    topic: str | None
    """None: no message is sent in this direction, so the link itself must be back."""
    reachable: float
    """When the two could reach each other again."""
    promise: float
    """Seconds from then: the backoff step and 0.5 s."""
    deadline: float
    """The time after which it came too late, even on a busy machine."""
    back: float | None
    """When the first message published since then came. None: none did."""


def reconnect(evidence: Evidence) -> Finding:
    """Whether a message came on every subscription in time after each heal."""
    account = account_of(evidence)
    found = recoveries(account)
    if not any(window.healed is not None for window in account.faults) or not any(
        True for window in account.faults for _ in touched(account, window)
    ):
        return not_exercised(NAME, "no link was broken and healed")
    wrongs = Wrongs()
    took: list[float] = []
    unseen: list[str] = []
    ended = _ended(account)
    for one in found:
        what = f"{one.topic} of {one.host}" if one.topic else f"its link with {one.host}"
        since = f"{one.window.text}, healed at {account.clock(one.window.healed or 0.0)}"
        bound = f"the bound is {one.promise:.3f} s"
        if one.back is not None:
            took.append(max(0.0, one.back - one.reachable))
            if one.back > one.deadline:
                wrongs.add(
                    f"{one.node} got {what} back at {account.clock(one.back)}, {took[-1]:.3f} s "
                    f"after it could ({since}): {bound}"
                )
        elif one.deadline < ended:
            wrongs.add(f"{one.node} never got {what} back ({since}): {bound}")
        else:
            unseen.append(
                f"{one.node} did not get {what} back before the run ended, at "
                f"{account.clock(ended)} ({since}); it had time until "
                f"{account.clock(one.deadline)}"
            )
    if not found or (not took and not wrongs.count):
        return nothing_seen(NAME, "the run ended before any link could be back")
    longest = f", the last after {max(took):.3f} s" if took else ""
    summary = (
        f"{len(took):,} of {counted(len(found), 'subscription')} came back{longest}; "
        f"{wrongs.count:,} too late or never"
    )
    return judged(NAME, wrongs, summary, unseen)


def _ended(account: Account) -> float:
    """The end of what can be seen: when publishing ended, or the run."""
    ends = [end for end in (account.phases.quiet, account.phases.stopped) if end is not None]
    recorded = [spans[-1].ended for spans in account.spans.values() if spans]
    return min(ends, default=max(recorded, default=-math.inf))


def recoveries(account: Account) -> list[Recovery]:
    """The returns after every healed fault, one for each direction and topic that it broke.

    Leaves out those for which another fault follows before the time is over.
    """
    if "recoveries" not in account.memo:
        account.memo["recoveries"] = [
            recovery
            for window in account.faults
            for pair in touched(account, window)
            for node, host in (pair, pair[::-1])
            for recovery in _after(account, window, node, host)
        ]
    found: list[Recovery] = account.memo["recoveries"]
    return found


def _after(account: Account, window: FaultWindow, node: str, host: str) -> list[Recovery]:
    if window.healed is None:
        return []
    reachable = reachable_from(account, node, host, window.healed)
    if (
        incarnation_at(account, node, reachable) is None
        or incarnation_at(account, host, reachable) is None
    ):
        return []
    topics = account.hears(node, host)
    found = [_of_topic(account, window, node, host, topic, reachable) for topic in topics]
    known = [one for one in found if one is not None]
    if not known and (link := _of_link(account, window, node, host, reachable)):
        known = [link]
    return [one for one in known if not _is_disturbed(account, one)]


def _is_disturbed(account: Account, one: Recovery) -> bool:
    """Whether another break came before it could be back, or a node ended that should not have."""
    until = one.deadline if one.back is None else min(one.back, one.deadline)
    stopped = account.phases.stopped
    return any(
        outage.window is not one.window
        and outage.began <= until
        and outage.ended > one.reachable
        and not (stopped is not None and outage.began >= stopped)
        for outage in breaks(account, one.node, one.host)
    )


def _step(account: Account, node: str, host: str, since: float, until: float) -> float:
    """The backoff step that a broken link was in when it came back: the larger of both ends'."""
    steps = []
    for one, other in ((node, host), (host, node)):
        mine = [
            wait for wait in waits(account, one) if wait.node == other and since <= wait.at <= until
        ]
        if mine:
            steps.append(mine[-1].high)
    return max(steps, default=account.bounds.reconnect_max)


def _of_topic(
    account: Account, window: FaultWindow, node: str, host: str, topic: str, reachable: float
) -> Recovery | None:
    sent = sorted(
        at
        for one in account.published.values()
        if one.topic == topic and one.span.node == host
        for at in one.accepted.values()
        if at >= reachable
    )
    if not sent or not account.only_host(topic, host):
        return None
    if not is_covered(reachable, account.subscribed(node, topic)):
        return None
    back = min(
        (
            arrival.at
            for stream in account.streams
            if stream.node == node and stream.topic == topic
            for arrival in stream.arrivals
            if arrival.at >= reachable
            and arrival.host == host
            and arrival.source is not None
            and arrival.source.accepted.get(arrival.counter or 0, -math.inf) >= reachable
        ),
        default=None,
    )
    most = reachable + account.bounds.reconnect_max + RECONNECT_EXTRA_S
    step = _step(account, node, host, window.began, most if back is None else back)
    promise = step + RECONNECT_EXTRA_S
    # Where little is published, the first message since then may itself come late.
    following = next((at for at in sent if at >= reachable + promise), None)
    wait = max(0.0, following - reachable - promise) if following is not None else 0.0
    deadline = reachable + promise + wait + BUSY_S
    return Recovery(window, node, host, topic, reachable, promise, deadline, back)


def _of_link(
    account: Account, window: FaultWindow, node: str, host: str, reachable: float
) -> Recovery | None:
    events = [record for record in link_events(account, node, host) if record.at >= window.began]
    if not events:
        return None
    ups = [record.at for record in events if record.kind != "link_down"]
    back = max(reachable, ups[-1]) if ups and events[-1].kind != "link_down" else None
    later = [at for at in ups if at >= reachable]
    if later:
        back = later[0]
    step = _step(account, node, host, window.began, math.inf if back is None else back)
    promise = step + RECONNECT_EXTRA_S
    return Recovery(
        window, node, host, None, reachable, promise, reachable + promise + BUSY_S, back
    )

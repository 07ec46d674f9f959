"""conflict-visible: every node that is linked with two hosts of one topic sees the conflict."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

from spot.testbed.checkers.account import Account, IncarnationSpan, account_of
from spot.testbed.checkers.deliveries import excuses
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.checkers.outages import BUSY_S, Span
from spot.testbed.checkers.views import view_at, views_of
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["conflict_visible"]

NAME = "conflict-visible"


def conflict_visible(evidence: Evidence) -> Finding:
    """Whether nodes that can see both hosts show the conflict, and no view shows another one."""
    account = account_of(evidence)
    wrongs = Wrongs()
    seen = 0
    for topic in account.hosts:
        for one, other, both in _conflicts(account, topic):
            for spans in account.spans.values():
                for span in spans:
                    seen += _judge_seen(account, span, topic, (one, other), both, wrongs)
    for spans in account.spans.values():
        for span in spans:
            _judge_claims(account, span, wrongs)
    if not seen and not wrongs.count:
        return not_exercised(NAME, "no node was linked with two hosts of one topic")
    summary = f"{counted(seen, 'view')} had to show a conflict, {wrongs.count:,} wrong"
    return judged(NAME, wrongs, summary)


def _conflicts(account: Account, topic: str) -> Iterator[tuple[str, str, Span]]:
    """Two hosts of a topic, neither standing by, and when both had it."""
    hosts = [one for one in account.hosts[topic] if (topic, one[0]) not in account.standbys]
    for (one, began, ended), (other, since, until) in combinations(hosts, 2):
        both = (max(began, since), min(ended, until))
        if one != other and both[0] < both[1]:
            yield one, other, both


def _judge_seen(
    account: Account,
    span: IncarnationSpan,
    topic: str,
    hosts: tuple[str, str],
    both: Span,
    wrongs: Wrongs,
) -> int:
    """How often an incarnation had to show a conflict, counting both its beginning and its end."""
    node = span.node
    others = [host for host in hosts if host != node]
    if not all(account.are_linked(node, host) for host in others) or not views_of(account, span):
        return 0
    stopped = math.inf if account.phases.stopped is None else account.phases.stopped
    times = [(max(both[0], span.began), min(both[1], span.ended, stopped))]
    for host in others:
        for began, ended in excuses(account, host, node):
            times = [rest for time in times for rest in _without(time, began, ended)]
    judged_times = 0
    for began, ended in times:
        if ended - began <= BUSY_S:
            continue
        judged_times += 1
        view = view_at(account, span, began + BUSY_S)
        if view is None or not set(hosts) <= set(view.conflicts.get(topic, ())):
            wrongs.add(
                f"{node} was linked with {hosts[0]} and {hosts[1]} from {account.clock(began)} on, "
                f"which both hosted {topic}, and its view did not show it"
            )
    return judged_times


def _without(time: Span, began: float, ended: float) -> Iterator[Span]:
    for part in ((time[0], min(time[1], began)), (max(time[0], ended), time[1])):
        if part[0] < part[1]:
            yield part


def _judge_claims(account: Account, span: IncarnationSpan, wrongs: Wrongs) -> None:
    """No view shows a conflict before there is one, nor long after it."""
    slack = account.bounds.stable_after + account.bounds.silence + BUSY_S
    views = views_of(account, span)
    for place, view in enumerate(views):
        until = views[place + 1].at if place + 1 < len(views) else span.ended
        until = min(until, account.phases.stopped or until)
        for topic in view.conflicts:
            spans = (
                [both for _, _, both in _conflicts(account, topic)]
                if (topic in account.hosts)
                else []
            )
            if not any(began - BUSY_S <= view.at <= ended + slack for began, ended in spans):
                wrongs.add(
                    f"{span.node} showed a conflict of {topic} at {account.clock(view.at)}, and it "
                    "had no two hosts"
                )
            elif max(ended for _, ended in spans) + slack < until:
                wrongs.add(
                    f"{span.node} went on to show the conflict of {topic} until "
                    f"{account.clock(until)}, long after one of its hosts had ended"
                )

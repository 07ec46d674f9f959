"""failover: a route with backups switches to the next host without a call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spot.testbed.checkers.account import Account, IncarnationSpan, account_of
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.checkers.outages import (
    BUSY_S,
    CLOSED_S,
    breaks,
    deadline_of,
    is_up,
    link_events,
    touched,
)
from spot.testbed.evidence import Evidence, FaultWindow
from spot.testbed.verdict import Finding

__all__ = ["failover"]

NAME = "failover"


class RouteWithBackups(NamedTuple):
    """A route with backups, from the call that made it."""

    span: IncarnationSpan
    topic: str
    hosts: Sequence[str]
    since: float
    until: float
    """When another call replaced it, or its node ended."""
    turns: Sequence[tuple[float, str]]
    """When each host became the current one, oldest first."""

    def host_at(self, at: float) -> str:
        """The current host."""
        return [host for since, host in self.turns if since <= at or since == self.since][-1]


def failover(evidence: Evidence) -> Finding:
    """Whether the next host took over when the current one was lost, in its time, and only then.

    no-duplicate judges whether a message comes twice.
    """
    account = account_of(evidence)
    wrongs = Wrongs()
    taken = 0
    for route in _routes(account):
        for window in account.faults:
            taken += _judge_loss(account, route, window, wrongs)
        _judge_turns(account, route, wrongs)
    if not taken and not wrongs.count:
        return not_exercised(NAME, "no route lost its host while another was there")
    summary = f"{counted(taken, 'time')} the next host had to take over, {wrongs.count:,} wrong"
    return judged(NAME, wrongs, summary)


def _routes(account: Account) -> Iterator[RouteWithBackups]:
    for spans in account.spans.values():
        for span in spans:
            calls = [
                record
                for record in span.of("command")
                if record.fields["do"] == "route" and record.fields.get("ok", True)
            ]
            for record in calls:
                fields = record.fields
                if not fields.get("backups"):
                    continue
                topic, first = str(fields["topic"]), str(fields["peer"])
                later = [
                    call.at
                    for call in calls
                    if call.at > record.at and call.fields["topic"] == topic
                ]
                until = min([*later, span.ended])
                turns = [(record.at, first)] + [
                    (event.at, str(event.fields["node"]))
                    for event in span.of("route")
                    if record.at < event.at < until and topic in event.fields.get("topics", ())
                ]
                hosts = (first, *fields["backups"])
                yield RouteWithBackups(span, topic, hosts, record.at, until, turns)


def _judge_loss(
    account: Account, route: RouteWithBackups, window: FaultWindow, wrongs: Wrongs
) -> int:
    """1 if a fault took the current host of a route and another had to take over."""
    node, effect = route.span.node, window.effect
    if effect.notice not in ("closed", "silent", "left") or not (
        route.since < window.began < route.until
    ):
        return 0
    silent = effect.notice == "silent"
    deadline = deadline_of(window, account.bounds.silence if silent else CLOSED_S)
    healed = math.inf if window.healed is None else window.healed
    if (silent and healed < deadline) or route.span.ended < deadline:
        return 0
    lost = route.host_at(window.began)
    pair = (min(node, lost), max(node, lost))
    if pair not in touched(account, window) or not is_up(account, route.span, lost, window.began):
        return 0
    if not any(
        _serves(account, route, host, window.began, deadline)
        for host in route.hosts
        if host != lost
    ):
        return 0
    took = [at for at, host in route.turns if window.began <= at <= deadline and host != lost]
    began = account.clock(window.began)
    if not took:
        wrongs.add(
            f"{node} lost {lost}, the host of {route.topic} ({window.text} at {began}), and no "
            f"other of {', '.join(route.hosts)} had taken over by {account.clock(deadline)}"
        )
    told = [
        record
        for record in route.span.of("host_unreachable")
        if window.began <= record.at <= deadline
        and record.fields["node"] == lost
        and route.topic in record.fields["topics"]
    ]
    if told:
        wrongs.add(
            f"{node} was told at {account.clock(told[0].at)} that {route.topic} had lost its host "
            f"{lost}, though another was left ({window.text} at {began})"
        )
    return 1


def _serves(
    account: Account, route: RouteWithBackups, host: str, began: float, until: float
) -> bool:
    """Whether a host was there, with the topic, before a loss and until it had to take over."""
    has_topic = any(
        one == host and since < began - BUSY_S and ended > until
        for one, since, ended in account.hosts.get(route.topic, ())
    )
    calm = not any(
        outage.began <= until and outage.ended >= began
        for outage in breaks(account, route.span.node, host)
    )
    return has_topic and calm and is_up(account, route.span, host, began)


def _judge_turns(account: Account, route: RouteWithBackups, wrongs: Wrongs) -> None:
    """A subscription keeps its host for as long as the host runs."""
    for (_, before), (at, host) in zip(route.turns, route.turns[1:], strict=False):
        events = [
            record
            for record in link_events(account, route.span.node, before)
            if route.span.began <= record.at <= at + CLOSED_S
        ]
        if host != before and events and events[-1].kind != "link_down":
            wrongs.add(
                f"{route.span.node} went from {before} to {host} for {route.topic} at "
                f"{account.clock(at)}, and {before} had not been lost"
            )

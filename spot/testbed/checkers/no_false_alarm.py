"""no-false-alarm: a peer that runs and can be reached is not called lost."""

from __future__ import annotations

from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.finding import Wrongs, counted, judged, nothing_seen
from spot.testbed.checkers.outages import breaks, link_events, may_alarm, notices
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["no_false_alarm"]

NAME = "no-false-alarm"


def no_false_alarm(evidence: Evidence) -> Finding:
    """Whether links were lost, and hosts reported lost, only because of faults and commands."""
    account = account_of(evidence)
    stopped = account.phases.stopped
    wrongs = Wrongs()
    lost = 0
    seen = {
        (stream.node, arrival.host) for stream in account.streams for arrival in stream.arrivals[:1]
    }
    watched = 0
    for a, b in sorted(account.links):
        for node, peer in ((a, b), (b, a)):
            events = link_events(account, node, peer)
            watched += bool(events) or (node, peer) in seen
            alarms = [
                ("lost its link with", record) for record in events if record.kind == "link_down"
            ]
            alarms += [("was told of the loss of", one) for one in notices(account, node, peer)]
            for what, record in alarms:
                if stopped is not None and record.at >= stopped:
                    continue
                lost += 1
                if not any(
                    may_alarm(account, outage, record.at) for outage in breaks(account, node, peer)
                ):
                    wrongs.add(
                        f"{node} {what} {peer} at {account.clock(record.at)} "
                        f"({record.fields.get('reason')}), to which nothing had been done"
                    )
    if not watched:
        return nothing_seen(NAME, "no node had a link")
    summary = (
        f"{counted(lost, 'alarm')} of {watched:,} ends of links, {wrongs.count:,} without cause"
    )
    return judged(NAME, wrongs, summary)

"""detection-time: a closed link is noticed at once, a silent one within its time."""

from __future__ import annotations

from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised, nothing_seen
from spot.testbed.checkers.outages import due_notices, notices
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["detection_time"]

NAME = "detection-time"


def detection_time(evidence: Evidence) -> Finding:
    """Whether nodes that were told of a lost host were told in time.

    The time counts from just before the fault was applied, plus the time that applying it took.
    host-unreachable-told judges nodes that were not told at all.
    """
    account = account_of(evidence)
    dues = due_notices(account)
    if not dues:
        return not_exercised(NAME, "no host that somebody listened to was lost")
    wrongs = Wrongs()
    times: dict[str, list[float]] = {}
    for due in dues:
        began = due.window.began
        told = [
            notice.at
            for notice in notices(account, due.node, due.host)
            if began <= notice.at <= max(due.ended, due.deadline)
        ]
        if not told:
            continue
        took = told[0] - began
        times.setdefault(f"{due.promise:g} s", []).append(took)
        if told[0] > due.deadline:
            wrongs.add(
                f"{due.node} was told at {account.clock(told[0])} that {due.host} was lost, "
                f"{took:.3f} s after {due.window.text} ({account.clock(began)}): "
                f"the bound is {due.promise:g} s"
            )
    if not times:
        return nothing_seen(NAME, f"nobody was told of {counted(len(dues), 'lost host')}")
    spread = "; ".join(
        f"{len(took)} told within {max(took):.3f} s, bound {bound}"
        for bound, took in sorted(times.items())
    )
    return judged(NAME, wrongs, f"{spread}; {wrongs.count:,} too late")

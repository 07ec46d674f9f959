"""host-unreachable-told: raised where a host of subscribed topics is lost, and nowhere else."""

from __future__ import annotations

import math

from spot.testbed.checkers.account import Account, account_of
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised, nothing_seen
from spot.testbed.checkers.outages import (
    Due,
    breaks,
    due_notices,
    link_events,
    may_alarm,
    notices,
)
from spot.testbed.evidence import Evidence
from spot.testbed.journal import Record
from spot.testbed.verdict import Finding

__all__ = ["host_unreachable_told"]

NAME = "host-unreachable-told"


def host_unreachable_told(evidence: Evidence) -> Finding:
    """Whether ``recv`` raised once for each lost host, naming its topics, and for nothing else.

    detection-time judges whether it did so in time.
    """
    account = account_of(evidence)
    if not any(account.spans.values()):
        return nothing_seen(NAME, "no node has a journal")
    dues = due_notices(account)
    wrongs = Wrongs()
    for due in dues:
        _judge_due(account, due, wrongs)
    told = 0
    for node in account.spans:
        for host in account.topology.names:
            for notice in notices(account, node, host):
                told += 1
                wrong = _wrong(account, node, host, notice)
                if wrong:
                    wrongs.add(
                        f"{node} was told at {account.clock(notice.at)} that {host} was lost "
                        f"({notice.fields['reason']}): {wrong}"
                    )
    if not dues and not told:
        return not_exercised(NAME, "no host that somebody listened to was lost")
    summary = f"{counted(len(dues), 'notice')} due, {told:,} given, {wrongs.count:,} wrong"
    return judged(NAME, wrongs, summary)


def _judge_due(account: Account, due: Due, wrongs: Wrongs) -> None:
    found = [
        notice
        for notice in notices(account, due.node, due.host)
        if due.window.began <= notice.at <= max(due.ended, due.deadline)
    ]
    began = account.clock(due.window.began)
    if not found:
        wrongs.add(
            f"{due.node} was never told that {due.host} was lost ({due.window.text} at {began})"
        )
        return
    lost = [
        record
        for record in link_events(account, due.node, due.host)
        if record.kind == "link_down" and due.window.began <= record.at <= due.ended
    ]
    if due.is_alone and len(found) > max(1, len(lost)):
        wrongs.add(
            f"{due.node} was told {len(found)} times that {due.host} was lost "
            f"({due.window.text} at {began}), the last at {account.clock(found[-1].at)}"
        )


def _wrong(account: Account, node: str, host: str, notice: Record) -> str | None:
    """The error of a notice. None: it is right."""
    if not account.ways(node, host):
        return "it has no link with it"
    around = [
        outage
        for outage in breaks(account, node, host)
        if may_alarm(account, outage, notice.at) and outage.removed_by != node
    ]
    if not around:
        return "nothing had happened to that link"
    if all(math.isinf(outage.began) and outage.ended > notice.at for outage in around):
        return "it had never been there"
    topics = notice.fields["topics"]
    if not topics:
        return "no topic is named"
    heard = account.hears(node, host)
    strange = [topic for topic in topics if topic not in heard]
    return f"{node} does not hear its topic {strange[0]}" if strange else None

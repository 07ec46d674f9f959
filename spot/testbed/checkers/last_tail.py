"""last-tail: the last message arrives without a next one."""

from __future__ import annotations

from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.deliveries import deliveries
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["last_tail"]

NAME = "last-tail"


def last_tail(evidence: Evidence) -> Finding:
    """Whether a topic's last message still came when a broken link could not carry it."""
    account = account_of(evidence)
    tails = [(one, one.tail) for one in deliveries(account) if one.tail is not None]
    if not tails:
        return not_exercised(NAME, "no topic ended with a message that its link could not carry")
    wrongs = Wrongs()
    for one, at in tails:
        if one.tail_lost:
            wrongs.add(
                f"{one.node} never received the last message of {one.published.topic}, "
                f"{one.published.counters[-1]}, which {one.published.span.node} published at "
                f"{account.clock(at)}, though its host held it and was reached again"
            )
    summary = f"{counted(len(tails), 'last message')} after a heal, {wrongs.count:,} never came"
    return judged(NAME, wrongs, summary)

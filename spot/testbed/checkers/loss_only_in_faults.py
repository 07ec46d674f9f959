"""loss-only-in-faults: only messages that no buffer held, or that ended with a host, are lost."""

from __future__ import annotations

from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.deliveries import deliveries
from spot.testbed.checkers.finding import Wrongs, judged, lost_text, nothing_seen
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["loss_only_in_faults"]

NAME = "loss-only-in-faults"


def loss_only_in_faults(evidence: Evidence) -> Finding:
    """Whether all accepted messages came, including the last ones, except those that are excused.

    A fault alone does not excuse a message that its host's replay buffer surely held.
    """
    account = account_of(evidence)
    found = deliveries(account)
    owed = sum(one.received + len(one.lost) for one in found)
    if not owed:
        return nothing_seen(NAME, "nothing was published that any node had to receive")
    wrongs = Wrongs()
    for one in found:
        outside = [lost for lost in one.lost if lost not in one.unhealed]
        for lost, when in (
            (outside, "outside of any fault"),
            (one.unhealed, "and the replay buffer held"),
        ):
            if lost:
                wrongs.add(lost_text(account, one.node, one.published, lost, when), len(lost))
    excused = sum(one.excused for one in found)
    received = sum(one.received for one in found)
    summary = (
        f"{received:,} deliveries came, {excused:,} were missed with an excuse, "
        f"{wrongs.count:,} without"
    )
    return judged(NAME, wrongs, summary)

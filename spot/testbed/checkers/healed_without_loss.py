"""healed-without-loss: a link that heals while the replay buffer holds everything loses nothing."""

from __future__ import annotations

from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.deliveries import deliveries
from spot.testbed.checkers.finding import Wrongs, counted, judged, lost_text, not_exercised
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["healed_without_loss"]

NAME = "healed-without-loss"


def healed_without_loss(evidence: Evidence) -> Finding:
    """Whether all messages came that were published during a break and held by the buffer.

    Other checkers judge that they came once, in order and with ``missed`` 0: no-duplicate, order
    and no-silent-gap.
    """
    account = account_of(evidence)
    found = deliveries(account)
    wrongs = Wrongs()
    for one in found:
        if one.unhealed:
            text = lost_text(
                account, one.node, one.published, one.unhealed, "and the replay buffer held"
            )
            wrongs.add(text, len(one.unhealed))
    healed = sum(one.healed for one in found)
    overrun = sum(one.overrun for one in found)
    if not healed and not wrongs.count:
        return not_exercised(NAME, "no message was published while the way to a node was broken")
    summary = f"{counted(healed, 'message')} came after a heal, {wrongs.count:,} never"
    if overrun:
        summary += f"; {overrun:,} were more than the replay buffer is sure to hold"
    return judged(NAME, wrongs, summary)

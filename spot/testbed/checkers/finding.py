"""Helps checkers to make a ``Finding``."""

from __future__ import annotations

from collections.abc import Sequence

from spot.testbed.checkers.account import Account, Published
from spot.testbed.verdict import Finding, Verdict

__all__ = ["Wrongs", "counted", "judged", "lost_text", "not_exercised", "nothing_seen"]

SHOWN_MAX = 5


class Wrongs:
    """The violations: counts all of them, and keeps the texts of the first few."""

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[str] = []

    def add(self, text: str, count: int = 1) -> None:
        """Adds one error, or ``count`` errors with one text."""
        self.count += count
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(text)

    @property
    def details(self) -> tuple[str, ...]:
        """For the finding."""
        return tuple(self.shown)


def judged(guarantee: str, wrongs: Wrongs, summary: str, unseen: Sequence[str] = ()) -> Finding:
    """Fail if anything was wrong, unknown if something was not seen, else pass."""
    if wrongs.count:
        return Finding(guarantee, Verdict.FAIL, summary, wrongs.details)
    if unseen:
        return Finding(guarantee, Verdict.UNKNOWN, summary, tuple(unseen[:SHOWN_MAX]))
    return Finding(guarantee, Verdict.PASS, summary)


def nothing_seen(guarantee: str, why: str) -> Finding:
    """Unknown, because the evidence lacks what is needed to judge."""
    return Finding(guarantee, Verdict.UNKNOWN, f"nothing observed: {why}")


def not_exercised(guarantee: str, why: str) -> Finding:
    """Unknown, as nothing in this run could have broken the guarantee."""
    return Finding(guarantee, Verdict.UNKNOWN, f"not exercised: {why}", is_exercised=False)


def counted(number: int, what: str) -> str:
    """``1 message``, ``12,400 messages``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def lost_text(
    account: Account, node: str, published: Published, lost: Sequence[tuple[int, float]], when: str
) -> str:
    """A text on messages that a node never received. ``lost``: counters and publishing times."""
    counter, at = lost[0]
    _, last = lost[-1]
    return (
        f"{node} never received {counted(len(lost), 'message')} that {published.span.node} "
        f"published to {published.topic}, from message {counter} at {account.clock(at)} to "
        f"{account.clock(last)}, {when}"
    )

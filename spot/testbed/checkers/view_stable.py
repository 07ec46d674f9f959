"""view-stable: the view shows a loss at once, and a return when the link has held."""

from __future__ import annotations

import math
from itertools import pairwise

from spot.testbed.checkers.account import Account, IncarnationSpan, account_of
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.checkers.outages import BUSY_S, link_events
from spot.testbed.checkers.views import view_at, views_of
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["view_stable"]

NAME = "view-stable"
CLOCK_S = 0.01
"""How far apart two records of one moment may be, in seconds."""


def view_stable(evidence: Evidence) -> Finding:
    """Whether versions count up, losses show at once, and returns only after ``stable_after``."""
    account = account_of(evidence)
    wrongs = Wrongs()
    losses = returns = 0
    for spans in account.spans.values():
        for span in spans:
            _judge_versions(account, span, wrongs)
            losses += _judge_losses(account, span, wrongs)
            returns += _judge_returns(account, span, wrongs)
    if not losses and not wrongs.count:
        return not_exercised(NAME, "no node left a view")
    summary = (
        f"{counted(losses, 'node')} left a view, {returns:,} came back, "
        f"{wrongs.count:,} of it not as it should be"
    )
    return judged(NAME, wrongs, summary)


def _judge_versions(account: Account, span: IncarnationSpan, wrongs: Wrongs) -> None:
    views = views_of(account, span)
    for before, now in pairwise(views):
        if now.version != before.version + 1:
            wrongs.add(
                f"{span.node}'s view of {account.clock(now.at)} has version {now.version}, and the "
                f"one before it {before.version}"
            )
        said = (now.reachable, now.quorum, now.conflicts)
        if said == (before.reachable, before.quorum, before.conflicts):
            wrongs.add(
                f"{span.node}'s view of {account.clock(now.at)} is a new version, and says the same"
            )


def _judge_losses(account: Account, span: IncarnationSpan, wrongs: Wrongs) -> int:
    """How many nodes left an incarnation's views. A node whose link is lost must leave them."""
    views = views_of(account, span)
    losses = sum(len(before.reachable - now.reachable) for before, now in pairwise(views))
    if not views or account.relays:
        return losses  # behind a relay a node may be reached without a link
    until = min(span.ended, account.phases.stopped or span.ended)
    for peer in account.spans:
        for record in link_events(account, span.node, peer):
            if record.kind != "link_down" or not span.began <= record.at < until - BUSY_S:
                continue
            seen = [view for view in views if record.at - CLOCK_S <= view.at <= record.at + BUSY_S]
            before = view_at(account, span, record.at - CLOCK_S)
            was_in = before is not None and peer in before.reachable
            if was_in and all(peer in view.reachable for view in seen):
                wrongs.add(
                    f"{span.node} lost its link with {peer} at {account.clock(record.at)}, and its "
                    "view went on to say that it reaches it"
                )
    return losses


def _judge_returns(account: Account, span: IncarnationSpan, wrongs: Wrongs) -> int:
    """How many nodes came back into the views of an incarnation: none before its time."""
    least = float(span.setting("stable_after", account.bounds.stable_after)) - CLOCK_S
    left: dict[str, float] = {}
    returns = 0
    views = views_of(account, span)
    for before, now in pairwise(views):
        for node in before.reachable - now.reachable:
            left[node] = now.at
        for node in now.reachable - before.reachable:
            if node not in left:
                continue
            returns += 1
            since = max(left[node], _held_since(account, span, node, now.at))
            if now.at - since < least:
                wrongs.add(
                    f"{node} came back into {span.node}'s view at {account.clock(now.at)}, when "
                    f"its link had held for {now.at - since:.3f} s: stable_after is "
                    f"{least + CLOCK_S:g} s"
                )
    return returns


def _held_since(account: Account, span: IncarnationSpan, peer: str, until: float) -> float:
    """When the link with a peer was made that was up ``until`` then, which it is if there is none.

    Minus infinity: no event tells.
    """
    since = -math.inf
    if account.relays:
        return since
    is_up = False
    for record in link_events(account, span.node, peer):
        if span.began <= record.at < until:
            if record.kind == "link_down":
                is_up, since = False, until
            elif not is_up:
                is_up, since = True, record.at
    return since

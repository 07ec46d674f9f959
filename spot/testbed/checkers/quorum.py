"""quorum: a node knows whether it reaches a majority, and refuses publishes when it must."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator

from spot.testbed.checkers.account import Account, IncarnationSpan, account_of
from spot.testbed.checkers.both_halves_serve import sides
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.checkers.outages import (
    BUSY_S,
    CLOSED_S,
    SILENT_EXTRA_S,
    alarm_slack,
    breaks,
    resumed,
    slowed_since,
)
from spot.testbed.checkers.views import view_at, views_of
from spot.testbed.evidence import Evidence, FaultWindow
from spot.testbed.verdict import Finding

__all__ = ["quorum"]

NAME = "quorum"
MOMENT_S = 0.1
"""How far apart the records of a publish and a view of one moment may be, in seconds."""


def quorum(evidence: Evidence) -> Finding:
    """Whether each view is right about its majority, and no node claims one that it can't reach.

    A node that is cut off from the majority must say so within the bound, and refuse publishes if
    it requires a quorum. A node that keeps the majority must go on.
    """
    account = account_of(evidence)
    spans = [
        span for spans in account.spans.values() for span in spans if span.setting("members", ())
    ]
    wrongs = Wrongs()
    minorities = majorities = 0
    for span in spans:
        _judge_views(account, span, wrongs)
        _judge_refusals(account, span, wrongs)
        for window in account.faults:
            began = _cut_off_from(account, span, window)
            if began is not None:
                minorities += 1
                _judge_minority(account, span, window, began, wrongs)
            elif _has_majority_throughout(account, span, window):
                majorities += 1
                _judge_majority(account, span, window, wrongs)
    if not minorities + majorities:
        return not_exercised(NAME, "no node with members saw a fault")
    summary = (
        f"{counted(minorities, 'time')} a node was cut off from the majority, {majorities:,} times "
        f"it kept it; {wrongs.count:,} wrong"
    )
    return judged(NAME, wrongs, summary)


def _members(span: IncarnationSpan) -> frozenset[str]:
    return frozenset(span.setting("members", ()))


def _is_majority(span: IncarnationSpan, nodes: set[str] | frozenset[str]) -> bool:
    members = _members(span)
    return 2 * len(members & (nodes | {span.node})) > len(members)


def _judge_views(account: Account, span: IncarnationSpan, wrongs: Wrongs) -> None:
    for view in views_of(account, span):
        if view.quorum is not _is_majority(span, view.reachable):
            wrongs.add(
                f"{span.node} said at {account.clock(view.at)} that its quorum is {view.quorum}, "
                f"and that it reaches {', '.join(sorted(view.reachable)) or 'nobody'} of the "
                f"members {', '.join(sorted(_members(span)))}"
            )


def _judge_refusals(account: Account, span: IncarnationSpan, wrongs: Wrongs) -> None:
    """A publish to a topic of its own is refused only while it has no quorum."""
    for counter, at in _refused(account, span):
        before = view_at(account, span, at - MOMENT_S)
        around = [view for view in views_of(account, span) if abs(view.at - at) <= MOMENT_S]
        # None before: it was in its first view, which reaches nobody and is not recorded.
        if before is not None and all(view.quorum for view in (before, *around)):
            wrongs.add(
                f"{span.node} refused its publish {counter} at {account.clock(at)} for want of a "
                "quorum, and its view said that it had one"
            )


def _refused(account: Account, span: IncarnationSpan) -> Iterator[tuple[int, float]]:
    for topic in account.topics_of(span.node):
        published = account.published.get((span.node, span.number, topic))
        if published is not None:
            for counter, at in published.raised.items():
                if published.errors.get(counter) == errno.ENETUNREACH:
                    yield counter, at


def _cut_off_from(account: Account, span: IncarnationSpan, window: FaultWindow) -> float | None:
    """The time from which a fault surely leaves a node without a majority. None: it does not."""
    effect = window.effect
    if effect.notice not in ("closed", "silent", "left"):
        return None
    if span.node in effect.down | effect.paused:
        return None
    if account.relays:
        reached = set(next(side for side in sides(account, window) if span.node in side))
    else:
        reached = {
            peer
            for peer in account.spans
            if account.are_linked(span.node, peer)
            and peer not in effect.down | effect.paused
            and (min(span.node, peer), max(span.node, peer)) not in effect.pairs
        }
    if _is_majority(span, reached):
        return None
    silent = effect.notice == "silent" or _is_disturbed(account, span.node, window)
    bound = account.bounds.silence + SILENT_EXTRA_S if silent else CLOSED_S
    began = window.acted + bound + BUSY_S
    runs = span.began <= window.began and span.ended >= began
    return began if runs and began < _healing(account, window) else None


def _is_disturbed(account: Account, node: str, window: FaultWindow) -> bool:
    """Whether other faults of its links may keep a closed connection from being noticed at once."""
    return any(
        slowed_since(account, node, peer, window.began) < window.began
        or any(
            outage.window is not window
            and outage.began <= window.acted
            and outage.ended + alarm_slack(account) >= window.began
            for outage in breaks(account, node, peer)
        )
        for peer in account.spans
        if account.are_linked(node, peer)
    )


def _healing(account: Account, window: FaultWindow) -> float:
    ends = [window.healing, window.healed, account.phases.stopped]
    return min((end for end in ends if end is not None), default=math.inf)


def _judge_minority(
    account: Account, span: IncarnationSpan, window: FaultWindow, began: float, wrongs: Wrongs
) -> None:
    ended = min(_healing(account, window), span.ended)
    seen = [view for view in views_of(account, span) if began < view.at < ended]
    for view in (view_at(account, span, began), *seen):
        if view is not None and view.quorum:
            wrongs.add(
                f"{span.node} claimed a quorum at {account.clock(max(began, view.at))}, while "
                f"{window.text} (from {account.clock(window.began)}) kept it from the majority"
            )
            break
    if not span.setting("require_quorum", False):
        return
    for topic in account.topics_of(span.node):
        published = account.published.get((span.node, span.number, topic))
        accepted = published.accepted.values() if published else ()
        taken = [at for at in accepted if began < at < ended]
        if taken:
            wrongs.add(
                f"{span.node} accepted {len(taken):,} publishes to {topic} from "
                f"{account.clock(min(taken))} on, while {window.text} kept it from the majority"
            )


def _has_majority_throughout(account: Account, span: IncarnationSpan, window: FaultWindow) -> bool:
    """Whether links to a majority were there before a fault and all through it."""
    healed = window.healed
    ready = account.phases.ready
    if healed is None or ready is None or window.began < ready:
        return False
    if not span.began <= ready <= healed <= span.ended:
        return False
    steady = {
        peer
        for peer in account.spans
        if account.are_linked(span.node, peer)
        and all(
            outage.began > healed
            or resumed(account, span.node, peer, outage) + account.bounds.stable_after + BUSY_S
            < window.began
            or outage.ended <= ready
            for outage in breaks(account, span.node, peer)
        )
    }
    return _is_majority(span, steady)


def _judge_majority(
    account: Account, span: IncarnationSpan, window: FaultWindow, wrongs: Wrongs
) -> None:
    ended = min(_healing(account, window), span.ended)
    seen = [view for view in views_of(account, span) if window.began < view.at < ended]
    for view in (view_at(account, span, window.began), *seen):
        if view is not None and not view.quorum:
            wrongs.add(
                f"{span.node} said at {account.clock(view.at)} that it had no quorum, while "
                f"{window.text} left it the majority"
            )
            break

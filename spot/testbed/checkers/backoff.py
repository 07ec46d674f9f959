"""backoff: waits between dials double from ``reconnect_min`` to ``reconnect_max``, with jitter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from spot.testbed.checkers.account import Account, IncarnationSpan, account_of
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.checkers.outages import BUSY_S, is_held
from spot.testbed.evidence import Evidence
from spot.testbed.journal import Record
from spot.testbed.verdict import Finding

__all__ = ["Wait", "backoff", "waits"]

NAME = "backoff"
ENDS = ("dial_failed", "refused", "link_down")
EPSILON_S = 0.005
"""How much a timer, a clock and the rounding of a journal may differ, in seconds."""


class Wait(NamedTuple):
    """The time from a failed dial, or a lost link, to the next dial of that endpoint."""

    span: IncarnationSpan
    endpoint: str
    node: str | None
    """The peer at the endpoint, if it ever answered."""
    at: float
    """When it began."""
    low: float
    """The least time that it may take."""
    high: float
    """Its step: it is at most so long, unless the peer makes contact itself."""
    delay: float | None
    """The drawn delay, as recorded. None: not recorded."""
    dialled: float | None
    """When the endpoint was dialled next. None: not before it was linked, removed, or the end."""
    is_open: bool
    """Whether only a dial could have ended it."""


def waits(account: Account, node: str) -> list[Wait]:
    """All waits of a node, by endpoint and time."""
    key = ("waits", node)
    if key not in account.memo:
        account.memo[key] = [
            wait for span in account.spans.get(node, []) for wait in _of_incarnation(account, span)
        ]
    found: list[Wait] = account.memo[key]
    return found


def _of_incarnation(account: Account, span: IncarnationSpan) -> Iterator[Wait]:
    dials: dict[str, list[Record]] = {}
    behind: dict[str, str] = {}
    for record in span.of("dial", "link_up", *ENDS):
        fields = record.fields
        endpoint, peer = fields.get("endpoint"), fields.get("node")
        if isinstance(endpoint, str):
            dials.setdefault(endpoint, []).append(record)
            if isinstance(peer, str):
                behind[endpoint] = peer
    changes = [
        record.at for record in span.of("command") if record.fields["do"] in ("add", "remove")
    ]
    contacts: dict[str, list[float]] = {}
    for record in span.of("link_up"):
        contacts.setdefault(str(record.fields.get("node")), []).append(record.at)
    for endpoint, records in dials.items():
        others = [
            other
            for other in dials
            if other != endpoint and behind.get(other) == behind.get(endpoint)
        ]
        peer = behind.get(endpoint)
        if others and peer is not None:
            continue  # two paths to one node share its link: neither has a schedule of its own
        yield from _of_endpoint(account, span, endpoint, peer, records, contacts, changes)


def _of_endpoint(
    account: Account,
    span: IncarnationSpan,
    endpoint: str,
    peer: str | None,
    records: list[Record],
    contacts: dict[str, list[float]],
    changes: list[float],
) -> Iterator[Wait]:
    bounds = account.bounds
    first, most = bounds.reconnect_min, bounds.reconnect_max
    low_step = high_step = first
    ups = contacts.get(peer or "", [])
    last = span.began
    for place, record in enumerate(records):
        if record.kind not in ENDS:
            continue
        if any(last < at <= record.at for at in changes):
            low_step = high_step = first  # an endpoint that was added again starts again
        last = record.at
        if record.kind == "link_down":
            up_for = record.at - max((at for at in ups if at <= record.at), default=record.at)
            if up_for >= bounds.stable_after - EPSILON_S:
                low_step = first
            if up_for >= bounds.stable_after + EPSILON_S:
                high_step = first
        delay = record.fields.get("delay")
        following = records[place + 1] if place + 1 < len(records) else None
        next_at = following.at if following is not None else math.inf
        dialled = following.at if following is not None and following.kind == "dial" else None
        ended = min(next_at, span.ended if span.left is None else span.left)
        disturbed = any(record.at <= at <= ended for at in (*ups, *changes))
        yield Wait(
            span,
            endpoint,
            peer,
            record.at,
            low_step / 2,
            high_step,
            float(delay) if isinstance(delay, int | float) else None,
            dialled,
            not disturbed,
        )
        low_step, high_step = min(2 * low_step, most), min(2 * high_step, most)


def backoff(evidence: Evidence) -> Finding:
    """Whether every wait lay between half its step and its step, and ended with a dial."""
    account = account_of(evidence)
    wrongs = Wrongs()
    judged_waits = [wait for node in account.spans for wait in waits(account, node)]
    if not judged_waits:
        return not_exercised(NAME, "no dial failed and no dialled link was lost")
    longest = 0.0
    for wait in judged_waits:
        if wait.dialled is not None:
            longest = max(longest, wait.dialled - wait.at)
        wrong = _wrong(account, wait)
        if wrong:
            wrongs.add(
                f"{wait.span.node} {wrong} (wait for {wait.endpoint} begun at "
                f"{account.clock(wait.at)}, bounds {wait.low:.3f} to {wait.high:.3f} s)"
            )
    summary = (
        f"{counted(len(judged_waits), 'wait')} between dials, the longest {longest:.3f} s, "
        f"{wrongs.count:,} out of bounds"
    )
    return judged(NAME, wrongs, summary)


def _wrong(account: Account, wait: Wait) -> str | None:
    """The error of a wait. None: it is right."""
    delay = wait.delay
    if delay is not None and not wait.low - EPSILON_S <= delay <= wait.high + EPSILON_S:
        return f"drew a wait of {delay:.3f} s"
    if not wait.is_open:
        return None
    due = delay if delay is not None else wait.high
    if wait.dialled is not None:
        waited = wait.dialled - wait.at
        if waited < max(wait.low, delay or 0.0) - EPSILON_S:
            return f"dialled again after {waited:.3f} s"
        if waited > due + BUSY_S and not _was_held(account, wait, wait.dialled):
            return f"dialled again only after {waited:.3f} s"
        return None
    ended = wait.span.ended if wait.span.left is None else wait.span.left
    if account.phases.stopped is not None:
        ended = min(ended, account.phases.stopped)
    if ended > wait.at + due + BUSY_S and not _was_held(account, wait, ended):
        return f"did not dial again for {ended - wait.at:.3f} s"
    return None


def _was_held(account: Account, wait: Wait, until: float) -> bool:
    """Whether the node was paused, starved or being killed meanwhile."""
    span = wait.span
    return span.is_killed or is_held(account, span.node, wait.at, until)

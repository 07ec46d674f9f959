"""The views that nodes recorded: the nodes that each reached, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from spot.testbed.checkers.account import Account, IncarnationSpan

__all__ = ["SeenView", "view_at", "views_of"]


class SeenView(NamedTuple):
    """One view of one incarnation of a node."""

    at: float
    version: int
    reachable: frozenset[str]
    quorum: bool | None
    conflicts: Mapping[str, list[str]]


def views_of(account: Account, span: IncarnationSpan) -> list[SeenView]:
    """All views of an incarnation, by when they began."""
    key = ("views", span.node, span.number)
    if key not in account.memo:
        account.memo[key] = [
            SeenView(
                record.at,
                int(record.fields.get("version", 0)),
                frozenset(record.fields.get("reachable", ())),
                record.fields.get("quorum"),
                record.fields.get("conflicts", {}),
            )
            for record in span.of("view")
        ]
    found: list[SeenView] = account.memo[key]
    return found


def view_at(account: Account, span: IncarnationSpan, at: float) -> SeenView | None:
    """The view that an incarnation had at a time. None if it had recorded no view yet."""
    earlier = [view for view in views_of(account, span) if view.at <= at]
    return earlier[-1] if earlier else None

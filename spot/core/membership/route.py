"""The route of a topic: its hosts, in the order in which they take over."""

from __future__ import annotations

from collections.abc import Sequence


class Route:
    """The hosts of a routed topic, as endpoints or node ids, and which of them is current."""

    __slots__ = ("at", "endpoints")

    def __init__(self, endpoints: Sequence[str], at: int) -> None:
        self.endpoints = tuple(endpoints)
        self.at = at

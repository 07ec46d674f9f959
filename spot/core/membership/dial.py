"""A configured endpoint: when it is dialled, and what came of it."""

from __future__ import annotations

from collections.abc import Callable

from spot.core.link import Link
from spot.core.membership.backoff import Backoff
from spot.message import PeerState


class Dial:
    """An endpoint that was added, for as long as it is not removed.

    It is *linked* while the node behind it has a link (dialled by either end), *dialling* while a
    connection is being made and greeted, and else waits until ``due``.
    """

    __slots__ = (
        "attempts",
        "backoff",
        "due",
        "endpoint",
        "last_error",
        "link",
        "node",
        "refused",
        "routed",
    )

    def __init__(
        self, endpoint: str, now: float, first: float, most: float, random: Callable[[], float]
    ) -> None:
        self.endpoint = endpoint
        self.backoff = Backoff(first, most, random)
        self.due = now
        self.link: Link | None = None
        self.node: str | None = None
        self.attempts = 0
        self.last_error: str | None = None
        self.refused: str | None = None
        self.routed = False

    @property
    def is_linked(self) -> bool:
        return self.link is not None and self.link.is_up

    @property
    def state(self) -> PeerState:
        if self.link is not None:
            return "up" if self.link.is_up else "dialling"
        return "refused" if self.refused else "waiting"

    def wait(self, now: float, why: str) -> float:
        """No link: the next dial comes after the next wait, which is returned."""
        self.link = None
        self.last_error = why
        delay = self.backoff.draw()
        self.due = now + delay
        return delay

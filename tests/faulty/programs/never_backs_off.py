"""A node that dials a peer that it can't reach fifty times a second, for ever."""

from __future__ import annotations

from spot.core.membership.backoff import Backoff
from tests.faulty.programs.faulty import play

WAIT_S = 0.02


def draw(backoff: Backoff) -> float:
    """Always the same wait."""
    return WAIT_S


if __name__ == "__main__":
    Backoff.draw = draw  # type: ignore[assignment, method-assign]
    play()

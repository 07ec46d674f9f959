"""Checks that the oracle catches a core that was made wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.plan import Plan
from tests.simulation.schedule import draw
from tests.simulation.world import run_plan

__all__ = ["assert_caught"]


def assert_caught(
    wrong: Callable[[Node], None], said: str, seeds: int, draw: Callable[[int], Plan] = draw
) -> None:
    """One of the first schedules ends in a violation that matches the regular expression
    ``said``."""
    for seed in range(seeds):
        try:
            run_plan(partial(draw, seed), wrong)
        except Violation as violation:
            with pytest.raises(Violation, match=said):
                raise violation
            return
    pytest.fail(f"{seeds} schedules passed a core that {wrong.__name__}")

"""Subscriptions that end and begin anew repeatedly, also within a latency."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.simulation.oracle import Violation
from tests.simulation.plan import Plan
from tests.simulation.recreated import draw_recreated
from tests.simulation.resubscribing import renewed_often
from tests.simulation.schedule import draw, draw_many_topics
from tests.simulation.world import run_plan

SEEDS = 40


@pytest.mark.parametrize("drawn", [draw, draw_many_topics])
@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_subscriptions_that_begin_anew_all_the_time_hold_every_guarantee(
    drawn: Callable[[int], Plan], start: int
) -> None:
    """Messages for an earlier subscription must not be taken for those of a later one."""
    for seed in range(start, start + 20):
        try:
            run_plan(partial(renewed_often, drawn, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")


@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_topics_that_begin_anew_meanwhile_hold_every_guarantee(start: int) -> None:
    """A subscription is in force for the next topic of that name as well."""
    for seed in range(start, start + 20):
        try:
            run_plan(partial(draw_recreated, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")

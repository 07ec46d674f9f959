"""Subscriptions that end and begin anew again and again, also within a latency."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from tests.simulation.oracle import Violation
from tests.simulation.plan import Action, Plan
from tests.simulation.schedule import draw, draw_many_topics
from tests.simulation.world import run_plan

SEEDS = 40


def renewed_often(drawn: Callable[[int], Plan], seed: int) -> Plan:
    plan = drawn(seed)
    random = Random(f"subscriptions of {seed} begin anew")
    topics = sorted({topic for node in plan.nodes for topic in node.topics})
    end = max((action.at for action in plan.actions), default=2.0)
    for _ in range(random.randint(5, 40)):
        node = random.choice(plan.nodes)
        name = random.choice([*topics, f"{node.name}:*", "*:2"])
        last = 0 if "*" in name else random.choice((0, 0, 1, 7))
        at = random.uniform(0.03, end)
        for _ in range(random.choice((1, 1, 1, 2))):
            plan.actions.append(Action(at, "resubscribe", (node.name, name, last)))
            at += random.choice((0.0, 0.0005, 0.002, 0.01))
    plan.actions.sort(key=lambda action: action.at)
    return plan


@pytest.mark.parametrize("drawn", [draw, draw_many_topics])
@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_subscriptions_that_begin_anew_all_the_time_hold_every_guarantee(
    drawn: Callable[[int], Plan], start: int
) -> None:
    """What an earlier one is still to get must not be taken for what this one wants."""
    for seed in range(start, start + 20):
        try:
            run_plan(partial(renewed_often, drawn, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")


def test_schedules_that_once_broke_a_guarantee() -> None:
    """What a pattern had brought was taken for what a later one was to get, as there were others;
    and twice the oracle lost sight of which subscription a message was for.
    """
    for seed in (10701, 10879, 12488):
        run_plan(partial(renewed_often, draw_many_topics, seed))

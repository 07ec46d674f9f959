"""Schedules that once found a bug hold every guarantee."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulation.oracle import Violation
from tests.simulation.plan import Plan
from tests.simulation.seeds import FOUND, KINDS, Found
from tests.simulation.world import run_plan

GUARANTEES = Path(__file__).parents[2] / "docs" / "guarantees.md"


@pytest.mark.parametrize(
    "found", [pytest.param(row, id=f"{row.kind}-{row.seed}".replace(" ", "-")) for row in FOUND]
)
def test_schedule_that_once_found_a_bug_holds_every_guarantee(found: Found) -> None:
    """A bug that was fixed once must not come back."""

    def as_found() -> Plan:
        plan = KINDS[found.kind](found.seed)
        for node in plan.nodes:
            # All were found when no simulated application read the socket itself.
            node.leads = False
        return plan

    try:
        run_plan(as_found)
    except Violation as violation:
        tail = "\n".join(violation.trace[-80:])
        pytest.fail(f"{violation}\nThis seed found before: {found.wrong}.\n{tail}")


def test_each_row_names_a_schedule_once_and_published_guarantees() -> None:
    """A reader looks up in docs/guarantees.md the guarantees that a row says were broken."""
    published = set(re.findall(r"^## ([a-z-]+)$", GUARANTEES.read_text(), re.MULTILINE))
    assert len({(row.kind, row.seed) for row in FOUND}) == len(FOUND)
    for row in FOUND:
        assert row.kind in KINDS
        assert row.wrong
        assert set(row.guarantees) <= published, row
    assert {row.kind for row in FOUND} == set(KINDS)

"""Names with several addresses, at some of which nobody listens."""

from __future__ import annotations

from functools import partial

import pytest

from spot.config import Config
from spot.runtime.resolver import Answer, Resolved
from tests.simulation import deadlines
from tests.simulation.catching import assert_caught
from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.schedule import draw
from tests.simulation.world import run_plan

SEEDS = 40
RECONNECT_MAX_S = Config().reconnect_max


class Nowhere:
    """An address at which every dial is refused."""

    name = "nowhere"
    frozen = off = listening = False


def has_a_dead_address(node: Node) -> None:
    """Each endpoint has one more address, before its own."""
    node.network.hosts[Nowhere.name] = Nowhere()  # type: ignore[assignment]

    def with_a_dead_one(endpoint: str, answer: Answer) -> Resolved:
        dead = f"{Nowhere.name}:{endpoint}"
        return Resolved((dead, *Node.resolve(node, endpoint, answer).addresses))

    node.resolve = with_a_dead_one  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _one_more_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dial after a fault may go to the dead address: the one after it is in time, too."""
    monkeypatch.setattr(deadlines, "RECONNECT_S", deadlines.RECONNECT_S + RECONNECT_MAX_S)


@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_a_dead_address_breaks_no_guarantee(start: int) -> None:
    """Links come back in time, whatever failed."""
    for seed in range(start, start + 20):
        try:
            run_plan(partial(draw, seed), has_a_dead_address)
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")


def test_a_node_that_dials_only_the_first_address_is_noticed() -> None:
    """Its links never come up."""

    def dials_the_first(node: Node) -> None:
        has_a_dead_address(node)
        node.loop._rotation.failed = lambda endpoint: None  # type: ignore[method-assign]

    assert_caught(dials_the_first, "no link", 20)

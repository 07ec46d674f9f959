"""Topics that another node takes over: what was missed is known, or said to be unknown, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from spot.core.topics.announced import RemoteTopic
from tests.simulation.catching import assert_caught
from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.takeovers import draw_takeovers
from tests.simulation.world import run_plan

SEEDS = 40
SEEDS_TO_CATCH = 20


@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_topics_that_change_hosts_hold_every_guarantee(start: int) -> None:
    """After a crash nobody knows what the old host had accepted: a 0 there would be a lie."""
    unknown = 0
    for seed in range(start, start + 20):
        try:
            world = run_plan(partial(draw_takeovers, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")
        unknown += world.oracle.counts["unknown"]
    assert unknown


def forgets_lost_streams(node: Node) -> None:
    """The next host's first message says 0."""
    node.core._lifecycle._lost_hosts.note_broken_off = lambda topics: None  # type: ignore[method-assign]


def doubts_streams_that_ended(node: Node) -> None:
    """A clean goodbye is taken for a loss."""
    node.core.receiver.on_final = lambda topic, head: None  # type: ignore[method-assign]


def doubts_streams_that_go_on(node: Node) -> None:
    """The same host and epoch come back, and their first message says None."""
    lost_hosts = node.core._lifecycle._lost_hosts
    note = lost_hosts.note_broken_off

    def wrong(topics: Sequence[RemoteTopic]) -> None:
        note(topics)
        for topic in topics:
            node.core.subscriptions.in_doubt.get(topic.name, {}).setdefault("nobody", 1)

    lost_hosts.note_broken_off = wrong  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (forgets_lost_streams, "nobody told the end of the last"),
        (doubts_streams_that_ended, "says missed None"),
        (doubts_streams_that_go_on, "says missed None"),
    ],
)
def test_simulation_catches_a_core_that(wrong: Callable[[Node], None], said: str) -> None:
    """The oracle must find a false zero, and a None where the number is known."""
    assert_caught(wrong, said, SEEDS_TO_CATCH, draw_takeovers)

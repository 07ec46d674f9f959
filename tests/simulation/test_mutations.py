"""A broken event loop breaks a guarantee: the simulation runs the loop of real nodes.

Each mutation changes one method of spot/runtime/event_loop.py, in all nodes of a schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from spot.core.effects import Frame
from spot.runtime.event_loop import FRAMES_PER_TURN
from tests.simulation.catching import assert_caught
from tests.simulation.floods import draw_floods
from tests.simulation.node import Node
from tests.simulation.world import run_plan

SEEDS_TO_CATCH = 20
FLOODS = 8


def does_not_send_after_reading(node: Node) -> None:
    """Frames that the core wants sent because of a frame wait until something else happens."""
    loop = node.loop
    serve, read, carry_out = loop.serve, loop._read, loop.carry_out

    def wrong(**how: bool) -> None:
        has_read = False

        def note(left: int, now: float, *, lead: bool) -> tuple[int, bool]:
            nonlocal has_read
            has_read = True
            return read(left, now, lead=lead)

        loop._read = note  # type: ignore[method-assign]
        loop.carry_out = lambda now: has_read or carry_out(now)  # type: ignore[method-assign]
        try:
            serve(**how)
        finally:
            loop.carry_out = carry_out  # type: ignore[method-assign]

    loop.serve = wrong  # type: ignore[method-assign]


def forgets_a_timer(node: Node) -> None:
    """Now and then it polls without a time limit."""
    loop = node.loop
    due = loop.due
    loop.due = lambda: 1e9 if node.random.random() < 0.3 else due()  # type: ignore[method-assign]


def drops_the_second_frame_of_a_turn(node: Node) -> None:
    loop = node.loop
    serve, hand_over = loop.serve, loop._hand_over

    def wrong(**how: bool) -> None:
        count = 0

        def drop(conn: bytes, parts: Frame, now: float) -> None:
            nonlocal count
            count += 1
            if count != 2:
                hand_over(conn, parts, now)

        loop._hand_over = drop  # type: ignore[method-assign]
        serve(**how)

    loop.serve = wrong  # type: ignore[method-assign]


def ignores_a_lost_connection(node: Node) -> None:
    node.loop._lose_ended = lambda now: None  # type: ignore[method-assign]


def never_gives_up_the_turn(node: Node) -> None:
    """It reads for as long as there is something to read."""
    read = node.loop._read

    def wrong(left: int, now: float, *, lead: bool) -> tuple[int, bool]:
        while node.transport.has_input():
            read(FRAMES_PER_TURN, now, lead=lead)
        return left, False

    node.loop._read = wrong  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            does_not_send_after_reading,
            "has no link|too late|has not noticed|to which nothing was done|of a link",
        ),
        (forgets_a_timer, "too late|has no link|has not noticed|to which nothing was done"),
        (drops_the_second_frame_of_a_turn, "says missed|has no link|protocol|up to|knows"),
        (ignores_a_lost_connection, "keeps a link whose connection was closed"),
        (never_gives_up_the_turn, "never stops reading"),
    ],
)
def test_simulation_catches_an_event_loop_that(wrong: Callable[[Node], None], said: str) -> None:
    """Schedules that pass a broken loop would prove nothing of the loop that users run."""
    assert_caught(wrong, said, SEEDS_TO_CATCH, draw_floods)


def test_nodes_stay_linked_while_one_is_flooded() -> None:
    """However much there is to read, heartbeats and peers get their turn."""
    floods = 0
    for seed in range(FLOODS):
        world = run_plan(partial(draw_floods, seed))
        floods += sum(node.transport.flooded for node in world.nodes.values())
    assert floods > 1000

"""The oracle of views catches cores whose views are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

import pytest

from spot.config import Config
from spot.core.link import Link
from spot.core.wire.codec import Heartbeat
from spot.message import View
from tests.simulation.catching import assert_caught
from tests.simulation.deadlines import Deadlines
from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.plan import Action, NodePlan, Plan
from tests.simulation.test_simulation import trusts_silence
from tests.simulation.world import World, run_plan

SEEDS_TO_CATCH = 200


def _renew_wrongly(node: Node, change: Callable[[View, View], View]) -> None:
    views = node.core.failover.views
    renew = views.renew

    def wrong(now: float) -> tuple[View, View] | None:
        found = renew(now)
        if found is None:
            return None
        views.view = change(*found)
        return found[0], views.view

    views.renew = wrong  # type: ignore[method-assign]


def says_quorum_of_half(node: Node) -> None:
    def change(before: View, view: View) -> View:
        reached = view.members & {*view.reachable, view.node}
        return replace(view, quorum=2 * len(reached) >= len(view.members))

    _renew_wrongly(node, change)


def forgets_to_count(node: Node) -> None:
    _renew_wrongly(node, lambda before, view: replace(view, version=max(2, before.version)))


def flaps_with_its_links(node: Node) -> None:
    node.core.failover.views._stable_after = 0.0


def never_believes_again(node: Node) -> None:
    node.core.failover.views._stable_after = inf


def believes_in_the_lost(node: Node) -> None:
    node.core.failover.views.down = lambda node: None  # type: ignore[method-assign]


def publishes_in_a_minority(node: Node) -> None:
    context = node.core.context
    context.config = context.config.with_settings(require_quorum=False)
    context.refusing = False


def overlooks_conflicts(node: Node) -> None:
    node.core.failover.views.hosted = lambda *hosts: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (says_quorum_of_half, "says quorum True"),
        (forgets_to_count, "tells view"),
        (flaps_with_its_links, "of a link"),
        (never_believes_again, r"reaches \[.*\], not \["),
        (believes_in_the_lost, r"without a link|reaches \[.*\], not \[|still has a quorum"),
        (publishes_in_a_minority, "without a quorum"),
        (overlooks_conflicts, "sees conflicts"),
    ],
)
def test_oracle_catches_a_core_that(wrong: Callable[[Node], None], said: str) -> None:
    """An oracle that passes everything proves nothing."""
    assert_caught(wrong, said, SEEDS_TO_CATCH)


def split(members: str) -> Plan:
    """Nodes a, b, c; for four seconds a is cut off."""
    config = Config(members=tuple(members), require_quorum=True, reconnect_max=0.5)
    nodes = [NodePlan(name, config.with_settings(node_id=name)) for name in "abc"]
    nodes[1].peers = ["tcp://a:1"]
    nodes[2].peers = ["tcp://a:1", "tcp://b:1"]
    actions = [Action(1.0, "cut", (*pair, 4.0)) for pair in ("ab", "ac")]
    return Plan(0, nodes, [("a", "b"), ("a", "c"), ("b", "c")], actions, heal_at=5.1)


def test_quorum_without_a_majority_is_caught() -> None:
    """The purpose of a quorum: a node that was cut off must know it within the bound."""
    assert run_plan(lambda: split("abc")).oracle.counts["links"] >= 8
    with pytest.raises(Violation, match="node a: still has a quorum, though it can't reach b, c"):
        run_plan(lambda: split("abc"), believes_in_the_lost)


def deaf(ways: Sequence[tuple[float, str]]) -> Plan:
    """Node a has a quorum as long as it reaches b. Directions between them end, one by one."""
    config = Config(members=("a", "b"), peer_timeout=0.6)
    nodes = [NodePlan(name, config.with_settings(node_id=name)) for name in "ab"]
    nodes[0].peers = ["tcp://b:1"]
    actions = [Action(at, "blackhole", ("a", "b", way, True, 8.0 - at)) for at, way in ways]
    return Plan(0, nodes, [("a", "b")], actions, heal_at=8.1)


def ignores_that_it_is_not_heard(node: Node) -> None:
    """Two nodes, where the other one never gives up."""
    if node.name == "b":
        trusts_silence(node)
        return
    hear = node.core.liveness.on_heartbeat

    def wrong(link: Link, beat: Heartbeat, now: float) -> None:
        hear(link, beat._replace(heard=0), now)

    node.core.liveness.on_heartbeat = wrong  # type: ignore[method-assign]


@pytest.fixture
def views_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links that are not lost in time are left to the oracle of views."""
    monkeypatch.setattr(Deadlines, "expect_noticed", lambda *which: None)


@pytest.mark.usefixtures("views_alone")
def test_who_is_not_heard_must_know_it_if_it_can_be_told() -> None:
    """One working direction is enough to report the other one, within the bound."""
    run_plan(lambda: deaf([(1.0, "there")]))
    with pytest.raises(Violation, match="node a: still has a quorum"):
        run_plan(lambda: deaf([(1.0, "there")]), ignores_that_it_is_not_heard)


@pytest.mark.usefixtures("views_alone")
def test_who_can_not_be_told_must_know_by_its_own_silence() -> None:
    """The second direction ends before it can report the first. Its silence begins there."""
    lost: list[float] = []

    def note(node: Node) -> None:
        down = node.core.failover.views.down

        def told(node_id: str) -> None:
            if node.name == "a":
                lost.append(node.network.now)
            down(node_id)

        node.core.failover.views.down = told  # type: ignore[method-assign,assignment]

    run_plan(lambda: deaf([(1.0, "there"), (1.5, "back")]), note)
    timeout, heartbeat = 0.6, 0.2
    assert 1.5 < lost[0] < 1.5 + timeout + heartbeat
    assert lost[0] > 1.0 + timeout + heartbeat, "else nothing of this was tried"
    with pytest.raises(Violation, match="still has a quorum"):
        run_plan(lambda: deaf([(1.0, "there"), (1.5, "back")]), trusts_silence)


def test_both_sides_may_have_a_quorum_for_a_while_and_no_longer() -> None:
    """docs/guarantees.md says what quorum does not promise, with this schedule."""
    both: list[float] = []

    def plan() -> Plan:
        drawn = split("abc")
        drawn.nodes[1].config = drawn.nodes[1].config.with_settings(peer_timeout=1.0)
        ways = ("both", False, 4.0)
        drawn.actions[:] = [Action(1.0, "blackhole", (*pair, *ways)) for pair in ("ab", "ac")]
        return drawn

    world = World(plan())

    def look() -> None:
        views = {name: node.core.failover.views.view for name, node in world.nodes.items()}
        if "a" not in views["b"].reachable and views["a"].quorum and views["b"].quorum:
            both.append(world.network.now)
        if world.network.now < 5.0:
            world.later(0.01, look)

    world.network.at(0.9, look)
    world.run()
    assert both
    timeout, heartbeat = 2.0, 0.5
    assert 1.0 < min(both) < max(both) < 1.0 + timeout + heartbeat + 0.02

"""Relays that offer an old incarnation of a host: each publish is ordered once, or counted."""

from __future__ import annotations

from functools import partial

import pytest

from tests.simulation.catching import assert_caught
from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.plan import Action, NodePlan, Plan
from tests.simulation.stale_relays import (
    draw_stale_relays,
    draw_stale_streams,
    publish,
    restart,
    star,
)
from tests.simulation.world import World, run_plan

SEEDS = 60


@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_random_schedules_with_stale_relays_hold_every_guarantee(start: int) -> None:
    ordered = 0
    for seed in range(start, start + 20):
        try:
            world = run_plan(partial(draw_stale_relays, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")
        ordered += world.oracle.counts["ordered"]
    assert ordered > 100


@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_random_streams_through_stale_relays_hold_every_guarantee(start: int) -> None:
    messages = 0
    for seed in range(start, start + 20):
        try:
            world = run_plan(partial(draw_stale_streams, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")
        messages += world.oracle.counts["messages"]
    assert messages > 500


def comes_back(relays: str, then: int, *, clock_back: bool = False) -> World:
    """A publisher loses the only path to the incarnation of the host that it publishes to, while a
    relay offers the one before. Then that path comes back. With one relay, the path is a link to
    the host.
    """
    direct = len(relays) == 1
    nodes, pairs = star(relays, direct=direct)
    actions = [
        *restart(1.0, relays[-1]),
        publish(1.4, 3),
        Action(1.65, "cut", ("host" if direct else relays[0], "pub", 0.02)),
        publish(1.8, then),
    ]
    world = World(Plan(0, nodes, pairs, actions, 4.0))
    if clock_back:
        host = world.nodes["host"]
        wall = host.wall
        host.wall = lambda: wall() - host.life * 10**12  # type: ignore[method-assign]
    world.run()
    return world


@pytest.mark.parametrize("clock_back", [False, True])
@pytest.mark.parametrize("then", [2, 3, 5])
@pytest.mark.parametrize("relays", ["ab", "b"])
def test_way_that_comes_back_goes_on_with_the_numbers(
    relays: str, then: int, clock_back: bool
) -> None:
    """Numbers that began anew would be taken for those that the host had dealt with: dropped and
    called settled, never settled, or, on a link, a violation of the protocol. If its clock went
    back, the life that is over is taken for the newer one, and what is published to it is counted.
    """
    world = comes_back(relays, then, clock_back=clock_back)
    unknown = world.nodes["pub"].core.counters.publish_unknown
    assert len(world.oracle.unordered) == unknown
    assert clock_back or not unknown


def begins_anew(node: Node) -> None:
    """Publishes to one incarnation of a host are forgotten when only another can be reached."""
    doubt = node.core.remote.doubt_lost

    def wrong(host: str) -> None:
        doubt(host)
        paths = node.core.paths.to(host)
        if any(path.is_complete for path in paths):
            outboxes = node.core.remote.outboxes.get(host, {})
            for incarnation in outboxes.keys() - {path.incarnation for path in paths}:
                del outboxes[incarnation]

    node.core.remote.doubt_lost = wrong  # type: ignore[method-assign,assignment]


def test_numbers_that_begin_anew_are_found() -> None:
    assert_caught(begins_anew, "was lost|never were|does not know what", 40, draw_stale_relays)


def test_relay_sends_publishes_on_by_the_way_that_it_offers() -> None:
    """Of two equally good paths, the relay offers the one that it had first. A publish lost on the
    other would never be sent again, as the publisher hears only of paths that it is offered.
    """
    nodes, pairs = star("ab", before=True)
    actions = [
        Action(0.01, "cut", ("a", "r", 0.8)),
        publish(1.8, 1),
        Action(2.0, "blackhole", ("host", "a", "both", False, 1.5)),
        publish(2.1, 3),
        publish(3.4, 2),
    ]
    world = World(Plan(0, nodes, pairs, actions, 4.0))
    world.run()
    assert not world.oracle.unordered


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1])
def test_publish_under_way_to_a_relay_that_loses_the_host_for_a_moment(after: float) -> None:
    """The topic has not ended, but its number has. The publish is sent again under the next number,
    and is not refused for having none.
    """
    nodes, pairs = star("b")
    actions = [
        Action(1.0, "latency", ("b", "pub", 0.2, 3.0)),
        publish(1.5, 1),
        Action(2.0, "cut", ("b", "host", 0.01)),
        publish(2.0 + after, 3),
    ]
    world = World(Plan(0, nodes, pairs, actions, 4.5))
    world.run()
    assert not world.oracle.unordered
    assert world.nodes["pub"].core.counters.publish_unknown == 0


def test_publish_under_way_to_a_topic_that_has_ended_is_told_to_be_lost() -> None:
    nodes, pairs = star("b")
    actions = [
        Action(1.0, "latency", ("b", "pub", 0.2, 3.0)),
        Action(2.0, "destroy", ("host", "t")),
        publish(2.1, 3),
    ]
    world = World(Plan(0, nodes, pairs, actions, 4.5))
    world.run()
    assert world.nodes["pub"].core.counters.publish_unknown == 3
    assert len(world.oracle.unordered) == 3


def unaware(*more: Action, behind: bool) -> Plan:
    """The relay b offers an incarnation of the host that is over, until its link is lost for
    silence. Then it offers the next one, as a does. The publisher is subscribed and ``behind`` b
    alone, or it has links to all.
    """
    nodes, pairs = star("ab", direct=not behind)
    nodes[1].peers.append("tcp://a:1")
    pairs.append(("a", "b"))
    if behind:
        nodes[-1].peers.remove("tcp://a:1")
        nodes[-1].names.append("t")
        pairs.remove(("a", "pub"))
    return Plan(0, nodes, pairs, [*restart(1.0, "b"), *more], 4.0)


def test_relay_announces_no_topic_of_a_life_that_is_over_for_the_next() -> None:
    """Its host has destroyed it. A node that knows this from the host itself has no use for its
    number at the relay, so announcing it again would be an error.
    """
    destroyed = Action(1.7, "destroy", ("host", "t"))
    World(unaware(destroyed, Action(1.71, "cut", ("host", "pub", 0.02)), behind=False)).run()


@pytest.mark.parametrize("destroyed", [False, True])
def test_who_is_behind_a_relay_is_told_that_a_life_is_over(destroyed: bool) -> None:
    """This also holds if the relay offers the next incarnation in the same moment, whether or not
    that has the topic: to end the topic is not to report a loss.
    """
    more = [Action(1.7, "destroy", ("host", "t"))] if destroyed else []
    world = World(unaware(*more, behind=True))
    world.run()
    assert world.oracle.counts["notices"] == 1


def test_stream_of_a_life_that_is_over_goes_on_and_does_not_begin_again() -> None:
    """A reader loses the relay that knows the next incarnation, and has only the relay that does
    not. It gets nothing from that one twice. When it is back at the next incarnation, the stream
    goes on without a gap, because the relay holds it for another reader.
    """
    nodes, pairs = star("ab")
    nodes.append(
        NodePlan("other", nodes[-1].config.with_settings(node_id="other"), peers=["tcp://b:1"])
    )
    pairs.append(("b", "other"))
    for node in nodes[-2:]:
        node.names.append("t")
    actions = [
        Action(0.8, "publish", ("host", "t", 3, 0)),
        *restart(1.0, "b"),
        Action(1.3, "publish", ("host", "t", 3, 0)),
        Action(1.5, "cut", ("a", "pub", 0.02)),
        Action(1.7, "publish", ("host", "t", 3, 0)),
    ]
    world = World(Plan(0, nodes, pairs, actions, 4.0))
    world.run()
    reader = world.oracle.lives["pub"]
    assert (reader.messages, reader.unknown) == (10, 1)

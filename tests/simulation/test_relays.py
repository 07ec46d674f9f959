"""Relays on the simulated network: the same guarantees as in a mesh; wrong relays are found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from spot.config import Config
from spot.core.link import Link
from spot.core.relay.offered_nodes import Offers
from spot.core.relay.relay import ActiveRelay
from spot.core.relay.state import RelayedTopic
from spot.core.topics.announced import RemoteTopic
from spot.core.topics.hosted_topic import Subscriber
from spot.core.wire.batches import Chunk
from spot.core.wire.codec import Sender, TopicEntry
from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.plan import Action, NodePlan, Plan
from tests.simulation.schedule import draw_relays
from tests.simulation.world import Tune, World, run_plan

SEEDS = 60


@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_random_schedules_with_relays_hold_every_guarantee(start: int) -> None:
    """No message twice, none lost that a host holds, and views that say which nodes are reached."""
    messages = 0
    for seed in range(start, start + 20):
        try:
            world = run_plan(partial(draw_relays, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")
        messages += world.oracle.counts["messages"]
    assert messages > 2000


def gives_up_what_it_dropped(node: Node) -> None:
    def wrong(topic: RelayedTopic, subscriber: Subscriber, at: int, after: Chunk | None) -> None:
        last = topic.stream.head if after is None else after.first - 1
        node.core.replay.lose(subscriber, topic.stream, last)

    node.core.fetch.find_again = wrong  # type: ignore[method-assign]


def offers_of(node: Node) -> Offers | None:
    """The offers of a node that is a relay."""
    relay = node.core.relay
    return relay._offers if isinstance(relay, ActiveRelay) else None


def says_another_host(node: Node) -> None:
    offers = offers_of(node)
    if offers is None:
        return
    entry_of = offers._entry_of

    def wrong(topic: RelayedTopic) -> TopicEntry:
        return entry_of(topic)._replace(origin="")

    offers._entry_of = wrong  # type: ignore[method-assign]


def drops_publishes(node: Node) -> None:
    node.core.relay.forward = lambda *what: None  # type: ignore[method-assign]


def forwards_twice(node: Node) -> None:
    """Uses an incarnation that the publisher never had, as its own number would be known."""
    forward = node.core.relay.forward

    def wrong(link: Link, topic_id: int, sender: Sender, chunk: Chunk) -> Chunk | None:
        forward(link, topic_id, sender._replace(started=sender.started + 1), chunk)
        return forward(link, topic_id, sender, chunk)

    node.core.relay.forward = wrong  # type: ignore[method-assign]


def forgets_to_withdraw(node: Node) -> None:
    offers = offers_of(node)
    if offers is None:
        return
    renew = offers._renew_node

    def wrong(host: str, links: list[Link], why: str) -> None:
        if host in node.core.paths.by_node:
            renew(host, links, why)

    offers._renew_node = wrong  # type: ignore[method-assign,assignment]


def numbers_anew(node: Node) -> None:
    on_head = node.core.relay.on_head

    def wrong(topic: RemoteTopic, head: int, asked: int) -> None:
        on_head(topic, head + 1 if head else head, asked)

    node.core.relay.on_head = wrong  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (gives_up_what_it_dropped, "which the buffer held|says missed"),
        (says_another_host, "protocol|knows |never published"),
        (drops_publishes, "does not know what"),
        (forwards_twice, "orders |does not know what"),
        (numbers_anew, "which the buffer held|says missed|up to"),
    ],
)
def test_a_wrong_relay_is_found(wrong: Callable[[Node], None], said: str) -> None:
    """An oracle that finds nothing in these cores would prove nothing."""
    found = None
    for seed in range(80):
        try:
            run_plan(partial(draw_relays, seed), wrong)
        except Violation as violation:
            found = str(violation)
            break
    assert found, "80 schedules found nothing"
    assert any(part in found for part in said.split("|")), found


def gone_behind_a_hub(tune: Tune | None = None) -> tuple[bool, int]:
    """A host behind a hub is gone for four seconds. Returns whether a reader still reaches it then,
    and how often the reader is told of it.
    """
    config = Config(reconnect_max=0.5)
    nodes = [
        NodePlan("hub", config.with_settings(node_id="hub", relay=True)),
        NodePlan("host", config.with_settings(node_id="host"), peers=["tcp://hub:1"], topics=["t"]),
        NodePlan(
            "reader", config.with_settings(node_id="reader"), peers=["tcp://hub:1"], names=["t"]
        ),
    ]
    actions = [Action(1.0, "crash", ("host", False, 4.0))]
    world = World(Plan(0, nodes, [("hub", "host"), ("hub", "reader")], actions, 5.1), tune)
    reached: list[bool] = []

    def look() -> None:
        reached.append("host" in world.nodes["reader"].core.failover.views.view.reachable)

    world.network.at(4.9, look)
    world.run()
    return reached[0], world.oracle.counts["notices"]


def test_a_relay_withdraws_what_it_can_not_reach() -> None:
    """Else its peers count on a node that is gone. Random schedules end healed, and don't look."""
    assert gone_behind_a_hub() == (False, 1)
    assert gone_behind_a_hub(forgets_to_withdraw) == (True, 0)


def test_relay_goes_on_at_once_with_what_it_has_fetched() -> None:
    """Otherwise each piece that a reader lacks takes a heartbeat: half a second, for a single
    message that is too large for the relay.
    """
    config = Config(reconnect_max=0.2)
    small = config.with_settings(node_id="hub", relay=True, max_message_bytes=66_000)
    nodes = [
        NodePlan("hub", small),
        NodePlan("host", config.with_settings(node_id="host"), peers=["tcp://hub:1"], topics=["t"]),
        NodePlan(
            "reader", config.with_settings(node_id="reader"), peers=["tcp://hub:1"], names=["t"]
        ),
    ]
    actions = [
        Action(1.0, "cut", ("hub", "reader", 1.0)),
        Action(1.2, "publish", ("host", "t", 20, 70_000)),
        Action(1.3, "publish", ("host", "t", 1, 0)),
    ]
    world = World(Plan(0, nodes, [("hub", "host"), ("hub", "reader")], actions, 4.0))
    found: list[tuple[int, int]] = []

    def look() -> None:
        life = world.oracle.lives["reader"]
        found.append((life.messages, life.missed))

    world.network.at(3.0, look)
    world.run()
    assert found == [(1, 20)]

"""Carries out one plan: nodes, traffic and faults, and the ending that judges what is left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random

from tests.simulation.ending import Ending
from tests.simulation.faults import Faults
from tests.simulation.network import Network
from tests.simulation.node import Node
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.plan import Action, Plan
from tests.simulation.views import ViewOracle

START_S = 0.05

Tune = Callable[[Node], None]
"""Changes a node's core when it starts, to make it wrong."""


class World:
    """One run of a plan. ``faults_begun`` counts them."""

    def __init__(self, plan: Plan, tune: Tune | None = None) -> None:
        self.plan = plan
        self.random = Random(plan.seed + 1)
        self.network = Network(self.random)
        self.network.latencies = plan.latencies
        self.oracle = Oracle(self.network)
        self.oracle.honest = not any(
            action.kind in ("stranger", "flood") for action in plan.actions
        )
        self.oracle.has_relays = plan.has_relays
        self.oracle.bytes_max = min(node.config.max_message_bytes for node in plan.nodes)
        self.nodes: dict[str, Node] = {}
        for node_plan in plan.nodes:
            node = Node(self.network, self.oracle, node_plan, self.random, tune)
            self.nodes[node.name] = self.network.hosts[node.name] = node
        self.oracle.views = self.views = ViewOracle(self)
        self.faults_begun = 0
        self._faults = Faults(self)
        self._application: dict[str, Callable[..., None]] = {
            "publish": self._publish,
            "publish_together": self._publish_together,
            "create": self._create,
            "destroy": self._destroy,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "resubscribe": self._resubscribe,
        }

    def run(self) -> None:
        """Raises Violation if a guarantee does not hold."""
        network = self.network
        for node in self.nodes.values():
            network.at(self.random.uniform(0, START_S), node.start)
        for action in self.plan.actions:
            network.at(action.at, partial(self._act, action))
        network.run(self.plan.heal_at)
        self.oracle.note("*", "all faults have ended")
        Ending(self).judge()

    def _act(self, action: Action) -> None:
        self.oracle.note("*", str(action))
        act = self._application.get(action.kind)
        if act is None:
            self.faults_begun += 1
            act = getattr(self._faults, action.kind)
        act(*action.details)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.network.at(self.network.now + seconds, what)

    def up(self, name: str) -> Node | None:
        """The node, if its application can do something now."""
        node = self.nodes[name]
        return None if node.is_still or node.closing else node

    # What applications do

    def _publish(self, name: str, topic: str, count: int, size: int) -> None:
        node = self.up(name)
        if node is not None:
            node.publish(topic, count, size)

    def _publish_together(self, name: str, count: int, size: int) -> None:
        node = self.up(name)
        if node is not None:
            node.publish_together(count, size)

    def _create(self, name: str, topic: str) -> None:
        node = self.up(name)
        if node is not None and node.create(topic):
            node.plan.topics.append(topic)

    def _destroy(self, name: str, topic: str) -> None:
        node = self.up(name)
        if node is not None and topic in node.plan.topics:
            node.plan.topics.remove(topic)
            node.destroy(topic)

    def _subscribe(self, name: str, subscription: str, last: int) -> None:
        node = self.up(name)
        if node is not None and subscription not in node.plan.names:
            node.plan.names.append(subscription)
            node.subscribe(subscription, last)

    def _unsubscribe(self, name: str, subscription: str) -> None:
        node = self.up(name)
        if node is not None and subscription in node.plan.names:
            node.plan.names.remove(subscription)
            node.unsubscribe(subscription)

    def _resubscribe(self, name: str, subscription: str, last: int) -> None:
        self._unsubscribe(name, subscription)
        self._subscribe(name, subscription, last)


def run_plan(draw: Callable[[], Plan], tune: Tune | None = None) -> World:
    """Runs a plan to its end. Raises Violation, with the trace of a second run in ``trace``."""
    world = World(draw(), tune)
    try:
        world.run()
    except Violation as violation:
        violation.trace = trace_of(draw, tune)
        raise
    return world


def trace_of(draw: Callable[[], Plan], tune: Tune | None = None) -> list[str]:
    """All that happens in a plan, a line each. Running it again changes nothing."""
    world = World(draw(), tune)
    world.oracle.trace = []
    with suppress(Violation):
        world.run()
    return world.oracle.trace

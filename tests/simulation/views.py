"""Members for plans, and the rules for views.

Two sides without a node in common can't both have a quorum, by arithmetic, if each node with a
quorum really reaches the nodes that it counts. So that is judged here, by the state of the network.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from spot.message import Event
from tests.simulation.connections import ends_of
from tests.simulation.deadlines import LAG_S, SLACK_S, Deadlines
from tests.simulation.life import Life
from tests.simulation.plan import Plan
from tests.simulation.relays import reached_by

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import World

ABSENT = "absent"
"""A member that never comes."""
SAMPLE_S = 0.1
EPS = 1e-6


def with_members(plan: Plan) -> Plan:
    """Some plans get members, and require a quorum. The seed alone decides it."""
    random = Random(f"members of {plan.seed}")
    names = [node.name for node in plan.nodes]
    members = random.choice(
        (
            [],
            [],
            names,
            names,
            [*names, ABSENT],
            random.sample(names, random.randint(1, len(names))),
        )
    )
    strict = bool(members) and random.random() < 0.5
    for node in plan.nodes:
        node.config = node.config.with_settings(members=members, require_quorum=strict)
    return plan


class ViewOracle:
    """Judges the views of all nodes of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._deadlines = Deadlines(world)
        self._versions: dict[Life, int] = {}
        self._lost: dict[Life, set[str]] = {}
        # By source and target: since when nothing arrives, and since when something does.
        self._broken_since: dict[tuple[str, str], float] = {}
        self._whole_since: dict[tuple[str, str], float] = {}
        if any(node.plan.config.members for node in world.nodes.values()) and (
            not world.plan.has_relays
        ):
            world.network.at(SAMPLE_S, self._sample)

    # Events

    def told(self, node: Node, event: Event) -> None:
        """The core reports a new view."""
        oracle = self._world.oracle
        life = oracle.lives[node.name]
        view = event.view
        assert view is not None
        before = self._versions.get(life, 1)
        if view.version != before + 1:
            raise oracle.fail(node.name, f"tells view {view.version} after {before}")
        self._versions[life] = view.version
        members = set(node.plan.config.members)
        half = len(members) / 2
        if view.quorum is not (len(members & {*view.reachable, node.name}) > half) and members:
            reached = ", ".join(sorted(view.reachable))
            raise oracle.fail(node.name, f"says quorum {view.quorum}, and reaches {reached}")
        lost = self._lost.setdefault(life, set())
        for peer in view.reachable:
            seen = life.up.get(peer)
            if self._world.plan.has_relays:
                continue
            if seen is None:
                raise oracle.fail(node.name, f"reaches {peer} without a link")
            if peer in lost:
                stable = event.at - seen.since
                if stable < node.plan.config.stable_after - EPS:
                    raise oracle.fail(node.name, f"reaches {peer} after {stable:.3f} s of a link")
                lost.discard(peer)

    def down(self, life: Life, peer: str) -> None:
        """A link was lost."""
        self._lost.setdefault(life, set()).add(peer)

    def ordered(self, node: Node) -> None:
        """The node orders messages."""
        if node.plan.config.require_quorum and not node.core.failover.views.view.quorum:
            raise self._world.oracle.fail(node.name, "orders messages without a quorum")

    # The network

    def _sample(self) -> None:
        network = self._world.network
        network.at(network.now + SAMPLE_S, self._sample)
        nodes = self._world.nodes.values()
        for node in nodes:
            for other in nodes:
                if node is not other:
                    self._look(node, other)
        for node in nodes:
            awake = not node.is_still and not node.closing and node.lag <= LAG_S
            if awake and node.core.failover.views.view.quorum:
                self._check_quorum(node)

    def _look(self, source: Node, target: Node) -> None:
        """Since when nothing arrives at one node from another, with both awake all the time."""
        pair = (source.name, target.name)
        network = self._world.network
        wires = [network.wire(*ends) for ends in (pair, pair[::-1])]
        there = source.listening and target.listening
        broken = not there or wires[0].cuts or wires[0].is_dead
        asleep = any(node.listening and node.is_still for node in (source, target))
        slow = any(wire.rate for wire in wires) or any(
            cell.rate
            for connection in network.between(*pair)
            for end in ends_of(connection)
            for cell in end.flight
        )
        if not broken or asleep or slow:
            self._broken_since[pair] = network.now
        if broken:
            self._whole_since[pair] = network.now
        self._broken_since.setdefault(pair, network.now)
        self._whole_since.setdefault(pair, network.now)

    def _check_quorum(self, node: Node) -> None:
        view = node.core.failover.views.view
        truth = {node.name, *view.reachable} - {
            other.name for other in self._world.nodes.values() if self._must_know(node, other)
        }
        if 2 * len(truth & view.members) <= len(view.members):
            gone = ", ".join(sorted(view.reachable - truth))
            raise self._world.oracle.fail(
                node.name, f"still has a quorum, though it can't reach {gone}"
            )

    def _must_know(self, node: Node, other: Node) -> bool:
        """Whether a node must have noticed by now that it can't reach another.

        It hears nothing itself, or the other reports that it hears nothing. The other can't report
        this if the way back ends before the report is due: then the node's own silence counts, from
        there. Nor can another incarnation of the other report it, if nothing could reach that one
        when it began.
        """
        if node is other:
            return False
        now = self._world.network.now
        awake = self._world.oracle.lives[node.name].still_until
        told = self._deadlines.interval(node, other) + 4 * (node.lag + other.lag)
        wire = self._world.network.wire(node.name, other.name)
        told += 4 * wire.latency + SLACK_S + SAMPLE_S
        within = max(each.plan.config.peer_timeout for each in (node, other)) + told
        back, there = (other.name, node.name), (node.name, other.name)
        if now - max(self._broken_since[back], awake) > within:
            return True
        unheard = now - max(self._broken_since[there], awake) > within
        is_same_life = self._world.oracle.lives[other.name].started < self._broken_since[there]
        return unheard and is_same_life and now - self._whole_since[back] > told

    # The end

    def lacking(self) -> tuple[str, str] | None:
        """A node whose view is not yet final: all linked nodes, and all conflicts."""
        for node in self._world.nodes.values():
            view = node.core.failover.views.view
            linked = reached_by(node, self._world.nodes)
            if view.reachable != linked:
                return node.name, f"reaches {sorted(view.reachable)}, not {sorted(linked)}"
            hosted: dict[str, list[str]] = {}
            for name in sorted({node.name, *linked}):
                registry = self._world.nodes[name].core.registry
                for topic in registry.local.keys() - registry.standbys.keys():
                    hosted.setdefault(topic, []).append(name)
            several = {topic: tuple(hosts) for topic, hosts in hosted.items() if len(hosts) > 1}
            if view.conflicts != several:
                return node.name, f"sees conflicts {view.conflicts}, there are {several}"
        return None

"""Deadlines for what has to happen: silence is noticed, links come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spot.core.membership.dials import Dial
from spot.core.membership.timing import LATE_S
from tests.simulation.node import Node
from tests.simulation.oracle import target_of

if TYPE_CHECKING:
    from tests.simulation.world import World

SLACK_S = 0.02
RECONNECT_S = 0.5
LAG_S = 0.8 * LATE_S
"""A node that looks later than this excuses its peers, and may take that much longer."""


class Deadlines:
    """Checks that are made later, if nothing else happens to the nodes concerned meanwhile."""

    def __init__(self, world: World) -> None:
        self.world = world

    def interval(self, one: Node, other: Node) -> float:
        """Seconds between the heartbeats of two nodes."""
        configs = (one.plan.config, other.plan.config)
        third = min(config.peer_timeout for config in configs) / 3
        return min(third, *(config.heartbeat for config in configs))

    def expect_noticed(self, name: str, peer: str, lasts: float) -> None:
        """A link is lost within the timeout and a heartbeat if one direction carries nothing."""
        world = self.world
        node, other = world.nodes[name], world.nodes[peer]
        link = node.link_to(peer)
        if link is None or node.is_still or max(node.lag, other.lag) > LAG_S:
            return
        wire = world.network.wire(peer, name)
        sender = node.ends[link.conn].peer
        if wire.rate or (sender is not None and any(cell.rate for cell in sender.flight)):
            return
        if other.is_still and wire.holds:
            return
        within = node.plan.config.peer_timeout + self.interval(node, other)
        within += 2 * wire.latency + 2 * (node.lag + other.lag) + SLACK_S
        if within > lasts:
            return
        began = world.network.now
        before = (node.life, other.life, other.is_still, wire.is_dead, wire.latency)

        def check() -> None:
            lives = [world.oracle.lives[each] for each in (name, peer)]
            if node.is_still or any(life.still_until > began for life in lives):
                return
            if (node.life, other.life, other.is_still, wire.is_dead, wire.latency) != before:
                return
            if wire.narrowed_at > began:
                # Frames that were sent before the silence come late.
                return
            if node.link_to(peer) is link:
                raise world.oracle.fail(
                    name, f"has not noticed within {within:.3f} s that {peer} is silent"
                )

        world.later(within, check)

    def expect_link(self, one: str, other: str) -> None:
        """After a cut is over, the link is back with the next dial and half a second."""
        world = self.world
        nodes = (world.nodes[one], world.nodes[other])
        wires = (world.network.wire(one, other), world.network.wire(other, one))
        if any(world.up(node.name) is None or node.lag > LAG_S for node in nodes):
            return
        if any(wire.cuts or wire.is_dead or wire.rate for wire in wires):
            return
        dials = [*_dials(nodes[0], other), *_dials(nodes[1], one)]
        if not dials or any(dial.link is not None for dial in dials):
            return
        if other in nodes[0].core.handshake.removed or one in nodes[1].core.handshake.removed:
            return
        within = max(0.0, min(dial.due for dial in dials) - world.network.now) + RECONNECT_S
        within += 8 * wires[0].latency + 4 * sum(node.lag for node in nodes)
        before = (world.faults_begun, *(node.life for node in nodes))

        def check() -> None:
            if (world.faults_begun, *(node.life for node in nodes)) != before:
                return
            if nodes[0].link_to(other) is None or nodes[1].link_to(one) is None:
                raise world.oracle.fail(
                    one, f"has no link with {other} {within:.3f} s after the cut"
                )

        world.later(within, check)


def _dials(node: Node, peer: str) -> list[Dial]:
    return [
        dial for dial in node.core.dials.by_endpoint.values() if target_of(dial.endpoint) == peer
    ]

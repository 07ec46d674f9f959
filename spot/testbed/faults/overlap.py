"""Whether one fault can begin while another acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spot.testbed.faults.cut import Cut
from spot.testbed.faults.flap import Flap
from spot.testbed.faults.on_edges import OneEdge
from spot.testbed.faults.on_nodes import OneNode
from spot.testbed.faults.partition import Bridge, Halves, Isolate, Partition, Ring
from spot.testbed.faults.starve import Starve

if TYPE_CHECKING:
    from spot.testbed.faults.fault import Fault
    from spot.testbed.topology import NodePair, Topology

__all__ = ["obstacle"]

_CUTTING = (Cut, Flap, Bridge, Halves, Isolate, Partition, Ring)


def obstacle(acting: Fault, coming: Fault, topology: Topology) -> str | None:
    """Why the second can't be applied while the first acts, in a few words. None: it can."""
    effect = acting.effect(topology)
    nodes = (effect.down | effect.paused) & _nodes(coming, topology)
    if nodes:
        name = min(nodes)
        return f"{name} does not run then" if name in effect.down else f"{name} is held still then"
    if isinstance(acting, Starve) and acting.node in _nodes(coming, topology):
        return f"{acting.node} is starved then"
    links = _edges(acting, topology) & _edges(coming, topology)
    if not links:
        return None
    a, b = min(links)
    if isinstance(acting, _CUTTING):
        return f"the link {a} - {b} is cut then"
    if (
        isinstance(acting, OneEdge)
        and isinstance(coming, OneEdge)
        and type(acting) is type(coming)
        and acting.edge.directions & coming.edge.directions
    ):
        return f"there is a {acting.name} on the link {a} - {b} then"
    return None


def _nodes(fault: Fault, topology: Topology) -> frozenset[str]:
    """Nodes that must run when it begins."""
    effect = fault.effect(topology)
    own = {fault.node} if isinstance(fault, OneNode) else set()
    return effect.down | effect.paused | own


def _edges(fault: Fault, topology: Topology) -> frozenset[NodePair]:
    """Edges on which it acts."""
    if isinstance(fault, OneEdge):
        return frozenset({(min(fault.edge.a, fault.edge.b), max(fault.edge.a, fault.edge.b))})
    return fault.effect(topology).pairs if isinstance(fault, _CUTTING) else frozenset()

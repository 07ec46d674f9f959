"""Edges: where a proxy stands between two nodes, and which of the two dials it.

Every linked pair has exactly one edge, so that a fault of the edge is a fault of the whole link.
Where both ends add each other, only one of them dials. SPOT would keep one connection anyway, and
a second path would bypass the proxy of the first.
"""

from __future__ import annotations

from dataclasses import dataclass

from spot.testbed.errors import UnknownNode
from spot.testbed.topology import Topology

__all__ = ["EDGE_PORT_FIRST", "Edge", "edge_between", "edges"]

EDGE_PORT_FIRST = 20_001
"""Edges listen on this port and the following ones. A mesh of 200 nodes has 19,900 edges."""


@dataclass(frozen=True)
class Edge:
    """One proxied link: ``dialler`` dials the proxy, and the proxy dials ``listener``."""

    name: str
    """The name of its proxy, such as ``b-to-a``."""
    dialler: str
    listener: str
    port: int
    """The port of the proxy in a container, where all ports are free."""


def edges(topology: Topology) -> tuple[Edge, ...]:
    """One edge for each link of the topology, in the order of its links.

    If two nodes add each other, the later one dials the earlier. So spokes dial their hub.
    """
    place = {name: place for place, name in enumerate(topology.names)}
    peers = {node.name: frozenset(node.peers) for node in topology.nodes}
    found = []
    for port, (a, b) in enumerate(topology.links, EDGE_PORT_FIRST):
        earlier, later = sorted((a, b), key=place.__getitem__)
        dialler, listener = (later, earlier) if earlier in peers[later] else (earlier, later)
        found.append(Edge(f"{dialler}-to-{listener}", dialler, listener, port))
    return tuple(found)


def edge_between(topology: Topology, one: str, other: str) -> Edge:
    """The edge of this pair, in either order. Raises UnknownNode when they are not linked."""
    pair = {topology.node(one).name, topology.node(other).name}
    for edge in edges(topology):
        if {edge.dialler, edge.listener} == pair:
            return edge
    raise UnknownNode(f"{topology.name} has no link between {one} and {other}")

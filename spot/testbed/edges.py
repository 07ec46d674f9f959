"""Edges: where a proxy stands between two nodes, and which of the two dials it.

Every linked pair has exactly one edge, so that whatever happens to the edge happens to the pair.
Where both ends add each other, only one of them dials: SPOT would make it one connection anyway,
and a second way in would be a way around the first.
"""

from __future__ import annotations

from dataclasses import dataclass

from spot.testbed.errors import UnknownNode
from spot.testbed.topology import Topology

__all__ = ["EDGE_PORT_FIRST", "Edge", "edge_between", "edges"]

EDGE_PORT_FIRST = 20_001
"""Edges listen on this port and those that follow: 19,900 of them in a mesh of 200."""


@dataclass(frozen=True)
class Edge:
    """One proxied link: ``dialler`` dials the proxy, and the proxy dials ``listener``."""

    name: str
    """The name of its proxy, such as ``b-to-a``."""
    dialler: str
    listener: str
    port: int
    """Where the proxy listens in containers, which have all ports to themselves."""


def edges(topology: Topology) -> tuple[Edge, ...]:
    """One edge for each link of the topology, in the order of its links.

    Of two nodes that add each other the later one dials the earlier: spokes dial their hub.
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

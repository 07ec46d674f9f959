r"""Topologies as data: the nodes, which peers each adds, and which topics it hosts and hears.

    two-node        mesh (3)          hub-spoke (3 spokes)

    a ─── b         a ─── b           spoke-1   spoke-2
                     \   /                  \   /
                       c                     hub ─── spoke-3

In all of them both ends of a pair add each other, as in the guide; SPOT makes one link of it.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from spot.testbed.errors import UnknownNode, UnknownTopology

__all__ = ["NODES_MAX", "TOPOLOGIES", "NodePair", "NodeSpec", "Topology", "build_topology"]

NODES_MAX = 200
"""With more processes than this, one machine says more about itself than about SPOT."""

NodePair = tuple[str, str]
"""Two node names, in sorted order."""


@dataclass(frozen=True)
class NodeSpec:
    """One node: its name, the names of the nodes that it adds, its topics, its subscriptions."""

    name: str
    peers: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    """Topics, or patterns if they contain ``*``."""
    publish: tuple[str, ...] = ()
    """Topics of other nodes that it publishes to, besides its own."""
    binds: bool = True
    """False: the node only dials, like a node behind NAT, and no node can add it."""
    relay: bool = False
    """Whether it passes topics and messages on between its peers."""


@dataclass(frozen=True)
class Topology:
    """A named set of nodes. Raises UnknownTopology when it contradicts itself."""

    name: str
    nodes: tuple[NodeSpec, ...]

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        if not names or len(names) != len(set(names)):
            raise UnknownTopology(f"topology {self.name}: node names must be unique: {names}")
        binding = {node.name for node in self.nodes if node.binds}
        for node in self.nodes:
            for peer in node.peers:
                if peer == node.name or peer not in binding:
                    raise UnknownTopology(
                        f"topology {self.name}: node {node.name} adds {peer}, "
                        "which is no other node that binds"
                    )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes, in order."""
        return tuple(node.name for node in self.nodes)

    @property
    def links(self) -> tuple[NodePair, ...]:
        """The pairs in which at least one node adds the other. Each has one connection."""
        pairs = {tuple(sorted((node.name, peer))) for node in self.nodes for peer in node.peers}
        order = {name: place for place, name in enumerate(self.names)}
        return tuple(
            sorted(((a, b) for a, b in pairs), key=lambda pair: (order[pair[0]], order[pair[1]]))
        )

    def node(self, name: str) -> NodeSpec:
        """The node of this name. Raises UnknownNode."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise UnknownNode(f"{self.name} has no node {name!r}: it has {', '.join(self.names)}")

    def to_json(self) -> dict[str, Any]:
        """The topology as it stands in a run's record."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Topology:
        """The topology of a run's record."""
        nodes = tuple(
            NodeSpec(
                name=node["name"],
                peers=tuple(node["peers"]),
                topics=tuple(node["topics"]),
                subscribe=tuple(node["subscribe"]),
                publish=tuple(node["publish"]),
                binds=node["binds"],
                relay=node["relay"],
            )
            for node in document["nodes"]
        )
        return cls(document["name"], nodes)


def two_node() -> Topology:
    """``a`` and ``b``; each subscribes to the other's topic by name."""
    return Topology(
        "two-node",
        (
            NodeSpec("a", peers=("b",), topics=("a:data",), subscribe=("b:data",)),
            NodeSpec("b", peers=("a",), topics=("b:data",), subscribe=("a:data",)),
        ),
    )


def mesh(nodes: int = 3) -> Topology:
    """``a``, ``b``, ``c``...: every node adds every other and hears every topic by one pattern."""
    names = [_letters(place) for place in range(nodes)]
    return Topology(
        "mesh",
        tuple(
            NodeSpec(
                name,
                peers=tuple(other for other in names if other != name),
                topics=(f"{name}:data",),
                subscribe=("*:data",),
            )
            for name in names
        ),
    )


def hub_spoke(spokes: int = 3, *, relay: bool = False) -> Topology:
    """``hub`` and ``spoke-1``...: the hub hears every spoke, every spoke hears the hub.

    With ``relay`` the hub is a relay, through which spokes hear one another.
    """
    names = tuple(f"spoke-{number}" for number in range(1, spokes + 1))
    hub = NodeSpec("hub", peers=names, topics=("hub:data",), subscribe=("spoke-*:data",))
    if relay:
        hub = replace(hub, relay=True)
    return Topology(
        "hub-spoke",
        (
            hub,
            *(
                NodeSpec(
                    name,
                    peers=("hub",),
                    topics=(f"{name}:data",),
                    subscribe=("*:data",) if relay else ("hub:data",),
                )
                for name in names
            ),
        ),
    )


TOPOLOGIES: dict[str, Callable[..., Topology]] = {
    "two-node": two_node,
    "mesh": mesh,
    "hub-spoke": hub_spoke,
}


def build_topology(name: str, nodes: int | None = None, *, relay: bool = False) -> Topology:
    """The topology of this name. ``nodes``: nodes of a mesh, spokes of a hub-spoke; None: 3.
    ``relay``: spokes of a hub-spoke hear one another, through a hub that is a relay.

    Raises UnknownTopology for another name, or a number that the topology can't have.
    """
    if name not in TOPOLOGIES:
        raise UnknownTopology(f"there is no topology {name!r}: take {', '.join(TOPOLOGIES)}")
    if name == "two-node":
        if nodes not in (None, 2):
            raise UnknownTopology(f"two-node has 2 nodes, not {nodes}: take mesh or hub-spoke")
        return two_node()
    least, what = (2, "nodes") if name == "mesh" else (1, "spokes")
    if nodes is not None and not least <= nodes <= NODES_MAX:
        raise UnknownTopology(f"{name} can have {least} to {NODES_MAX} {what}, not {nodes}")
    if relay:
        if name != "hub-spoke":
            raise UnknownTopology(f"{name} has no hub to be a relay: take hub-spoke")
        return hub_spoke(nodes or 3, relay=True)
    return TOPOLOGIES[name](nodes or 3)


def _letters(place: int) -> str:
    """The names of spreadsheet columns: 0 is a, 25 is z, 26 is aa."""
    text = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, len(string.ascii_lowercase))
        text = string.ascii_lowercase[letter] + text
    return text

"""Partitions: every link between nodes that must not hear each other is cut.

partition a,b c   groups; nodes that are not named form one more group
halves            the first half of the nodes, and the second
isolate a         one against the rest
bridge c a,b d    c hears both sides, which do not hear each other
ring              each hears only its two neighbours
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.errors import BadFault
from spot.testbed.evidence import Effect
from spot.testbed.faults.fault import Action, Fault, WithoutTarget
from spot.testbed.faults.groups import (
    Pairs,
    bridge,
    groups_apart,
    halves,
    linked_only,
    one_against_rest,
    ring,
)
from spot.testbed.faults.on_edges import CutEdges

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Bridge", "Halves", "Isolate", "Partition", "Ring"]


@dataclass(frozen=True)
class _Apart(Fault):
    """Cuts the links of all pairs that must not hear each other."""

    needs_proxies: ClassVar[bool] = True
    proof: ClassVar[str] = "every severed pair dials its edge, and connections to it are refused"
    watch: ClassVar[str] = (
        "hosts on the other side raise HostUnreachable at once; each side goes on with its own"
    )

    @abstractmethod
    def apart(self, names: Sequence[str]) -> Pairs:
        """Ordered pairs that do not hear each other, linked or not."""

    def severed(self, topology: Topology) -> Pairs:
        """Those of them that have a link."""
        return linked_only(self.apart(topology.names), topology.links)

    def effect(self, topology: Topology) -> Effect:
        """Severs the links that it cuts. Their connections close."""
        return Effect(severed=self.severed(topology), notice="closed")

    def check(self, topology: Topology) -> None:
        """Raises BadFault if it would cut no link."""
        if not self.severed(topology):
            raise BadFault(f"'{self}' would cut no link of {topology.name}")

    def action(self, cluster: Cluster) -> Action:
        """Disables the proxies of the links that it cuts."""
        return CutEdges(cluster, self.severed(cluster.topology))


@dataclass(frozen=True)
class Partition(_Apart):
    """Groups that do not hear one another. Nodes that are not named are in one more group."""

    groups: tuple[tuple[str, ...], ...]

    name: ClassVar[str] = "partition"
    usage: ClassVar[str] = "partition A,B C,D ..."
    summary: ClassVar[str] = "groups that don't hear each other; unnamed nodes form one more group"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes groups of nodes."""
        groups = words.groups()
        if not groups:
            raise words.wrong("a group is missing")
        return cls(groups)

    @property
    def target(self) -> str:
        """The groups."""
        return " ".join(map(",".join, self.groups))

    def apart(self, names: Sequence[str]) -> Pairs:
        """The pairs of different groups."""
        named = {name for group in self.groups for name in group}
        return groups_apart([*self.groups, [name for name in names if name not in named]])

    def check(self, topology: Topology) -> None:
        """Raises BadFault also for a node that is named twice."""
        _check_groups(self, topology, self.groups)
        super().check(topology)


@dataclass(frozen=True)
class Halves(WithoutTarget, _Apart):
    """The first half of the topology's nodes against the second."""

    name: ClassVar[str] = "halves"
    usage: ClassVar[str] = "halves"
    summary: ClassVar[str] = "a split into two halves, which don't hear each other"

    def apart(self, names: Sequence[str]) -> Pairs:
        """The pairs of different halves."""
        return groups_apart(halves(names))


@dataclass(frozen=True)
class Isolate(_Apart):
    """One node against the rest."""

    node: str

    name: ClassVar[str] = "isolate"
    usage: ClassVar[str] = "isolate A"
    summary: ClassVar[str] = "one node hears nobody, and nobody hears it"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes a node."""
        return cls(words.node())

    @property
    def target(self) -> str:
        """The node."""
        return self.node

    def apart(self, names: Sequence[str]) -> Pairs:
        """The pairs of this node and any other."""
        return one_against_rest(names, self.node)

    def check(self, topology: Topology) -> None:
        """Raises UnknownNode also if the topology has no such node."""
        topology.node(self.node)
        super().check(topology)


@dataclass(frozen=True)
class Bridge(_Apart):
    """Two sides, and one node between them that hears both. Without names: the node in the middle,
    and the halves beside it.
    """

    node: str | None = None
    sides: tuple[tuple[str, ...], ...] = ()

    name: ClassVar[str] = "bridge"
    usage: ClassVar[str] = "bridge [C A,B D,E]"
    summary: ClassVar[str] = "two sides don't hear each other, and one node (C) hears both"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes a node and two groups, or nothing."""
        groups = words.groups()
        if not groups:
            return cls()
        if len(groups) != 3 or len(groups[0]) != 1:
            raise words.wrong("give the node between, then two sides")
        return cls(groups[0][0], groups[1:])

    @property
    def target(self) -> str:
        """The node between and the two sides, if they were given."""
        return "" if self.node is None else " ".join([self.node, *map(",".join, self.sides)])

    def apart(self, names: Sequence[str]) -> Pairs:
        """The pairs of different sides."""
        return groups_apart(bridge(names)[1:] if self.node is None else self.sides)

    def check(self, topology: Topology) -> None:
        """Raises BadFault also for a node that is named twice."""
        if self.node is not None:
            _check_groups(self, topology, [(self.node,), *self.sides])
        super().check(topology)


@dataclass(frozen=True)
class Ring(WithoutTarget, _Apart):
    """Each node hears only its two neighbours in the topology's order."""

    name: ClassVar[str] = "ring"
    usage: ClassVar[str] = "ring"
    summary: ClassVar[str] = "each node hears only its two neighbours (four nodes or more)"

    def apart(self, names: Sequence[str]) -> Pairs:
        """The pairs that are not neighbours in the ring."""
        return ring(names)


def _check_groups(fault: Fault, topology: Topology, groups: Sequence[Sequence[str]]) -> None:
    named = [topology.node(name).name for group in groups for name in group]
    for name in named:
        if named.count(name) > 1:
            raise BadFault(f"'{fault}' names {name} twice")

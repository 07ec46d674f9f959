"""cut: the link's connection ends at once, and new ones are refused.

``CutEdges`` (on_edges.py) closes the proxy's edge of the pair. It is proved by two observations
(edge_proofs.py): the node that dials does so through the edge, and a connection of the testbed's
own to the edge is refused. After the heal, such a connection must get through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.evidence import Effect
from spot.testbed.faults.fault import Action
from spot.testbed.faults.on_edges import CutEdges, OneEdge, TargetEdge

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Cut"]


@dataclass(frozen=True)
class Cut(OneEdge):
    """A loud cut, like a firewall that rejects: both ends see their connection close."""

    name: ClassVar[str] = "cut"
    usage: ClassVar[str] = "cut A B"
    summary: ClassVar[str] = "the connection closes at once, and new ones are refused"
    proof: ClassVar[str] = "the pair dials the edge, and connections to it are refused"
    watch: ClassVar[str] = (
        "both ends raise HostUnreachable at once; one dials again, after 0.1 s to 5 s each time"
    )

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes two nodes."""
        return cls(TargetEdge(words.node(), words.node()))

    def effect(self, topology: Topology) -> Effect:
        """Severs both directions. The connection closes."""
        return Effect(severed=self.edge.both_ways, notice="closed")

    def action(self, cluster: Cluster) -> Action:
        """Disables the proxy of the edge."""
        return CutEdges(cluster, self.edge.both_ways)

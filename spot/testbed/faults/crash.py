"""crash: SIGKILL; started again by the heal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.evidence import Effect
from spot.testbed.faults.fault import Action
from spot.testbed.faults.on_nodes import NodeDown, OneNode, down

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.topology import Topology

__all__ = ["Crash"]


@dataclass(frozen=True)
class Crash(OneNode):
    """The node is killed, without a goodbye. Healing starts it again, at its old address."""

    name: ClassVar[str] = "crash"
    usage: ClassVar[str] = "crash A"
    summary: ClassVar[str] = "SIGKILL; healing starts the node again"
    proof: ClassVar[str] = "its process or container has ended; after the heal it answers"
    watch: ClassVar[str] = "every node that hears it raises HostUnreachable at once"

    def effect(self, topology: Topology) -> Effect:
        """The node is down, and its connections close."""
        return down(topology, self.node, "closed")

    def action(self, cluster: Cluster) -> Action:
        """Kills the node by SIGKILL."""
        return NodeDown(cluster, self, self.node, kill=True)

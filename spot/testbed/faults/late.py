"""late: a node that is started after the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.errors import ClusterError
from spot.testbed.evidence import Effect
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_nodes import NodeDown, OneNode, down

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.topology import Topology

__all__ = ["Late"]


@dataclass(frozen=True)
class Late(OneNode):
    """A node that is not started yet; healing starts it. The cluster must have been started without
    it: ``Cluster(late=["a"])``.
    """

    name: ClassVar[str] = "late"
    usage: ClassVar[str] = "late A"
    summary: ClassVar[str] = "held down from the start of the cluster; healing starts it"
    proof: ClassVar[str] = "its process or container does not run; after the heal it answers"
    watch: ClassVar[str] = "others dial it in vain; HostUnreachable is not raised, as it never was"

    def effect(self, topology: Topology) -> Effect:
        """The node is down. Nobody notices, as it never ran."""
        return down(topology, self.node, "none")

    def action(self, cluster: Cluster) -> Action:
        """Leaves the node as it is, and starts it at the heal."""
        return _NotYet(cluster, self, self.node, kill=False)


class _NotYet(NodeDown):
    def prepare(self) -> Proofs:
        """Checks that the node was not started."""
        if self._cluster.node_status(self._node).state != "exited":
            raise ClusterError(
                f"{self._node} was started with the others: start the cluster with "
                f"late=[{self._node!r}], or as a scenario"
            )
        return ()

    def apply(self) -> None:
        """Does nothing, as the fault acts from the start of the cluster."""

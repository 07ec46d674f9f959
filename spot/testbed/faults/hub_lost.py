"""hub-lost: the node that all others are linked to is killed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.errors import BadFault
from spot.testbed.evidence import Effect
from spot.testbed.faults.fault import Action, WithoutTarget
from spot.testbed.faults.on_nodes import NodeDown, down

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.topology import Topology

__all__ = ["HubLost"]


@dataclass(frozen=True)
class HubLost(WithoutTarget):
    """A crash of the hub. Healing starts it again."""

    name: ClassVar[str] = "hub-lost"
    usage: ClassVar[str] = "hub-lost"
    summary: ClassVar[str] = "SIGKILL to the hub; healing starts it again"
    proof: ClassVar[str] = "its process or container has ended; after the heal it answers"
    watch: ClassVar[str] = "all spokes raise HostUnreachable at once, and find it again later"

    def hub(self, topology: Topology) -> str:
        """The one node that is an end of every link. Raises BadFault when there is none."""
        hubs = [name for name in topology.names if all(name in link for link in topology.links)]
        if len(hubs) != 1 or not topology.links:
            raise BadFault(f"{topology.name} has no hub: crash one of {', '.join(topology.names)}")
        return hubs[0]

    def check(self, topology: Topology) -> None:
        """Raises BadFault if the topology has no hub."""
        self.hub(topology)

    def effect(self, topology: Topology) -> Effect:
        """The hub is down, and its connections close."""
        return down(topology, self.hub(topology), "closed")

    def action(self, cluster: Cluster) -> Action:
        """Kills the hub by SIGKILL."""
        return NodeDown(cluster, self, self.hub(cluster.topology), kill=True)

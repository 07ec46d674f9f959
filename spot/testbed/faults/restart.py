"""restart: a graceful end, and a new start at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_nodes import NodeDown, OneNode, down, in_state, runs_again

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.topology import Topology

__all__ = ["Restart"]


@dataclass(frozen=True)
class Restart(OneNode):
    """The node leaves (SIGTERM) and comes back at once, at its old address. There is nothing to
    heal, but the node must answer in the end.
    """

    name: ClassVar[str] = "restart"
    usage: ClassVar[str] = "restart A"
    summary: ClassVar[str] = "SIGTERM, and a new start at once"
    proof: ClassVar[str] = "its process or container was seen ended, and answers again"
    is_momentary: ClassVar[bool] = True
    watch: ClassVar[str] = "HostUnreachable, reason 'left', and soon a new epoch of its topics"

    def effect(self, topology: Topology) -> Effect:
        """The node is down for a while, after it has left."""
        return down(topology, self.node, "left")

    def action(self, cluster: Cluster) -> Action:
        """Ends the node by SIGTERM and starts it again."""
        return _Again(cluster, self, self.node, kill=False)


class _Again(NodeDown):
    def apply(self) -> None:
        """Ends the node, keeps the proof of that, and starts it again."""
        super().apply()
        self._ended: Proof = in_state(self._cluster, self._node, "exited")
        self._cluster.restart(self._node)

    def prove(self) -> Proofs:
        return self._ended, runs_again(self._cluster, self._node)

"""readdress: a node that crashed comes back at another address.

A container gets another address on its own network, and keeps its name, which peers resolve at each
dial. A process comes back on another port. A process has no name to resolve, so its proxies are
given the new port instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.errors import BadFault
from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_nodes import NodeDown, OneNode, down, runs_again

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.topology import Topology

__all__ = ["Readdress"]


@dataclass(frozen=True)
class Readdress(OneNode):
    """A crash, and a new start at another address, which the node keeps. There is nothing to heal,
    but the node must answer in the end.
    """

    name: ClassVar[str] = "readdress"
    usage: ClassVar[str] = "readdress A"
    summary: ClassVar[str] = "SIGKILL, and a new start at another address"
    proof: ClassVar[str] = "the node answers, at a new address"
    is_momentary: ClassVar[bool] = True
    watch: ClassVar[str] = (
        "every peer raises HostUnreachable at once, and finds it at the new address"
    )
    needs_proxies: ClassVar[bool] = True

    def check(self, topology: Topology) -> None:
        """Raises BadFault also for a node without an address."""
        super().check(topology)
        if not topology.node(self.node).binds:
            raise BadFault(f"'{self}': {self.node} only dials, so it has no address")

    def effect(self, topology: Topology) -> Effect:
        """The node is down for a while, and its connections close."""
        return down(topology, self.node, "closed")

    def action(self, cluster: Cluster) -> Action:
        """Kills the node and starts it at a new address."""
        return _Moving(cluster, self, self.node, kill=True)


class _Moving(NodeDown):
    def apply(self) -> None:
        self._before = self._cluster.addresses[self._node]
        self._cluster.readdress(self._node)

    def prove(self) -> Proofs:
        """Proves that the node runs at another address."""
        now = self._cluster.addresses[self._node]
        wanted = f"{self._node} is no longer at {self._before}"
        moved = Proof(wanted, now != self._before, f"it is at {now}")
        return moved, runs_again(self._cluster, self._node)

    def undo(self) -> None:
        """Opens the edges that were closed for the move, in case the move ended half-way."""
        for edge in self._cluster.edges():
            if edge.listener == self._node:
                edge.enable()
        super().undo()

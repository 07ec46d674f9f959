"""pause: the node is stopped, with its connections open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.evidence import Effect
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_nodes import OneNode, in_state, links_of, require_running, runs_again

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.topology import Topology

__all__ = ["Pause"]


@dataclass(frozen=True)
class Pause(OneNode):
    """SIGSTOP, or ``docker pause``: neither FIN nor RST is sent."""

    name: ClassVar[str] = "pause"
    usage: ClassVar[str] = "pause A"
    summary: ClassVar[str] = "SIGSTOP, or docker pause: the node is held still, connections open"
    proof: ClassVar[str] = "the operating system says that its process is stopped, or the engine"
    watch: ClassVar[str] = "others raise HostUnreachable within peer_timeout and a heartbeat"

    def effect(self, topology: Topology) -> Effect:
        """Severs all links of the node by silence, and pauses the node."""
        return Effect(
            severed=links_of(topology, self.node), notice="silent", paused=frozenset({self.node})
        )

    def action(self, cluster: Cluster) -> Action:
        """Stops the process or container."""
        return _Holding(cluster, self)


class _Holding(Action):
    def __init__(self, cluster: Cluster, fault: Pause) -> None:
        self._cluster = cluster
        self._fault = fault
        self._node = fault.node

    def prepare(self) -> Proofs:
        require_running(self._cluster, self._node, self._fault)
        return ()

    def apply(self) -> None:
        self._cluster.pause(self._node)

    def prove(self) -> Proofs:
        return (in_state(self._cluster, self._node, "paused"),)

    def undo(self) -> None:
        """Does not look at its state first, as a signal takes effect a moment after it was sent."""
        self._cluster.resume(self._node)

    def prove_undone(self) -> Proofs:
        return (runs_again(self._cluster, self._node),)

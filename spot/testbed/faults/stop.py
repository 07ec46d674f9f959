"""stop: a graceful end; started again by the heal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_nodes import NodeDown, OneNode, down

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.topology import Topology

__all__ = ["Stop"]

KILLED_AFTER_S = 5.0
"""A node that has not left by then is killed. It did not leave gracefully."""


@dataclass(frozen=True)
class Stop(OneNode):
    """The node is asked to leave (SIGTERM), and says goodbye. Healing starts it again."""

    name: ClassVar[str] = "stop"
    usage: ClassVar[str] = "stop A"
    summary: ClassVar[str] = "SIGTERM: the node says goodbye; healing starts it again"
    proof: ClassVar[str] = "its process or container has ended by itself; after the heal it answers"
    watch: ClassVar[str] = "every node that hears it raises HostUnreachable, reason 'left'"

    def effect(self, topology: Topology) -> Effect:
        """The node is down, after it has left."""
        return down(topology, self.node, "left")

    def action(self, cluster: Cluster) -> Action:
        """Ends the node by SIGTERM."""
        return _Leaving(cluster, self, self.node, kill=False)


class _Leaving(NodeDown):
    def apply(self) -> None:
        """Ends the node and measures how long it takes."""
        begun = time.monotonic()
        super().apply()
        self._took = time.monotonic() - begun

    def prove(self) -> Proofs:
        """Proves also that the node ended before it would have been killed."""
        wanted = f"{self._node} left by itself"
        seen = f"gone {self._took:.2f} s after SIGTERM"
        return [*super().prove(), Proof(wanted, self._took < KILLED_AFTER_S, seen)]

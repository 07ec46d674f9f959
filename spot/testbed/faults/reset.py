"""reset: connections end with RST, the open ones at once, new ones as soon as bytes come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.canary import Canary, Ended
from spot.testbed.faults.edge_proofs import edge_text
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_edges import OneEdge, TargetEdge, ToxicOnEdge

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Reset"]

PATIENCE_S = 1.0


@dataclass(frozen=True)
class Reset(OneEdge):
    """Like a middlebox that lost its table: it accepts each connection, and then resets it."""

    name: ClassVar[str] = "reset"
    usage: ClassVar[str] = "reset A B"
    summary: ClassVar[str] = "the connection closes; new ones are accepted, then end with RST"
    proof: ClassVar[str] = "the pair dials the edge; a canary that passed it before gets RST"
    watch: ClassVar[str] = "both ends raise HostUnreachable at once, and back off as from a cut"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes two nodes."""
        return cls(TargetEdge(words.node(), words.node()))

    def effect(self, topology: Topology) -> Effect:
        """Severs both directions. The connection closes."""
        return Effect(severed=self.edge.both_ways, notice="closed")

    def action(self, cluster: Cluster) -> Action:
        """Adds a reset_peer toxic to the edge."""
        return _Resetting(cluster, self.edge, "reset_peer", timeout=0)


class _Resetting(ToxicOnEdge):
    def apply(self) -> None:
        """The toxic resets new connections. A short cut closes those that are open."""
        super().apply()
        self.link.disable()
        self.link.enable()

    def undo(self) -> None:
        """Also enables the proxy, in case ``apply`` failed before it did."""
        super().undo()
        self.link.enable()

    def prove(self) -> Proofs:
        """Proves that a new connection is reset."""
        wanted = f"a canary on {edge_text(self.link)} is reset"
        try:
            with Canary(self.link.address) as canary:
                heard = canary.hear(PATIENCE_S)
        except Ended as error:
            return (Proof(wanted, error.how == "reset", str(error)),)
        except ConnectionResetError:
            return (Proof(wanted, True, "the connection was reset"),)
        seen = "it stayed open" if heard is None else "it was greeted"
        return (Proof(wanted, False, seen),)

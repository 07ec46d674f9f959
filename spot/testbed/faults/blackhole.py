"""blackhole: bytes vanish, one way or both, and the connection stays open."""

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

__all__ = ["Blackhole"]

SILENCE_S = 0.3
"""Bytes that pass take a few milliseconds. If none came by then, none will."""
SILENCE_BETWEEN_S = 0.1
"""The same, while only one of two directions is closed."""


@dataclass(frozen=True)
class Blackhole(OneEdge):
    """A silent fault, like a firewall that drops. The node at the end of an affected direction
    hears nothing any more.
    """

    name: ClassVar[str] = "blackhole"
    usage: ClassVar[str] = "blackhole A B [towards=A]"
    summary: ClassVar[str] = "bytes vanish, both ways or towards one; the connection stays open"
    proof: ClassVar[str] = (
        "the pair dials the edge; a canary that passed it before hears nothing, or is not heard"
    )
    watch: ClassVar[str] = (
        "nothing at first; both ends raise HostUnreachable within peer_timeout and a heartbeat"
    )

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes two nodes, and perhaps ``towards=``."""
        return cls(TargetEdge(words.node(), words.node(), words.text("towards")))

    def effect(self, topology: Topology) -> Effect:
        """Severs the directions of the edge. No connection closes, so only silence tells."""
        return Effect(severed=self.edge.directions, notice="silent")

    def action(self, cluster: Cluster) -> Action:
        """Adds a timeout toxic that never ends a connection."""
        return _Silence(cluster, self.edge, "timeout", timeout=0)


class _Silence(ToxicOnEdge):
    _listener_deaf: Proof | None = None

    def apply(self) -> None:
        """Closes the direction to the listener first, as only its answers can show that."""
        if self._towards is None:
            self.link.add_toxic(self._toxic, towards=self.link.listener, **self._attributes)
            self._listener_deaf = self._not_heard(SILENCE_BETWEEN_S)
            self.link.add_toxic(self._toxic, towards=self.link.dialler, **self._attributes)
        else:
            super().apply()

    def prove(self) -> Proofs:
        """Proves that a canary hears nothing, is not heard, or both."""
        if self._towards == self.link.listener:
            return (self._not_heard(SILENCE_S),)
        proofs = [self._nothing_comes()]
        if self._listener_deaf is not None:
            proofs.append(self._listener_deaf)
        return proofs

    def _nothing_comes(self) -> Proof:
        wanted = f"on {edge_text(self.link)} nothing comes from {self.link.listener}"
        try:
            with Canary(self.link.address) as canary:
                heard = canary.hear(SILENCE_S)
        except Ended as error:
            return Proof(wanted, False, str(error))
        if heard is not None:
            return Proof(wanted, False, f"it greeted after {heard * 1000:.1f} ms")
        return Proof(wanted, True, f"no byte in {SILENCE_S:g} s, the connection open")

    def _not_heard(self, silence_s: float) -> Proof:
        wanted = f"on {edge_text(self.link)} nothing reaches {self.link.listener}"
        try:
            with Canary(self.link.address) as canary:
                if canary.hear(1.0) is None:
                    return Proof(wanted, False, f"{self.link.listener} did not greet either")
                answered = canary.prompt(silence_s)
        except Ended as error:
            return Proof(wanted, False, str(error))
        if answered is not None:
            return Proof(wanted, False, f"it answered after {answered * 1000:.1f} ms")
        return Proof(wanted, True, f"it greeted, and did not answer in {silence_s:g} s")

"""bandwidth: the link has a limited speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.canary import PING_BYTES, PONG_BYTES, Canary, Echoes, Ended
from spot.testbed.faults.edge_proofs import edge_text
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_edges import OneEdge, TargetEdge, ToxicOnEdge

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Bandwidth", "echoes"]

SAMPLE_S = 0.4
PINGS_MIN, PINGS_MAX = 10, 20_000
PATIENCE_S = 5.0
TRIES_BEFORE = 3
SHAKE_S = 3.0
TOLERANCE = 0.8
"""The share of the expected time that must pass, as a proxy sends the first piece at once."""


@dataclass(frozen=True)
class Bandwidth(OneEdge):
    """A slow line. ``rate``: kB/s (1,000 bytes a second) in each direction."""

    rate: int

    name: ClassVar[str] = "bandwidth"
    usage: ClassVar[str] = "bandwidth A B rate=KB_PER_S [towards=A]"
    summary: ClassVar[str] = "the link carries so many kB a second, each way or towards one"
    proof: ClassVar[str] = (
        "the pair dials the edge; bytes that a canary echoes take as long as the rate says, and "
        "took less than half of it before"
    )
    watch: ClassVar[str] = "the link stays up, however slowly; publishers meet backpressure"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes two nodes, ``rate=`` and perhaps ``towards=``."""
        edge = TargetEdge(words.node(), words.node(), words.text("towards"))
        return cls(edge, words.whole("rate", None, least=1))

    @property
    def options(self) -> Mapping[str, float | None]:
        """The rate, in kB/s."""
        return {"rate": self.rate}

    def effect(self, topology: Topology) -> Effect:
        """Slows the directions of the edge, and severs none."""
        return Effect(slowed=self.edge.directions)

    def action(self, cluster: Cluster) -> Action:
        """Adds a bandwidth toxic to the edge."""
        return _SlowLine(cluster, self.edge, "bandwidth", rate=self.rate)


def echoes(address: tuple[str, int], count: int, timeout: float) -> Echoes | str:
    """The answers to ``count`` PINGs through an edge, or why it could not be tried."""
    try:
        with Canary(address) as canary:
            if canary.hear(SHAKE_S) is None or canary.prompt(SHAKE_S) is None:
                return "no greeting came"
            if not canary.shake_hands(SHAKE_S):
                return "the handshake did not end"
            return canary.echo(count, timeout)
    except Ended as error:
        return str(error)


class _SlowLine(ToxicOnEdge):
    @property
    def _count(self) -> int:
        wanted = int(self._attributes["rate"] * 1000 * SAMPLE_S / PONG_BYTES)
        return min(max(wanted, PINGS_MIN), PINGS_MAX)

    def prepare(self) -> Proofs:
        """Measures how long PINGs take before the fault."""
        proofs = list(super().prepare())
        for _ in range(TRIES_BEFORE):
            before = echoes(self.link.address, self._count, PATIENCE_S)
            if isinstance(before, Echoes) and self._is_fast(before):
                break  # a busy machine may need another try
        wanted = f"{self._count} PINGs through {edge_text(self.link)} were answered twice as fast"
        if isinstance(before, str):
            return [*proofs, Proof(wanted, False, before)]
        seen = f"{before.seconds:.3f} s before the fault"
        return [*proofs, Proof(wanted, self._is_fast(before), seen)]

    def prove(self) -> Proofs:
        """Measures them again: they must take as long as the rate says."""
        wanted = f"{self._count} PINGs through {edge_text(self.link)} take as long as the rate says"
        patience_s = PATIENCE_S + 2 * self._count * PING_BYTES / (self._attributes["rate"] * 1000)
        now = echoes(self.link.address, self._count, patience_s)
        if isinstance(now, str):
            return (Proof(wanted, False, now),)
        if not now.whole:
            return (Proof(wanted, False, f"no answer to the last one in {now.seconds:.1f} s"),)
        least_s = self._least_s(now)
        seen = f"{now.seconds:.3f} s, and {least_s:.3f} s was the least"
        return (Proof(wanted, now.seconds >= least_s, seen),)

    def _is_fast(self, echoed: Echoes) -> bool:
        return echoed.whole and echoed.seconds < self._least_s(echoed) / 2

    def _least_s(self, echoed: Echoes) -> float:
        """How long these bytes take at this rate, in the directions that are slow."""
        there = self._count * PING_BYTES if self._towards != self.link.dialler else 0
        back = echoed.received if self._towards != self.link.listener else 0
        return TOLERANCE * max(there, back) / (self._attributes["rate"] * 1000)

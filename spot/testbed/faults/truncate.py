"""truncate: every connection ends after a number of bytes, even in the middle of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.bandwidth import echoes
from spot.testbed.faults.canary import PING_BYTES, PONG_BYTES
from spot.testbed.faults.edge_proofs import edge_text
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_edges import OneEdge, TargetEdge, ToxicOnEdge

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Truncate"]

BYTES_MAX = 400_000
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Truncate(OneEdge):
    """A stream that is cut off in the middle. ``size``: bytes in each direction, 1 to 400,000; of
    open connections they count from the fault on, of new ones from the beginning.
    """

    size: int

    name: ClassVar[str] = "truncate"
    usage: ClassVar[str] = "truncate A B bytes=N [towards=A]"
    summary: ClassVar[str] = "connections end after so many bytes, in mid-frame"
    proof: ClassVar[str] = "the pair dials the edge; a canary's bytes end where they passed before"
    watch: ClassVar[str] = "links end soon after they were made, and are made again, ever later"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes two nodes, ``bytes=`` and perhaps ``towards=``."""
        edge = TargetEdge(words.node(), words.node(), words.text("towards"))
        size = words.whole("bytes", None, least=1)
        if size > BYTES_MAX:
            raise words.wrong(f"bytes={size} is more than {BYTES_MAX}, which can't be proved")
        return cls(edge, size)

    @property
    def options(self) -> Mapping[str, float | None]:
        """The number of bytes."""
        return {"bytes": self.size}

    def effect(self, topology: Topology) -> Effect:
        """Severs both directions, as the connection ends. The traffic decides when."""
        return Effect(severed=self.edge.both_ways, notice="maybe")

    def action(self, cluster: Cluster) -> Action:
        """Adds a limit_data toxic to the edge."""
        return _CutOff(cluster, self.edge, "limit_data", bytes=self.size)


class _CutOff(ToxicOnEdge):
    @property
    def _count(self) -> int:
        """A number of PINGs that exceeds the limit in either direction."""
        return self._attributes["bytes"] // min(PING_BYTES, PONG_BYTES) + 10

    def prepare(self) -> Proofs:
        """Proves that all PINGs are answered before the fault."""
        proofs = list(super().prepare())
        wanted = f"{self._count} PINGs through {edge_text(self.link)} are answered before the fault"
        before = echoes(self.link.address, self._count, PATIENCE_S)
        if isinstance(before, str):
            return [*proofs, Proof(wanted, False, before)]
        return [*proofs, Proof(wanted, before.whole, f"{before.received} bytes came back")]

    def prove(self) -> Proofs:
        """Proves that the connection ends before the last PING is answered."""
        wanted = f"connections through {edge_text(self.link)} end before {self._count} PINGs"
        now = echoes(self.link.address, self._count, PATIENCE_S)
        if isinstance(now, str):  # so few bytes that not even the greeting passes
            return (Proof(wanted, now.startswith("the connection was"), now),)
        seen = f"{now.ended or 'still open'} after {now.received} bytes had come back"
        return (Proof(wanted, now.ended is not None, seen),)

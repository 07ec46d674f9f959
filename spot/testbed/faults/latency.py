"""latency: everything arrives later, in the same order."""

from __future__ import annotations

from collections.abc import Mapping
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

__all__ = ["Latency"]

PATIENCE_S = 2.0


@dataclass(frozen=True)
class Latency(OneEdge):
    """A long line. ``latency``: ms, each way; ``jitter``: ms more or less, drawn for each chunk."""

    latency: int
    jitter: int = 0

    name: ClassVar[str] = "latency"
    usage: ClassVar[str] = "latency A B latency=MS [jitter=MS] [towards=A]"
    summary: ClassVar[str] = "bytes arrive so many milliseconds later, each way or towards one"
    proof: ClassVar[str] = "the pair dials the edge; a canary's greeting takes longer by as much"
    watch: ClassVar[str] = "the link's rtt grows, and no link is lost below peer_timeout"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes two nodes, ``latency=``, and perhaps ``jitter=`` and ``towards=``."""
        edge = TargetEdge(words.node(), words.node(), words.text("towards"))
        latency, jitter = words.whole("latency", None, least=1), words.whole("jitter", 0)
        if jitter > latency:
            raise words.wrong(f"jitter={jitter} is more than the latency")
        return cls(edge, latency, jitter)

    @property
    def options(self) -> Mapping[str, float | None]:
        """Latency and jitter, in milliseconds."""
        return {"latency": self.latency, "jitter": self.jitter or None}

    def effect(self, topology: Topology) -> Effect:
        """Slows the directions of the edge, and severs none."""
        return Effect(slowed=self.edge.directions)

    def action(self, cluster: Cluster) -> Action:
        """Adds a latency toxic to the edge."""
        return _LongLine(cluster, self.edge, "latency", latency=self.latency, jitter=self.jitter)


class _LongLine(ToxicOnEdge):
    def prove(self) -> Proofs:
        """Measures how long a greeting takes through the edge."""
        link = self.link
        least_s = (self._attributes["latency"] - self._attributes["jitter"]) / 1000
        most_s = (self._attributes["latency"] + self._attributes["jitter"]) / 1000 + PATIENCE_S
        there_s = least_s if self._towards in (None, link.dialler) else 0.0
        back_s = least_s if self._towards in (None, link.listener) else 0.0
        # The listener's answer to our greeting takes both ways.
        least = there_s + (back_s + there_s)
        wanted = f"a greeting through {edge_text(link)} takes {least * 1000:.0f} ms or more"
        try:
            with Canary(link.address) as canary:
                heard = canary.hear(most_s)
                answered = None if heard is None else canary.prompt(2 * most_s)
        except Ended as error:
            return (Proof(wanted, False, str(error)),)
        if heard is None or answered is None:
            return (Proof(wanted, False, "it did not come at all"),)
        took = heard + answered
        return (Proof(wanted, 0 < least <= took, f"{took * 1000:.0f} ms"),)

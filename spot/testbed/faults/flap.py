"""flap: the link is cut and opened again and again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.errors import ClusterError
from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.edge_proofs import accepts, edge_text, refuses
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_edges import CutEdges, OneEdge, TargetEdge

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Flap"]

PERIOD_MIN_S = 0.1
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Flap(OneEdge):
    """A link that comes and goes. ``period``: seconds from one cut to the next; ``duty``: the share
    of the period in which the link is cut, from 0.05 to 0.95.
    """

    period: float = 1.0
    duty: float = 0.5

    name: ClassVar[str] = "flap"
    usage: ClassVar[str] = "flap A B [period=SECONDS] [duty=SHARE]"
    summary: ClassVar[str] = "the link is cut and opened again, for a share of each period (1, 0.5)"
    proof: ClassVar[str] = (
        "the pair dials the edge; connections to it were seen refused, and accepted again"
    )
    watch: ClassVar[str] = "the link comes back ever later, as it never stays up for stable_after"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes two nodes, and perhaps ``period=`` and ``duty=``."""
        edge = TargetEdge(words.node(), words.node())
        period = words.number("period", 1.0, least=PERIOD_MIN_S)
        return cls(edge, period, words.number("duty", 0.5, least=0.05, most=0.95))

    @property
    def options(self) -> Mapping[str, float | None]:
        """The period, in seconds, and the share of it for which the link is down."""
        return {"period": self.period, "duty": self.duty}

    def effect(self, topology: Topology) -> Effect:
        """Severs both directions. A node may miss the short ones."""
        return Effect(severed=self.edge.both_ways, notice="maybe")

    def action(self, cluster: Cluster) -> Action:
        """Starts a thread that cuts and heals the edge in turn."""
        return _Flapping(cluster, self)

    def is_kept(self, backend: str) -> bool:
        """True: a thread of this process does it."""
        return True


class _Flapping(CutEdges):
    def __init__(self, cluster: Cluster, fault: Flap) -> None:
        super().__init__(cluster, fault.edge.both_ways)
        self._cut_s = fault.period * fault.duty
        self._open_s = fault.period - self._cut_s
        self._over = threading.Event()
        self._seen = threading.Event()
        self._thread = threading.Thread(target=self._flap, name="flap", daemon=True)
        self._closed: Proof | None = None
        self._open: Proof | None = None
        self._trouble: Exception | None = None

    def apply(self) -> None:
        """Cuts the edge, then leaves it to the thread."""
        (link,) = self.links
        link.disable()
        self._thread.start()

    def prove(self) -> Proofs:
        """Waits until both phases have been seen."""
        self._seen.wait(2 * (self._cut_s + self._open_s) + PATIENCE_S)
        self._raise_trouble()
        edge = edge_text(self.links[0])
        return (
            self._closed or Proof(f"connections to {edge} are refused", False, "never seen"),
            self._open or Proof(f"connections to {edge} are accepted again", False, "never seen"),
        )

    def undo(self) -> None:
        """Ends the thread, then heals the edge."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        super().undo()
        self._raise_trouble()

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise ClusterError(f"the link stopped flapping: {self._trouble}") from self._trouble

    def _flap(self) -> None:
        (link,) = self.links
        try:
            while True:
                self._closed = refuses(link)
                if self._over.wait(self._cut_s):
                    return
                link.enable()
                self._open = accepts(link)
                self._seen.set()
                if self._over.wait(self._open_s):
                    return
                link.disable()
        except (ClusterError, OSError) as error:
            self._trouble = error
            self._seen.set()

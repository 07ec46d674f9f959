"""starve: a node gets a small share of one processor.

A container gets its share by the engine's quota. A process is stopped and continued fifty times a
second, so that it runs for its share of the time. A quota would need a control group, and so root.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.errors import ClusterError
from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.fault import Action, Proofs
from spot.testbed.faults.on_nodes import OneNode, links_of, require_running, runs_again
from spot.testbed.faults.starved import StarvedMark
from spot.testbed.faults.wording import options_text

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Starve"]

PERIOD_S = 0.02
LOOK_S = 1.0
SAMPLE_S = 0.0037
"""Not a divisor of the period, so that samples fall on every part of it."""
TOLERANCE = 0.5


@dataclass(frozen=True)
class Starve(OneNode):
    """``cpu``: the share of one processor that is left to the node, from 0.01 to 0.9."""

    cpu: float = 0.05

    name: ClassVar[str] = "starve"
    usage: ClassVar[str] = "starve A [cpu=SHARE]"
    summary: ClassVar[str] = "the node gets a small share of a processor (0.05)"
    proof: ClassVar[str] = (
        "a container was held back by its quota while it was asked for its status; a process was "
        "found stopped as often as its share says"
    )
    watch: ClassVar[str] = "its messages come late; no peer loses it below peer_timeout"

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes a node, and perhaps ``cpu=``."""
        return cls(words.node(), words.number("cpu", 0.05, least=0.01, most=0.9))

    @property
    def target(self) -> str:
        """The node and its share of a processor."""
        return f"{self.node} {options_text({'cpu': self.cpu})}"

    def effect(self, topology: Topology) -> Effect:
        """Slows all links of the node. Its peers may lose it."""
        return Effect(slowed=links_of(topology, self.node), notice="maybe")

    def action(self, cluster: Cluster) -> Action:
        """Sets a quota for a container, or starts a thread that stops and continues a process."""
        return (_Quota if cluster.run.backend == "docker" else _StopAndGo)(cluster, self)

    def is_kept(self, backend: str) -> bool:
        """True for a process, as a thread of this one does it."""
        return backend == "process"


class _Starving(Action):
    def __init__(self, cluster: Cluster, fault: Starve) -> None:
        self._cluster = cluster
        self._fault = fault
        self._node = fault.node
        self._cpu = fault.cpu

    def prepare(self) -> Proofs:
        require_running(self._cluster, self._node, self._fault)
        return ()

    def prove_undone(self) -> Proofs:
        return (runs_again(self._cluster, self._node),)


class _Quota(_Starving):
    def apply(self) -> None:
        self._held_before = self._cluster.times_held_back(self._node)
        self._cluster.limit_cpu(self._node, self._cpu)

    def prove(self) -> Proofs:
        """Asks the node for its status, which makes it work, until its quota stops it."""
        deadline = time.monotonic() + LOOK_S
        wanted = f"{self._node} was held back by its quota of {self._cpu:g} processors"
        while True:
            for _ in range(20):
                self._cluster.node_status(self._node)
            held = self._cluster.times_held_back(self._node) - self._held_before
            if held or time.monotonic() >= deadline:
                return (Proof(wanted, held > 0, f"{held} times"),)

    def undo(self) -> None:
        self._cluster.limit_cpu(self._node, None)


class _StopAndGo(_Starving):
    def __init__(self, cluster: Cluster, fault: Starve) -> None:
        super().__init__(cluster, fault)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._stop_and_go, name="starve", daemon=True)
        self._trouble: Exception | None = None
        self._mark = StarvedMark(cluster, fault.node)

    def apply(self) -> None:
        if not self._mark.take():
            raise ClusterError(f"{self._node} is starved already: heal that first")
        self._thread.start()

    def prove(self) -> Proofs:
        """Looks for a second how often the process is stopped."""
        samples, stopped = 0, 0
        deadline = time.monotonic() + LOOK_S
        while time.monotonic() < deadline:
            stopped += self._cluster.state(self._node) == "paused"
            samples += 1
            time.sleep(SAMPLE_S)
        self._raise_trouble()
        least = TOLERANCE * (1 - self._cpu)
        wanted = f"{self._node} is stopped for {least:.0%} of the time or more"
        return (Proof(wanted, stopped >= least * samples, f"{stopped} of {samples} looks"),)

    def undo(self) -> None:
        """Ends the thread, and leaves the process running."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._cluster.resume(self._node)
        self._mark.release()
        self._raise_trouble()

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise ClusterError(f"{self._node} starves no more: {self._trouble}")

    def _stop_and_go(self) -> None:
        try:
            while not self._over.is_set():
                self._cluster.pause(self._node)
                self._over.wait(PERIOD_S * (1 - self._cpu))
                self._cluster.resume(self._node)
                self._over.wait(PERIOD_S * self._cpu)
        except (ClusterError, OSError) as error:
            self._trouble = error

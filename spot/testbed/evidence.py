"""The evidence that a run of a cluster under faults leaves: journals, fault windows, phases.

Faults make ``FaultWindow``s, the runner puts them and the nodes' journals into ``Evidence``,
checkers turn that into ``Finding``s, and reports show all of it. Everything here is plain data.
All times are seconds of ``CLOCK_MONOTONIC``, which the processes and containers of one machine
share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spot.testbed.journal import Journal
from spot.testbed.topology import Topology

__all__ = [
    "Bounds",
    "Effect",
    "Evidence",
    "FaultWindow",
    "Notice",
    "Phases",
    "Proof",
]


@dataclass(frozen=True)
class Proof:
    """One observation that shows, or fails to show, that a fault acted or was healed."""

    wanted: str
    """What had to be seen, such as ``connections to the edge b-to-a are refused``."""
    shown: bool
    seen: str
    """What was seen, such as ``refused after 0.3 ms``."""


Notice = Literal["closed", "silent", "left", "maybe", "none"]
"""How the two ends of a broken link learn of the fault. Their connection closes; it falls silent; a
goodbye comes; maybe they are told, as the fault may be over before; or no link may be lost."""


@dataclass(frozen=True)
class Effect:
    """What a fault does to nodes and links, as a pure function of the topology."""

    severed: frozenset[tuple[str, str]] = frozenset()
    """Ordered pairs (from, to): bytes of the first node do not reach the second."""
    notice: Notice = "none"
    down: frozenset[str] = frozenset()
    """Nodes that do not run while it lasts (crashed, stopped, not yet started)."""
    paused: frozenset[str] = frozenset()
    """Nodes that are paused, with their links open."""
    slowed: frozenset[tuple[str, str]] = frozenset()
    """Ordered pairs whose bytes arrive, but late or slowly."""

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """The unordered pairs (sorted tuples) whose link can't be up while it lasts."""
        return frozenset((min(pair), max(pair)) for pair in self.severed)


@dataclass(frozen=True)
class FaultWindow:
    """One fault of a run: when it acted, its target, and its proofs."""

    name: str
    """The kind, such as ``cut``."""
    target: str
    """The target, such as ``a b``."""
    effect: Effect
    began: float
    """Just before it began to be applied."""
    acted: float
    """When it was fully applied."""
    healing: float | None
    """Just before healing began. None: it was never healed."""
    healed: float | None
    """When it was fully healed."""
    proofs: tuple[Proof, ...] = ()
    error: str | None = None
    """Why it could not be applied or healed. None: there was no error."""

    @property
    def text(self) -> str:
        """As it is written in a scenario: ``cut a b``."""
        return f"{self.name} {self.target}".strip()

    @property
    def is_proved(self) -> bool:
        """Whether it is known to have acted."""
        return self.error is None and bool(self.proofs) and all(one.shown for one in self.proofs)


@dataclass(frozen=True)
class Phases:
    """When each part of a run began."""

    started: float
    """Before the first node was started."""
    ready: float | None
    """All nodes up and synchronised. None: never."""
    healed: float | None
    """Every fault of the plan had been healed."""
    recovered: float | None
    """All links were up and every node synchronised again. None: never."""
    quiet: float | None
    """Nodes were told to stop publishing."""
    stopped: float | None
    """Nodes were told to leave. If the run was cut short: the end of what can be judged."""


@dataclass(frozen=True)
class Bounds:
    """The times that the nodes' settings promise, in seconds."""

    peer_timeout: float = 2.0
    heartbeat: float = 0.5
    reconnect_min: float = 0.1
    reconnect_max: float = 5.0
    stable_after: float = 2.0
    send_timeout: float = 1.0

    @property
    def silence(self) -> float:
        """The latest at which a silent link is noticed."""
        return self.peer_timeout + min(self.heartbeat, self.peer_timeout / 3)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All evidence of a run. It equals only itself, as comparing it may take long."""

    topology: Topology
    journals: Mapping[str, Journal]
    """By node name. A node without records has an empty journal."""
    faults: tuple[FaultWindow, ...]
    phases: Phases
    bounds: Bounds
    trouble: tuple[str, ...] = ()
    """Failures of the testbed itself, as texts: a proxy that died, a node that ended by itself."""

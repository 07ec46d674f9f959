"""A schedule as data: which nodes there are, and what is done to them when."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from spot.config import Config


@dataclass
class NodePlan:
    """What a node is made of, kept up to date by its application, so that restarts know it.

    ``standbys`` are topics that it hosts beside another node. ``names`` are its subscriptions,
    ``lag`` is the longest time in seconds that it may take to notice what has arrived. ``leads``:
    the application waits in ``recv``, and reads the socket itself; else the I/O thread does.
    """

    name: str
    config: Config
    _: KW_ONLY
    peers: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    standbys: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    lag: float = 0.0
    leads: bool = True


@dataclass(frozen=True)
class Action:
    """An action at a moment: ``kind`` is a call of World's or a method of Faults."""

    at: float
    kind: str
    details: tuple[Any, ...]

    def __str__(self) -> str:
        words = " ".join(
            f"{detail:.3f}" if isinstance(detail, float) else str(detail) for detail in self.details
        )
        return f"{self.kind} {words}"


@dataclass
class Plan:
    """One schedule. ``heal_at`` is when the last fault has ended. Times are in seconds.

    Running a plan changes it. Draw it again to run it again.
    """

    seed: int
    nodes: list[NodePlan]
    pairs: list[tuple[str, str]]
    actions: list[Action]
    heal_at: float
    latencies: tuple[float, float] = (0.0002, 0.01)

    @property
    def has_relays(self) -> bool:
        return any(node.config.relay for node in self.nodes)

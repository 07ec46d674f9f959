"""The outcome of a scenario, and where it is kept.

results/<scenario>/<time>/report.html report.json junit.xml plan.yaml a.jsonl a.log …
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spot.testbed.evidence import Evidence, FaultWindow, Proof
from spot.testbed.verdict import Finding, Verdict

__all__ = ["FaultResult", "Result"]


@dataclass(frozen=True)
class FaultResult:
    """What one fault did to the cluster, as the journals show it. Seconds from the run's start."""

    window: FaultWindow
    start_s: float
    end_s: float | None
    proof: tuple[Proof, ...]
    detect_s: float | None
    """From the fault until the last node that must be told was told. None: no node was told, or no
    node had to be told."""
    recover_s: float | None
    """From the heal until a message had come over every link that the fault broke. None: it broke
    no link, or a message did not come."""
    missed: int | None
    """Messages that subscribers were told they missed because of it. None: unknown."""


@dataclass(frozen=True)
class Result:
    """A scenario that was run: what happened, and the verdict."""

    scenario: str
    title: str
    backend: str
    seed: int | None
    """The seed of a random scenario; None for others."""
    wall: float
    """When it started, seconds since 1970."""
    duration_s: float
    verdict: Verdict
    guarantees: tuple[Finding, ...]
    """The findings of the checkers, and of the scenario's own expectations."""
    faults: tuple[FaultResult, ...]
    evidence: Evidence
    directory: Path
    """The directory of its artefacts."""

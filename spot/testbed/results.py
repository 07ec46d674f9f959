"""The outcome of a scenario, and where it is kept.

results/<scenario>/<time>/report.html report.json junit.xml plan.yaml a.jsonl a.log …
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spot.testbed.evidence import Evidence, FaultWindow, Finding, Proof, Verdict

__all__ = ["FaultResult", "Result"]


@dataclass(frozen=True)
class FaultResult:
    """What one fault did to the cluster, as the journals show it. Seconds from the run's start."""

    window: FaultWindow
    start_s: float
    end_s: float | None
    proof: tuple[Proof, ...]
    detect_s: float | None
    """From the fault until the last of those who must be told was told. None: nobody was, or had
    to be."""
    recover_s: float | None
    """From the heal until a message had come over every link that it broke. None: none was, or it
    did not come."""
    missed: int | None
    """Messages that subscribers were told to have missed by it. None: nobody can know."""


@dataclass(frozen=True)
class Result:
    """A scenario that was run: what happened, and the verdict."""

    scenario: str
    title: str
    backend: str
    seed: int | None
    """Of a random scenario; None otherwise."""
    wall: float
    """When it started, seconds since 1970."""
    duration_s: float
    verdict: Verdict
    guarantees: tuple[Finding, ...]
    """Those of the checkers, and those of the scenario's own expectations."""
    faults: tuple[FaultResult, ...]
    evidence: Evidence
    directory: Path
    """Where its artefacts are."""

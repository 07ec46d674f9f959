"""``report.json``: the outcome of a run, for programs. Its form is documented in docs/report.md."""

from __future__ import annotations

import json
from pathlib import Path
from types import UnionType
from typing import Any, TypedDict

from spot.testbed.errors import ClusterError
from spot.testbed.results import FaultResult, Result
from spot.testbed.verdict import Finding, Verdict

__all__ = [
    "REPORT_VERSION",
    "BrokenReport",
    "FaultReport",
    "GuaranteeReport",
    "ProofReport",
    "Report",
    "as_report",
    "is_proved",
    "read_report",
]

REPORT_VERSION = 1


class BrokenReport(ClusterError):
    """A file is not a ``report.json``, or has an unknown version."""


class ProofReport(TypedDict):
    """One proof that a fault acted or was healed."""

    wanted: str
    shown: bool
    seen: str


class FaultReport(TypedDict):
    """One fault. Its times are those of ``FaultResult``, in seconds."""

    name: str
    target: str
    start_s: float
    end_s: float | None
    proof: list[ProofReport]
    detect_s: float | None
    recover_s: float | None
    missed: int | None
    error: str | None


class GuaranteeReport(TypedDict):
    """The finding on one guarantee."""

    name: str
    verdict: str
    evidence: list[str]
    """The line with figures, then the first few violations."""


class Report(TypedDict):
    """A whole ``report.json``."""

    version: int
    scenario: str
    title: str
    backend: str
    seed: int | None
    started: float
    """Seconds since 1970."""
    duration_s: float
    verdict: str
    trouble: list[str]
    guarantees: list[GuaranteeReport]
    faults: list[FaultReport]


def as_report(result: Result) -> Report:
    """The document of this result."""
    return Report(
        version=REPORT_VERSION,
        scenario=result.scenario,
        title=result.title,
        backend=result.backend,
        seed=result.seed,
        started=round(result.wall, 3),
        duration_s=round(result.duration_s, 3),
        verdict=result.verdict.value,
        trouble=list(result.evidence.trouble),
        guarantees=[_guarantee(finding) for finding in result.guarantees],
        faults=[_fault(fault) for fault in result.faults],
    )


def is_proved(fault: FaultReport) -> bool:
    """Whether the fault is known to have acted, and to have been healed."""
    return (
        fault["error"] is None
        and bool(fault["proof"])
        and all(proof["shown"] for proof in fault["proof"])
    )


def read_report(path: Path) -> Report:
    """Reads the document in this file. Raises BrokenReport, which says what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BrokenReport(f"{path} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise BrokenReport(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or "version" not in document:
        raise BrokenReport(f"{path} is no report: it has no version")
    if document["version"] != REPORT_VERSION:
        raise BrokenReport(
            f"{path} has version {document['version']!r}, and only {REPORT_VERSION} is known here"
        )
    _hold(path, "", document, _REPORT)
    for place, guarantee in enumerate(document["guarantees"]):
        _hold(path, f"guarantees[{place}].", guarantee, _GUARANTEE)
        _hold_verdict(path, f"guarantees[{place}].verdict", guarantee["verdict"])
    for place, fault in enumerate(document["faults"]):
        _hold(path, f"faults[{place}].", fault, _FAULT)
        for number, proof in enumerate(fault["proof"]):
            _hold(path, f"faults[{place}].proof[{number}].", proof, _PROOF)
    _hold_verdict(path, "verdict", document["verdict"])
    report: Report = document  # type: ignore[assignment]  # its fields were just checked
    return report


_SECONDS = int | float
_OPTIONAL_SECONDS = int | float | None

_REPORT: dict[str, type | UnionType] = {
    "scenario": str,
    "title": str,
    "backend": str,
    "seed": int | None,
    "started": _SECONDS,
    "duration_s": _SECONDS,
    "verdict": str,
    "trouble": list,
    "guarantees": list,
    "faults": list,
}
_GUARANTEE: dict[str, type | UnionType] = {"name": str, "verdict": str, "evidence": list}
_FAULT: dict[str, type | UnionType] = {
    "name": str,
    "target": str,
    "start_s": _SECONDS,
    "end_s": _OPTIONAL_SECONDS,
    "proof": list,
    "detect_s": _OPTIONAL_SECONDS,
    "recover_s": _OPTIONAL_SECONDS,
    "missed": int | None,
    "error": str | None,
}
_PROOF: dict[str, type | UnionType] = {"wanted": str, "shown": bool, "seen": str}


def _hold(path: Path, where: str, value: Any, fields: dict[str, type | UnionType]) -> None:
    """Raises BrokenReport unless the value is an object with these fields of these types."""
    if not isinstance(value, dict):
        raise BrokenReport(f"{path}: {where.rstrip('.')} is not an object")
    for name, kind in fields.items():
        if name not in value:
            raise BrokenReport(f"{path}: {where}{name} is missing")
        if not isinstance(value[name], kind):
            raise BrokenReport(f"{path}: {where}{name} can't be {value[name]!r}")


def _hold_verdict(path: Path, where: str, value: str) -> None:
    if value not in set(Verdict):
        raise BrokenReport(f"{path}: {where} can't be {value!r}: {', '.join(Verdict)}")


def _guarantee(finding: Finding) -> GuaranteeReport:
    return GuaranteeReport(
        name=finding.guarantee,
        verdict=finding.verdict.value,
        evidence=[finding.summary, *finding.details],
    )


def _fault(fault: FaultResult) -> FaultReport:
    return FaultReport(
        name=fault.window.name,
        target=fault.window.target,
        start_s=round(fault.start_s, 6),
        end_s=_rounded(fault.end_s),
        proof=[
            ProofReport(wanted=proof.wanted, shown=proof.shown, seen=proof.seen)
            for proof in fault.proof
        ],
        detect_s=_rounded(fault.detect_s),
        recover_s=_rounded(fault.recover_s),
        missed=fault.missed,
        error=fault.window.error,
    )


def _rounded(seconds: float | None) -> float | None:
    """To the microsecond, which is what journals have."""
    return None if seconds is None else round(seconds, 6)

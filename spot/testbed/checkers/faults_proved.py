"""Whether every fault was proved to act. If not, the run proves nothing."""

from __future__ import annotations

from spot.testbed.checkers.finding import counted
from spot.testbed.evidence import Evidence, FaultWindow
from spot.testbed.verdict import Finding, Verdict

__all__ = ["unproved"]

NAME = "faults-proved"


def unproved(evidence: Evidence) -> Finding:
    """Unknown if a fault could not be applied or healed, or was not proved; else pass."""
    faults = evidence.faults
    lacking = [window for window in faults if not window.is_proved]
    proved = len(faults) - len(lacking)
    summary = f"{proved} of {counted(len(faults), 'fault')} proved to have acted"
    if lacking:
        started = evidence.phases.started
        details = tuple(_why(window, started) for window in lacking)
        return Finding(NAME, Verdict.UNKNOWN, summary, details)
    return Finding(NAME, Verdict.PASS, summary if faults else "no fault was planned")


def _why(window: FaultWindow, started: float) -> str:
    told = f"{window.text} at {window.began - started:.3f} s: "
    if window.error is not None:
        return told + window.error
    unshown = [proof for proof in window.proofs if not proof.shown]
    if unshown:
        return told + f"wanted {unshown[0].wanted}, seen {unshown[0].seen}"
    return told + "nothing was looked at that would show it"

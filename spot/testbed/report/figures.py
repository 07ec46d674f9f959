"""The text of figures and verdicts, for the terminal and for pages."""

from __future__ import annotations

import time

from spot.testbed.report.document import FaultReport, Report, is_proved

__all__ = ["count", "duration", "headline", "moment", "proof_text"]

PROOFS_SHOWN_MAX = 3


def duration(seconds: float | None, none: str = "-") -> str:
    """Seconds as people read them: ``4 ms``, ``0.35 s``, ``12.4 s``."""
    if seconds is None:
        return none
    if seconds < 0.1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def count(number: int | None) -> str:
    """A number of messages; None: unknown."""
    return "unknown" if number is None else f"{number:,}"


def moment(wall: float) -> str:
    """A wall-clock time (seconds since 1970) in the local time zone, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))


def proof_text(fault: FaultReport) -> str:
    """Whether the fault was proved to act, and the proofs."""
    if fault["error"] is not None:
        return f"not applied or not healed: {fault['error']}"
    if not fault["proof"]:
        return "not proved: nothing was looked at"
    if is_proved(fault):
        seen = list(dict.fromkeys(proof["seen"] for proof in fault["proof"]))
        if len(seen) > PROOFS_SHOWN_MAX:
            return f"all {len(fault['proof'])} seen"
        return "; ".join(seen)
    return "not proved: " + "; ".join(
        f"wanted {proof['wanted']}, seen {proof['seen']}"
        for proof in fault["proof"]
        if not proof["shown"]
    )


def headline(report: Report) -> str:
    """The verdict's reason in one sentence."""
    of_verdict = {
        verdict: [one["name"] for one in report["guarantees"] if one["verdict"] == verdict]
        for verdict in ("pass", "fail", "unknown")
    }
    if of_verdict["fail"]:
        return f"Broken: {', '.join(of_verdict['fail'])}."
    if report["verdict"] == "pass":
        return f"All {len(report['guarantees'])} guarantees held."
    unproved = [fault for fault in report["faults"] if not is_proved(fault)]
    if report["trouble"]:
        return f"Nothing can be said: {report['trouble'][0]}"
    if unproved:
        first = f"{unproved[0]['name']} {unproved[0]['target']}".strip()
        more = f" and {len(unproved) - 1} more" if len(unproved) > 1 else ""
        return f"Nothing can be said: it is not proved that the fault '{first}'{more} acted."
    if of_verdict["unknown"]:
        return f"Nothing can be said of {', '.join(of_verdict['unknown'])}."
    if not report["guarantees"]:
        return "Nothing can be said: nothing was checked."
    return "The run did not go as it should."

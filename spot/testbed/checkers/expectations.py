"""Judges what a scenario itself expects of its run."""

from __future__ import annotations

import math
from collections.abc import Iterable

from spot.testbed.checkers.account import Account, account_of
from spot.testbed.checkers.finding import Wrongs, judged, nothing_seen
from spot.testbed.evidence import Evidence, FaultWindow
from spot.testbed.expectation import Expectation
from spot.testbed.journal import Record
from spot.testbed.verdict import Finding

__all__ = ["check_expectations"]


def check_expectations(
    evidence: Evidence, expectations: Iterable[Expectation]
) -> tuple[Finding, ...]:
    """One finding for each expectation, under its name."""
    account = account_of(evidence)
    return tuple(_judge(evidence, account, expectation) for expectation in expectations)


def _judge(evidence: Evidence, account: Account, wanted: Expectation) -> Finding:
    nodes = [wanted.node] if wanted.node is not None else list(evidence.journals)
    if not any(account.spans.get(node) for node in nodes):
        whose = wanted.node or "any node"
        return nothing_seen(wanted.name, f"there is no journal of {whose}")
    spans = _spans(evidence, account, wanted)
    if isinstance(spans, str):
        return nothing_seen(wanted.name, spans)
    fitting = [
        (node, record)
        for node in nodes
        for record in evidence.journals[node].records
        if wanted.fits(record)
    ]
    wrongs = Wrongs()
    unseen = []
    counts = []
    cut_short = _cut_short(evidence)
    for began, ended, when in spans:
        until = min(ended, cut_short)
        found = [(node, record) for node, record in fitting if began <= record.at <= until]
        counts.append(len(found))
        if wanted.must and len(found) < wanted.at_least and ended >= cut_short:
            unseen.append(f"the run was cut short at {account.clock(cut_short)}, before all {when}")
        else:
            _compare(account, wanted, found, when, wrongs)
    limits = _limits(wanted)
    summary = f"{wanted.kind} records: {_list(counts)}, wanted {limits}"
    return judged(wanted.name, wrongs, summary, unseen)


def _cut_short(evidence: Evidence) -> float:
    """The end of the evidence of a run that was cut short; infinity: it ran to its end."""
    phases = evidence.phases
    return math.inf if phases.quiet is not None or phases.stopped is None else phases.stopped


def _spans(
    evidence: Evidence, account: Account, wanted: Expectation
) -> list[tuple[float, float, str]] | str:
    """The span of time and its name, or why there is no such time."""
    phases = evidence.phases
    if wanted.during is None and wanted.after is None:
        end = math.inf if phases.stopped is None else phases.stopped
        if wanted.within is not None:
            end = phases.started + wanted.within
        return [(-math.inf, end, "in the run")]
    reference = wanted.after if wanted.during is None else wanted.during
    windows = _windows(evidence, reference)
    if not windows:
        return f"there was no fault {reference!r}"
    found = []
    for window in windows:
        if not window.is_proved:
            return f"{window.text} is not proved to have acted"
        if wanted.during is not None:
            began, ended, when = window.began, window.healed, f"during {window.text}"
            done = window.acted
        else:
            if window.healed is None:
                return f"{window.text} was not healed"
            began, ended, when = window.healed, phases.stopped, f"after {window.text}"
            done = window.healed
        until = math.inf if ended is None else ended
        if wanted.within is not None:
            # An earlier heal does not shorten it, as the scenario gives the time explicitly.
            # Adds the time that applying the fault took, as an engine may need seconds to kill.
            until = done + wanted.within
        found.append((began, until, f"{when}, from {account.clock(began)}"))
    return found


def _windows(evidence: Evidence, reference: int | str | None) -> list[FaultWindow]:
    if isinstance(reference, int):
        return list(evidence.faults[reference - 1 : reference]) if reference > 0 else []
    return [window for window in evidence.faults if reference in (window.name, window.text)]


def _compare(
    account: Account,
    wanted: Expectation,
    found: list[tuple[str, Record]],
    when: str,
    wrongs: Wrongs,
) -> None:
    most = 0 if not wanted.must else wanted.at_most
    whose = wanted.node or "the nodes"
    if most is not None and len(found) > most:
        node, record = found[most]
        wrongs.add(
            f"{whose} recorded {len(found)} {wanted.kind} {when}: not more than {most} may be, and "
            f"{node} did at {account.clock(record.at)}: {record.fields}"
        )
    elif wanted.must and len(found) < wanted.at_least:
        wrongs.add(
            f"{whose} recorded {len(found)} {wanted.kind} {when}: "
            f"at least {wanted.at_least} must be"
        )


def _limits(wanted: Expectation) -> str:
    if not wanted.must:
        return "none"
    if wanted.at_most is None:
        return f"at least {wanted.at_least}"
    if wanted.at_least == wanted.at_most:
        return str(wanted.at_least)
    return f"{wanted.at_least} to {wanted.at_most}"


def _list(counts: list[int]) -> str:
    return ", ".join(str(count) for count in counts)

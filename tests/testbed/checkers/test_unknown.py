"""Nothing observed is unknown: a checker must not pass what it has not seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import spot
from spot.testbed.checkers import CHECKERS, UnknownGuarantee, check_all, fault_results, unproved
from spot.testbed.evidence import Evidence, Phases, Proof
from spot.testbed.journal import Journal
from spot.testbed.topology import build_topology
from spot.testbed.verdict import Verdict
from tests.testbed.checkers.made import BOUNDS, READY, STARTED, MadeRun, Planned

OF_MESSAGES = ("no-duplicate", "no-invention", "order", "no-silent-gap")
CUT = Planned("cut", ("a", "b"), 4, 3)


def empty(**changes: object) -> Evidence:
    topology = build_topology("mesh", 3)
    journals = dict.fromkeys(topology.names, Journal())
    phases = Phases(STARTED, READY, None, None, READY + 5, READY + 6)
    evidence = Evidence(topology, journals, (), phases, BOUNDS)
    return replace(evidence, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CHECKERS)
def test_empty_journals_are_unknown(name: str) -> None:
    """Every node was down from the start, or none has written a line."""
    assert CHECKERS[name](empty()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", CHECKERS)
def test_empty_journals_with_a_fault_are_unknown(name: str) -> None:
    """Not even a proved fault makes an observation."""
    windows = (CUT.window(build_topology("mesh", 3)),)

    assert CHECKERS[name](empty(faults=windows)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", CHECKERS)
def test_no_journals_at_all_are_unknown(name: str) -> None:
    """The directory of artefacts was lost."""
    assert CHECKERS[name](empty(journals={})).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", [*OF_MESSAGES, "loss-only-in-faults", "accepted-or-raised"])
def test_silent_nodes_are_unknown(name: str) -> None:
    """They ran, were linked, and published nothing."""
    run = MadeRun()
    for incarnation in run.all_incarnations():
        incarnation.records = [
            one
            for one in incarnation.records
            if one.kind not in ("publish", "publish_error", "recv")
        ]

    assert CHECKERS[name](run.evidence()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", OF_MESSAGES)
def test_subscription_that_received_nothing_is_unknown(name: str) -> None:
    """What the other subscriptions got says nothing of this one; that it got nothing is a loss."""
    run = MadeRun()
    for record in list(run.find_all("a", "recv", topic="b:data")):
        run.replace("a", record)
    evidence = run.evidence()

    finding = CHECKERS[name](evidence)
    assert finding.verdict is Verdict.UNKNOWN
    assert "a received nothing" in finding.details[0]
    assert "b:data" in finding.details[0]
    assert CHECKERS["loss-only-in-faults"](evidence).verdict is Verdict.FAIL


@pytest.mark.parametrize("name", OF_MESSAGES)
def test_node_that_was_never_there_is_not_waited_for(name: str) -> None:
    """A node that is late for ever is no reason to know nothing of the others."""
    run = MadeRun([Planned("late", ("c",), -0.5, 100)])

    assert CHECKERS[name](run.evidence()).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "name", ["host-unreachable-told", "detection-time", "reconnect", "backoff", "both-halves-serve"]
)
def test_what_no_fault_could_break_is_left_out_unless_asked_for(name: str) -> None:
    """A run without faults must not pass what only a fault could break, nor be unknown for it."""
    run = MadeRun()
    for node in "bc":  # dials that came before their peer had bound
        for record in list(run.find_all(node, "dial_failed")):
            run.replace(node, record)
    evidence = run.evidence()

    assert name not in {finding.guarantee for finding in check_all(evidence)}
    [asked] = check_all(evidence, [name])
    assert asked.verdict is Verdict.UNKNOWN
    assert not asked.is_exercised
    assert "not exercised" in asked.summary


def test_nobody_told_is_no_detection_in_time() -> None:
    """Whether it was in time can't be said of what did not happen."""
    run = MadeRun([CUT])
    for node in ("a", "b"):
        for record in list(run.find_all(node, "host_unreachable")):
            run.replace(node, record)

    finding = CHECKERS["detection-time"](run.evidence())
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.is_exercised


def test_run_that_ends_before_the_link_can_be_back_is_unknown() -> None:
    """It had still time: neither pass nor fail."""
    run = MadeRun([Planned("cut", ("a", "b"), 4, 3)], length=7.01, quiet=False)
    for node, topic in (("a", "b:data"), ("b", "a:data")):
        for record in list(run.find_all(node, "recv", READY + 7, topic=topic)):
            run.replace(node, record)

    assert CHECKERS["reconnect"](run.evidence()).verdict is Verdict.UNKNOWN


def test_fault_that_is_not_proved_is_unknown() -> None:
    """A cut whose proxy was bypassed: the run may look perfect, and proves nothing."""
    window = MadeRun([CUT]).windows[0]
    unshown = Proof("connections to the edge are refused", False, "one was accepted")
    evidence = MadeRun([CUT]).evidence(faults=(replace(window, proofs=(unshown,)),))

    finding = unproved(evidence)
    assert (finding.guarantee, finding.verdict) == ("faults-proved", Verdict.UNKNOWN)
    assert finding.summary == "0 of 1 fault proved to have acted"
    assert finding.details == (
        "cut a b at 5.000 s: wanted connections to the edge are refused, seen one was accepted",
    )
    assert check_all(evidence)[0] == finding


@pytest.mark.parametrize(
    ("proofs", "error", "words"),
    [
        ((), None, "nothing was looked at"),
        ((Proof("w", True, "s"),), "the proxy did not answer", "the proxy did not answer"),
        ((Proof("w", True, "s"), Proof("x", False, "y")), None, "wanted x, seen y"),
    ],
)
def test_why_a_fault_is_not_proved_is_said(
    proofs: tuple[Proof, ...], error: str | None, words: str
) -> None:
    """Unknown without a reason can't be repaired."""
    window = replace(MadeRun([CUT]).windows[0], proofs=proofs, error=error)

    finding = unproved(MadeRun([CUT]).evidence(faults=(window,)))
    assert finding.verdict is Verdict.UNKNOWN
    assert words in finding.details[0]


def test_proved_faults_pass() -> None:
    """And a run without faults has none to prove."""
    assert unproved(MadeRun([CUT]).evidence()).verdict is Verdict.PASS
    assert unproved(MadeRun().evidence()).verdict is Verdict.PASS
    assert "faults-proved" not in {one.guarantee for one in check_all(MadeRun().evidence())}


def test_unknown_guarantee_is_an_error_that_lists_them() -> None:
    """A scenario that misspells one would check nothing."""
    with pytest.raises(UnknownGuarantee, match="no checker of 'no-duplicates': take no-duplicate,"):
        check_all(empty(), ["no-duplicates"])


def test_guarantees_have_the_names_of_the_documentation() -> None:
    """Reports link to it by these names."""
    guarantees = Path(spot.__file__).parent.parent / "docs" / "guarantees.md"
    headings = [
        line.removeprefix("## ")
        for line in guarantees.read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert [name for name in headings if name in CHECKERS] == list(CHECKERS)


def test_results_of_faults_that_nothing_shows_have_no_figures() -> None:
    """None, and not 0: nobody was told, and nothing came back."""
    windows = (CUT.window(build_topology("mesh", 3)),)
    [result] = fault_results(empty(faults=windows))

    assert (result.detect_s, result.recover_s, result.missed) == (None, None, 0)
    assert (result.start_s, result.end_s) == (5.0, 8.0)

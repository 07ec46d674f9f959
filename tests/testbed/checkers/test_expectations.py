"""What a scenario itself expects: records that must, or must not, stand in a journal at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spot.testbed.checkers import check_all, check_expectations
from spot.testbed.expectation import Expectation
from spot.testbed.journal import Record
from spot.testbed.verdict import Finding, Verdict
from tests.testbed.checkers.made import MadeRun, Planned

CUT = Planned("cut", ("a", "b"), 4, 3)
CRASH = Planned("crash", ("c",), 12, 2)
TOLD = {"kind": "host_unreachable", "node": "a"}


def judged(*faults: Planned, **wanted: Any) -> Finding:
    expectation = Expectation(name="as the scenario says", **wanted)
    [finding] = check_expectations(MadeRun(faults).evidence(), [expectation])
    assert finding.guarantee == "as the scenario says"
    return finding


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        ({**TOLD}, Verdict.PASS),
        ({**TOLD, "fields": {"node": "b"}}, Verdict.PASS),
        ({**TOLD, "fields": {"node": "b", "reason": ["silent", "closed"]}}, Verdict.PASS),
        ({**TOLD, "fields": {"topics": "b:data"}}, Verdict.PASS),
        ({**TOLD, "fields": {"topics": ["b:data", "x"]}}, Verdict.PASS),
        ({**TOLD, "fields": {"reason": "silent"}}, Verdict.FAIL),
        ({**TOLD, "fields": {"colour": "red"}}, Verdict.FAIL),
        ({**TOLD, "during": 1}, Verdict.PASS),
        ({**TOLD, "during": "cut"}, Verdict.PASS),
        ({**TOLD, "during": "cut a b", "within": 0.1}, Verdict.PASS),
        ({**TOLD, "during": "cut a b", "within": 0.001}, Verdict.FAIL),
        ({**TOLD, "during": 2, "fields": {"node": "b"}}, Verdict.FAIL),
        ({**TOLD, "during": 2, "fields": {"node": "c"}}, Verdict.PASS),
        ({**TOLD, "after": 1, "fields": {"node": "c"}}, Verdict.PASS),
        ({**TOLD, "after": 2}, Verdict.FAIL),
        ({**TOLD, "at_least": 2}, Verdict.PASS),
        ({**TOLD, "at_least": 3}, Verdict.FAIL),
        ({**TOLD, "at_most": 2}, Verdict.PASS),
        ({**TOLD, "at_most": 1}, Verdict.FAIL),
        ({"kind": "host_unreachable", "at_least": 4, "at_most": 4}, Verdict.PASS),
        ({**TOLD, "at_least": 0}, Verdict.PASS),
        ({"kind": "link_up", "node": "b", "after": "cut", "within": 5.5}, Verdict.PASS),
        ({**TOLD, "must": False}, Verdict.FAIL),
        ({**TOLD, "must": False, "fields": {"node": "b"}, "after": 1}, Verdict.PASS),
        ({"kind": "publish_error", "must": False}, Verdict.PASS),
        ({**TOLD, "within": 3.0}, Verdict.FAIL),  # of the run: too early for the cut
        ({**TOLD, "within": 8.0}, Verdict.PASS),
    ],
)
def test_expectation(wanted: dict[str, Any], verdict: Verdict) -> None:
    """Each field of an expectation narrows it, and none is ignored."""
    assert judged(CUT, CRASH, **wanted).verdict is verdict


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({**TOLD, "node": "x"}, "there is no journal of x"),
        ({**TOLD, "during": 3}, "there was no fault 3"),
        ({**TOLD, "during": 0}, "there was no fault 0"),
        ({**TOLD, "during": "pause"}, "there was no fault 'pause'"),
    ],
)
def test_what_can_not_have_been_observed_is_unknown(wanted: dict[str, Any], words: str) -> None:
    """Also of what must not be: that it is not there says nothing then."""
    for must in (True, False):
        finding = judged(CUT, CRASH, **{**wanted, "must": must})
        assert finding.verdict is Verdict.UNKNOWN
        assert words in finding.summary


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        ({"kind": "sync", "fields": {"ok": "never"}}, Verdict.UNKNOWN),
        ({**TOLD, "after": 1}, Verdict.UNKNOWN),
        ({**TOLD, "during": 1, "at_least": 2}, Verdict.FAIL),
        ({**TOLD, "during": 1, "must": False}, Verdict.FAIL),
        ({**TOLD, "during": 1}, Verdict.PASS),
    ],
)
def test_what_a_run_cut_short_may_still_have_shown_is_unknown(
    wanted: dict[str, Any], verdict: Verdict
) -> None:
    """What it has shown, or had its whole time to show, is judged."""
    expectation = Expectation("as the scenario says", **wanted)
    [finding] = check_expectations(MadeRun([CUT], quiet=False).evidence(), [expectation])
    assert finding.verdict is verdict, finding


def test_name_that_fits_several_faults_means_each() -> None:
    """A hundred cuts, and a node that is told of ninety-nine."""
    run = MadeRun([CUT, Planned("cut", ("a", "b"), 12, 2)])
    expectation = Expectation("told of each", during="cut", **TOLD)  # type: ignore[arg-type]
    [finding] = check_expectations(run.evidence(), [expectation])
    assert finding.verdict is Verdict.PASS

    run.replace("a", run.find("a", "host_unreachable", CUT.healed + 2))
    [finding] = check_expectations(run.evidence(), [expectation])
    assert finding.verdict is Verdict.FAIL
    assert "cut a b" in finding.details[0]
    assert "13.000 s" in finding.details[0]


def test_expectations_stand_beside_the_guarantees() -> None:
    """They count for the verdict of the run as those do."""
    expectation = Expectation("no error", kind="publish_error", must=False)
    found = check_all(MadeRun([CUT]).evidence(), ["order"], [expectation])

    assert [finding.guarantee for finding in found] == ["faults-proved", "order", "no error"]


def test_detail_shows_the_record_that_should_not_be() -> None:
    """And who wrote it when."""
    finding = judged(CUT, kind="host_unreachable", must=False)

    assert "a did at 5.0" in finding.details[0] or "b did at 5.0" in finding.details[0]
    assert "'reason': 'closed'" in finding.details[0]


def test_fields_of_a_record_are_compared_by_value() -> None:
    """Numbers, text and null."""
    record = Record("recv", 1.0, {"missed": None, "seq": 3})

    assert Expectation("x", "recv", fields={"missed": None}).fits(record)
    assert Expectation("x", "recv", fields={"seq": [1, 3]}).fits(record)
    assert not Expectation("x", "recv", fields={"seq": "3"}).fits(record)
    assert not Expectation("x", "publish").fits(record)


def test_time_that_it_took_to_apply_a_fault_is_allowed_for() -> None:
    """A container engine may need a second to kill, and tells nobody when it did."""
    expectation = Expectation(
        name="told", kind="host_unreachable", node="a", during="cut", within=0.001
    )
    evidence = MadeRun((CUT,)).evidence()
    slow = tuple(replace(window, acted=window.began + 1) for window in evidence.faults)
    for faults, verdict in ((evidence.faults, Verdict.FAIL), (slow, Verdict.PASS)):
        (finding,) = check_expectations(replace(evidence, faults=faults), [expectation])
        assert finding.verdict is verdict

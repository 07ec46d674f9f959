from pathlib import Path
from xml.etree import ElementTree as ET

from spot.testbed.report import as_report
from spot.testbed.report.junit import as_junit
from spot.testbed.results import Result
from spot.testbed.verdict import Verdict
from tests.testbed.report import runs


def _suites(result: Result) -> tuple[ET.Element, ET.Element]:
    guarantees, run = ET.fromstring(as_junit(as_report(result)))
    return guarantees, run


def test_passing_run_has_a_case_for_each_guarantee_and_fault(tmp_path: Path) -> None:
    """A CI server lists what was held to, also when all of it held."""
    guarantees, run = _suites(runs.passing(tmp_path))
    assert [case.get("name") for case in guarantees.findall("testcase")] == [
        one.guarantee for one in runs.HELD
    ]
    assert [case.get("name") for case in run.findall("testcase")] == [
        "fault cut a b at 5.000 s acted",
        "the testbed",
    ]
    for suite in (guarantees, run):
        assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
        assert suite.get("tests") == str(len(suite.findall("testcase")))


def test_fail_is_a_failure_and_unknown_an_error(tmp_path: Path) -> None:
    """The two must not look alike: one is SPOT's, the other the testbed's."""
    guarantees, _ = _suites(runs.failing(tmp_path))
    assert (guarantees.get("failures"), guarantees.get("errors")) == ("1", "1")
    failure = guarantees.find("testcase[@name='reconnect']/failure")
    assert failure is not None
    assert failure.get("message") == "1 of 1 broken links did not come back"
    assert "a: no message of b after 9.000 s" in (failure.text or "")
    assert guarantees.find("testcase[@name='backoff']/error") is not None


def test_run_that_is_unknown_is_never_green(tmp_path: Path) -> None:
    """All guarantees held, but the fault was not proved, or nothing ran at all."""
    _, run = _suites(runs.unproved(tmp_path))
    assert run.get("errors") == "1"
    _, run = _suites(runs.empty(tmp_path))
    error = run.find("testcase[@name='the testbed']/error")
    assert error is not None
    assert error.get("message") == "the proxy ended with exit code 2"


def test_verdict_that_nothing_else_explains_is_an_error(tmp_path: Path) -> None:
    """Whatever the runner knew when it gave the verdict: CI must not be green."""
    result = runs.passing(tmp_path)
    object.__setattr__(result, "verdict", Verdict.UNKNOWN)
    _, run = _suites(result)
    assert run.get("errors") == "1"


def test_names_that_xml_cannot_hold_are_replaced(tmp_path: Path) -> None:
    """One control character would make a CI server refuse the file."""
    guarantees, _ = _suites(runs.hostile(tmp_path))
    case = guarantees.find("testcase")
    assert case is not None
    assert case.get("name") == runs.HOSTILE
    failure = case.find("failure")
    assert failure is not None
    assert "\N{REPLACEMENT CHARACTER}" in (failure.text or "")

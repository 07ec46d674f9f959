import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

from spot.testbed.run import Run

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.timeout(120)  # each runs a whole pytest, with clusters

ROOT = Path(__file__).parents[2]
RAW = [sys.executable, str(ROOT / "examples" / "raw_pyzmq_node" / "node.py")]
INSTALLED = importlib.metadata.entry_points(group="pytest11", name="spot")

CUT = """
    with spot_fault("cut a b"):
        spot_cluster.wait_until(lambda status: not status.is_ready, timeout=20)
    spot_cluster.wait_ready(timeout=20)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of somebody's own, in a folder of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BACKEND", "process")
    return pytester


def _run(suite: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    suite.makepyfile(test_links="import os, signal, sys, time, pytest\n" + text)
    # A clone that is not installed has no entry points.
    plugin = () if INSTALLED else ("-p", "pytest_spot")
    # Hypothesis, which no suite here needs, would be a second of each start.
    start = (*plugin, "-p", "no:hypothesispytest", "--timeout=100")
    return suite.runpytest_subprocess(*start, *options, timeout=110)


def _timelines(result: pytest.RunResult) -> set[Path]:
    said = re.findall(r"timeline: (/\S+)", result.stdout.str())
    return {Path(path) for path in said}


def test_suite_of_ten_lines_passes_and_leaves_a_report(suite: pytest.Pytester, state: Path) -> None:
    """What the documentation begins with."""
    result = _run(
        suite,
        f"""
@pytest.mark.spot(
    topology="two-node", rate=100, settings={{"peer_timeout": 0.9, "members": ["a", "b"]}}
)
def test_cut(spot_cluster, spot_fault, spot_check):
{CUT}
    result = spot_check("no-duplicate", "no-silent-gap", "host-unreachable-told")
    assert 0 <= result.faults[0].detect_s < 5
    assert result.faults[0].window.is_proved
    assert result.evidence.bounds.peer_timeout == 0.9
    for journal in result.evidence.journals.values():
        assert journal.incarnations[0].start.fields["config"]["members"] == ["a", "b"]
    assert spot_check("order").verdict == "pass"
""",
        "--spot-results=out",
    )
    result.assert_outcomes(passed=1)
    (report,) = (suite.path / "out").glob("test_links-test_cut/2*/report.html")
    assert report.with_name("report.json").is_file()
    assert report.with_name("a.jsonl").is_file()
    assert Run.all(state) == []


def test_broken_guarantee_fails_with_its_name_and_the_timeline(
    suite: pytest.Pytester, state: Path
) -> None:
    """The message must do for somebody who reads nothing but the log of a CI."""
    result = _run(
        suite,
        f"""
@pytest.mark.spot("two-node", program={RAW!r})
def test_cut(spot_cluster, spot_fault, spot_check):
{CUT}
    spot_check("no-duplicate", "no-silent-gap")
""",
    )
    result.assert_outcomes(failed=1)
    assert re.search(
        r"^SPOT: the verdict is fail\n"
        r"  no-silent-gap: fail: .*\n"
        r"(?:    [ab] was told with message .*\n)+"
        r"  timeline: /.*report\.html$",
        result.stdout.str(),
        re.MULTILINE,
    )
    assert "no-duplicate" not in result.stdout.str(), "what holds needs no line"
    assert "Traceback" not in result.stdout.str()
    (timeline,) = _timelines(result)
    assert timeline.is_file()
    assert timeline.is_relative_to(suite.path / "results")
    assert Run.all(state) == []


def test_run_that_proves_nothing_is_not_passed(suite: pytest.Pytester) -> None:
    """A fault that went past the link, or a node that died, makes every good figure worthless."""
    result = _run(
        suite,
        """
@pytest.mark.spot("two-node")
def test_bypass(spot_cluster, spot_fault, spot_check):
    around = spot_cluster.addresses["a"]
    assert spot_cluster.tell("b", "add", peer="a", endpoint=around)["ok"]
    with spot_fault("cut a b"):
        pass
    spot_check("no-duplicate")

@pytest.mark.spot("two-node")
def test_dead(spot_cluster, spot_check):
    spot_cluster.kill("b")
    spot_check("no-duplicate")
""",
        "-n2",
    )
    result.assert_outcomes(failed=2)
    said = result.stdout.str()
    assert said.count("\nSPOT: the verdict is unknown") == 2
    assert re.search(r"  faults-proved: unknown: 0 of 1 fault.*\n    cut a b .* a way around", said)
    assert "  trouble: node b has ended, and no fault did it" in said


def test_assert_of_the_users_own_shows_the_timeline_too(
    suite: pytest.Pytester, state: Path
) -> None:
    """Whatever fails, what the cluster did is the first thing that one wants to see."""
    result = _run(
        suite,
        """
@pytest.mark.spot("two-node")
def test_mine(spot_cluster, spot_fault):
    spot_fault("cut a b")
    assert len(spot_cluster.addresses) == 3, "a third node"
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: a third node", "*- SPOT -*", "timeline: */*"])
    (timeline,) = _timelines(result)
    report = timeline.with_name("report.json").read_text(encoding="utf-8")
    assert "the test itself" in report
    assert "a third node" in report
    assert Run.all(state) == [], "the cluster was ended, though a fault was left"


def test_suite_runs_on_several_workers(suite: pytest.Pytester, state: Path) -> None:
    """Ports, names of runs and directories of results must not be taken twice."""
    result = _run(
        suite,
        """
@pytest.mark.spot("two-node")
@pytest.mark.parametrize("number", range(4))
def test_worker(spot_cluster, spot_check, number):
    spot_cluster.wait_until(
        lambda status: (status.nodes["a"].document or dict(metrics=dict(recv_msgs=0)))
        ["metrics"]["recv_msgs"] > 20, timeout=30
    )
    spot_check("no-duplicate", "order")
""",
        "-n2",
    )
    result.assert_outcomes(passed=4)
    assert len(list((suite.path / "results").glob("*/2*/report.html"))) == 4
    assert Run.all(state) == []


def test_worker_that_dies_leaves_nothing_behind(suite: pytest.Pytester, state: Path) -> None:
    """A crash of one test must not fill the machine that runs the suite every night."""
    result = _run(
        suite,
        """
@pytest.mark.spot("two-node")
def test_crash(spot_cluster):
    os.kill(os.getpid(), signal.SIGKILL)
""",
        "-n1",
        "--max-worker-restart=0",
    )
    result.assert_outcomes(failed=1)
    assert Run.all(state) == []


def test_what_was_asked_for_wrongly_is_told_in_a_line(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback of ours: the mistake is in the suite, and the line says which."""
    wrong = {
        "typo=3": "has no argument 'typo': it takes topology, nodes,",
        "'mesh', 3": "has one argument without a name",
        "topology='ring'": "there is no topology 'ring': take two-node,",
        "nodes=1000": "mesh can have 2 to 200 nodes, not 1000",
        "settings={'peer_time': 1}": "there is no setting 'peer_time'",
        "settings={'heartbeat': 'often'}": (
            "settings={'heartbeat': 'often'}: heartbeat must be a number of seconds, not 'often'"
        ),
        "settings={'members': ['a', 'b,c']}": "'b,c' contains white space or a comma",
        "settings={'topics': ['t']}": "SPOT_TOPICS is not for settings",
        "program=['no-such-program']": "there is no program no-such-program",
        "backend='cloud'": "there is no backend 'cloud': take process, docker",
        "'two-node', program=[sys.executable, '-c', '1/0']": "ZeroDivisionError",
    }
    tests = [
        f"@pytest.mark.spot({marker})\ndef test_{number}(spot_cluster): pass\n"
        for number, marker in enumerate(wrong)
    ]
    result = _run(suite, "\n".join(tests))
    result.assert_outcomes(errors=len(wrong))
    said = result.stdout.str()
    assert [text for text in wrong.values() if text not in said] == []
    assert "During handling" not in said
    assert "pytest_plugin.py" not in said
    monkeypatch.setenv("BACKEND", "clouds")
    result = _run(suite, "def test_it(spot_cluster): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no backend 'clouds'*"])


def test_guarantee_that_nothing_put_to_the_test_is_not_passed(suite: pytest.Pytester) -> None:
    """Asked for by name, it must not be called kept when nothing happened that could break it."""
    result = _run(
        suite,
        """
@pytest.mark.spot("two-node")
def test_unknown(spot_cluster, spot_check):
    with pytest.raises(LookupError, match="no checker of 'no-loss'"):
        spot_check("no-loss")
    spot_check("detection-time")
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"SPOT: the verdict is unknown", r"  detection-time: unknown.*"])


def test_plugin_costs_nothing_where_it_is_not_used(suite: pytest.Pytester) -> None:
    """It is loaded in every project where SPOT is installed, and must not slow one of them."""
    result = _run(
        suite,
        """
def test_nothing(request):
    plugins = request.config.pluginmanager
    assert plugins.hasplugin("pytest_spot") or plugins.hasplugin("spot")
    assert [name for name in sys.modules if name == "spot" or name.startswith("spot.")] == []
""",
        "--strict-markers",
    )
    result.assert_outcomes(passed=1)

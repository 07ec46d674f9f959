import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spot.testbed import Run
from spot.testbed.cleanup import sweep
from spot.testbed.evidence import Proof
from spot.testbed.faults import Cut
from spot.testbed.faults.on_edges import CutEdges
from spot.testbed.process_id import marked_processes
from spot.testbed.results import Result
from spot.testbed.scenario import Scenario
from spot.testbed.scenario_file import parse_scenario
from spot.testbed.scenario_run import run_scenario
from spot.testbed.verdict import Verdict

ROOT = Path(__file__).parents[3]

CUT = """\
title: Two nodes are cut apart for a moment
topology: two-node
traffic: {rate: 50}
settings: {reconnect_max: 0.5, stable_after: 0.3}
timeline:
  - {at: 0.5, fault: cut a b, for: FOR}
must:
  - {name: a is told, node: a, kind: host_unreachable, fields: {node: b}, during: cut, within: 1.5}
"""


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that is always there."""
    monkeypatch.delenv("TOXIPROXY_URL", raising=False)
    monkeypatch.setattr("spot.testbed.proxy.server.find_toxiproxy", lambda: None)


def cut(seconds: float = 1.5) -> Scenario:
    return parse_scenario(CUT.replace("FOR", str(seconds)), "cut.yaml")


def finding(result: Result, name: str) -> Verdict:
    return next(one.verdict for one in result.guarantees if one.guarantee == name)


class InTheMiddle:
    """Does something, once, when the run says that the cut acts or shall be healed."""

    def __init__(self, state: Path, act: object, when: str = "cut a b") -> None:
        self.state = state
        self.act = act
        self.when = when
        self.done = False

    def __call__(self, text: str) -> None:
        if self.when in text and not self.done:
            self.done = True
            assert callable(self.act)
            self.act(Run.all(self.state)[0])


def left(state: Path, run_ids: list[str]) -> list[object]:
    """What is still there of these runs."""
    records: list[object] = [*Run.all(state)]
    return records + [one for run_id in run_ids for one in marked_processes(RUN, run_id)]


RUN = "SPOT_TESTBED_RUN"


def test_cut_of_two_nodes_is_proved_told_and_healed(state: Path, tmp_path: Path) -> None:
    """The whole of it, once, as everything below breaks a part of it."""
    seen: list[str] = []
    result = run_scenario(cut(), results=tmp_path / "results", progress=seen.append)
    assert result.verdict is Verdict.PASS, result.guarantees
    assert finding(result, "a is told") is Verdict.PASS
    (fault,) = result.faults
    assert fault.window.is_proved
    assert fault.detect_s is not None
    assert fault.recover_s is not None
    phases = result.evidence.phases
    order = [phases.ready, phases.healed, phases.recovered, phases.quiet, phases.stopped]
    assert None not in order
    assert order == sorted(order, key=lambda at: at or 0)
    names = {path.name for path in result.directory.iterdir()}
    assert names >= {"plan.yaml", "report.json", "report.html", "junit.xml", "a.jsonl", "b.log"}
    assert (result.directory.parent / "latest").resolve() == result.directory
    assert any("cut a b" in text for text in seen)
    assert left(state, []) == []


def test_command_that_ends_otherwise_than_meant_is_a_fail(tmp_path: Path) -> None:
    """A scenario whose application was refused did not show what it says."""
    text = CUT.replace("FOR", "0.3") + (
        "  - {name: c, node: a, kind: command, fields: {do: create, ok: false}}\n"
    )
    steps = (
        "  - {at: 0.1, node: a, do: create, topic: 'a:data'}\n"
        "  - {at: 0.2, node: a, do: create, topic: new, error: EEXIST}\n"
        "  - {at: 1.2, node: b, do: destroy, topic: nowhere, error: ENOENT}\n"
    )
    text = text.replace("timeline:\n", "timeline:\n" + steps)
    result = run_scenario(parse_scenario(text, "x.yaml"), results=tmp_path)
    assert finding(result, "timeline") is Verdict.FAIL
    assert result.verdict is Verdict.FAIL
    (timeline,) = [one for one in result.guarantees if one.guarantee == "timeline"]
    assert len(timeline.details) == 2
    assert "EEXIST" in timeline.details[0] or "create" in timeline.details[0]


def test_proxy_that_dies_in_mid_run_makes_it_unknown(state: Path, tmp_path: Path) -> None:
    """Every link goes down then, and SPOT has nothing to do with it."""
    runs: list[str] = []

    def kill_proxy(run: Run) -> None:
        runs.append(run.run_id)
        assert run.proxy is not None
        os.kill(run.proxy["process"]["pid"], signal.SIGKILL)

    progress = InTheMiddle(state, kill_proxy, when="healing cut")
    result = run_scenario(cut(), results=tmp_path, progress=progress)
    assert progress.done
    assert result.verdict is Verdict.UNKNOWN, result.guarantees
    assert result.evidence.trouble
    assert (result.directory / "report.json").is_file()
    assert left(state, runs) == []


def test_what_a_dying_proxy_does_is_not_blamed_on_spot(state: Path, tmp_path: Path) -> None:
    """Links that nothing was done to go down, which is a false alarm in any other run."""
    text = CUT.replace("0.5, fault", "5, fault").replace("FOR", "0.5") + (
        "must_not:\n  - {name: nothing is lost, kind: host_unreachable}\n"
    )
    steps = "timeline:\n  - {at: 0.7, node: a, do: create, topic: 'a:more'}\n"
    scenario = parse_scenario(text.replace("timeline:\n", steps), "x.yaml")

    def kill_proxy_and_be_told(run: Run) -> None:
        assert run.proxy is not None
        os.kill(run.proxy["process"]["pid"], signal.SIGKILL)
        (journal,) = tmp_path.glob("x/2*/a.jsonl")
        deadline = time.monotonic() + 20
        while "host_unreachable" not in journal.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    progress = InTheMiddle(state, kill_proxy_and_be_told, when="a: create")
    result = run_scenario(scenario, results=tmp_path, progress=progress)
    assert progress.done
    assert result.verdict is Verdict.UNKNOWN, result.guarantees
    assert finding(result, "no-false-alarm") is not Verdict.FAIL


def test_what_an_interrupted_run_had_no_time_for_is_unknown(state: Path, tmp_path: Path) -> None:
    """After Ctrl-C in mid-fault all is healed at once: that nothing came after it is no fail."""
    text = CUT.replace("FOR", "20") + "  - {name: back, node: a, kind: recv, after: cut}\n"
    cancelled = threading.Event()
    progress = InTheMiddle(state, lambda run: cancelled.set())
    result = run_scenario(
        parse_scenario(text, "x.yaml"), results=tmp_path, progress=progress, cancelled=cancelled
    )
    assert finding(result, "back") is Verdict.UNKNOWN
    assert result.verdict is Verdict.UNKNOWN, result.guarantees


def test_node_that_dies_unasked_makes_it_unknown(state: Path, tmp_path: Path) -> None:
    """Nobody planned it, so nobody can say what it should have done to the others."""
    runs: list[str] = []

    def kill_node(run: Run) -> None:
        runs.append(run.run_id)
        os.kill(run.nodes["b"]["pid"], signal.SIGKILL)

    result = run_scenario(
        cut(), results=tmp_path, progress=InTheMiddle(state, kill_node, when="healing cut")
    )
    assert result.verdict is Verdict.UNKNOWN, result.guarantees
    assert any("node b ended" in line for line in result.evidence.trouble)
    assert left(state, runs) == []


def test_fault_that_is_not_proved_makes_it_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut that is only believed in proves every system right."""
    lame = Proof("connections to the edge are refused", False, "accepted")
    monkeypatch.setattr(CutEdges, "prove", lambda self: (lame,))
    result = run_scenario(cut(), results=tmp_path)
    assert finding(result, "faults-proved") is Verdict.UNKNOWN
    assert result.verdict is Verdict.UNKNOWN


def test_fault_that_cannot_be_applied_makes_it_unknown(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy said no, so nothing was broken."""

    def refuse(self: CutEdges) -> None:
        raise OSError("no")

    monkeypatch.setattr(CutEdges, "apply", refuse)
    result = run_scenario(cut(), results=tmp_path)
    assert result.verdict is Verdict.UNKNOWN
    assert [fault.window.name for fault in result.faults] == [Cut.name]
    assert left(state, []) == []


def test_cancelled_run_is_healed_and_judged_unknown(state: Path, tmp_path: Path) -> None:
    """Ctrl-C in one of several that run at once reaches it so."""
    cancelled = threading.Event()
    progress = InTheMiddle(state, lambda run: cancelled.set())
    began = time.monotonic()
    result = run_scenario(cut(60), results=tmp_path, progress=progress, cancelled=cancelled)
    assert time.monotonic() - began < 45
    assert result.verdict is Verdict.UNKNOWN
    assert "interrupted" in result.evidence.trouble[0]
    (fault,) = result.faults
    assert fault.window.healed is not None
    assert left(state, []) == []


@pytest.fixture
def long_run(state: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """``spot scenario run`` in a process of its own, in the middle of a fault."""
    file = tmp_path / "long.yaml"
    file.write_text(CUT.replace("FOR", "60"))
    command = [sys.executable, "-m", "spot", "scenario", "run", str(file)]
    runner = subprocess.Popen(
        [*command, "--backend", "process", "--results", str(tmp_path / "results")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SPOT_STATE_DIR": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait_until_it_is_cut(tmp_path / "results" / "long" / "latest" / "a.jsonl")
        yield runner, tmp_path / "results" / "long" / "latest"
    finally:
        runner.kill()
        runner.wait()
        assert runner.stdout is not None
        runner.stdout.close()
        sweep(state)


def _wait_until_it_is_cut(journal: Path) -> None:
    deadline = time.monotonic() + 30
    while not (journal.is_file() and '"host_unreachable"' in journal.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_command_leaves_nothing_and_says_unknown(
    long_run: tuple[subprocess.Popen[str], Path], state: Path, number: signal.Signals
) -> None:
    """Whoever loses patience must not have to clean up, nor lose what was seen so far."""
    runner, results = long_run
    (run,) = Run.all(state)
    runner.send_signal(number)
    output, _ = runner.communicate(timeout=30)
    assert runner.returncode == Verdict.UNKNOWN.exit_code, output
    assert "interrupted" in output
    assert left(state, [run.run_id]) == []
    assert (results / "report.json").is_file()
    assert (results / "a.jsonl").is_file()


def test_killed_runner_is_swept_by_spot_down_and_nothing_else_is_touched(
    long_run: tuple[subprocess.Popen[str], Path], state: Path
) -> None:
    """kill -9 in the middle of a fault: nobody is left to heal it."""
    runner, _ = long_run
    (run,) = Run.all(state)
    # Not the testbed's, though it looks like one of its nodes.
    foreign = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", "spot.program"]
    )
    try:
        runner.kill()
        runner.wait()
        assert marked_processes(RUN, run.run_id)
        subprocess.run(
            [sys.executable, "-m", "spot", "down"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "SPOT_STATE_DIR": str(state)},
            check=True,
            capture_output=True,
            timeout=50,
        )
        assert left(state, [run.run_id]) == []
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()

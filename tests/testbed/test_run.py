import errno
import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from spot.testbed import NoStateDirectory, build_topology
from spot.testbed.cleanup import sweep
from spot.testbed.process_id import ProcessId
from spot.testbed.report.script import drawing_script, packed
from spot.testbed.run import Run, state_directory, state_lock


def _run(state: Path, runner: ProcessId | None = None) -> Run:
    run = Run.create(state, build_topology("mesh"), "process", settings={"A": "1"}, journal=True)
    if runner:
        run.runner = runner
        run.save()
    return run


def _ended_process() -> ProcessId:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = ProcessId.of(process.pid)
        process.kill()
    assert found is not None
    return found


def test_run_is_found_again_as_it_was_recorded(tmp_path: Path) -> None:
    """The command that ends a cluster is not the process that started it."""
    run = _run(tmp_path)
    run.nodes = {"a": {"address": "tcp://127.0.0.1:1", "pid": 1, "start": "x"}}
    run.save()
    assert Run.all(tmp_path) == [run]


@pytest.mark.parametrize("depth", [1, 100])
def test_control_sockets_have_paths_that_can_be_bound(tmp_path: Path, depth: int) -> None:
    """An address holds 107 bytes, and a program of somebody's own binds what it is told."""
    state = tmp_path / ("x" * depth)
    state.mkdir()
    run = _run(state)
    path = run.control_socket("a")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    assert Run.load(run.directory).control_socket("a") == path
    run.remove()
    assert not path.parent.exists()
    assert not run.directory.exists()


def test_run_whose_record_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    """Another version's runs are not ours to judge, and must not stop us from working."""
    (tmp_path / "runs" / "odd").mkdir(parents=True)
    (tmp_path / "runs" / "odd" / "record.json").write_text("{", encoding="ascii")
    later = _run(tmp_path)
    path = later.directory / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}), encoding="ascii")
    assert Run.all(tmp_path) == []
    assert sweep(tmp_path) == []
    assert path.exists()


def test_run_belongs_to_its_runner_until_it_is_detached(tmp_path: Path) -> None:
    """What is swept hangs on this alone."""
    assert not _run(tmp_path).is_abandoned
    run = _run(tmp_path, _ended_process())
    assert run.is_abandoned
    run.detached = True
    assert not run.is_abandoned
    reused = _run(tmp_path, ProcessId(os.getpid(), "an earlier boot-1"))
    assert reused.is_abandoned


def test_sweep_takes_dead_runs_only(tmp_path: Path) -> None:
    """A test suite that starts must not end the cluster that somebody else is looking at."""
    alive = _run(tmp_path)
    dead = _run(tmp_path, _ended_process())
    detached = _run(tmp_path, _ended_process())
    detached.detached = True
    detached.save()
    assert [run.run_id for run in sweep(tmp_path)] == [dead.run_id]
    assert {run.run_id for run in Run.all(tmp_path)} == {alive.run_id, detached.run_id}
    assert not dead.directory.exists()


def test_sweep_ends_processes_that_were_never_recorded(tmp_path: Path) -> None:
    """kill -9 of the runner between starting a node and writing it down."""
    run = _run(tmp_path, _ended_process())
    script = [sys.executable, "-c", "import time; time.sleep(600)"]
    environment = {**os.environ, "SPOT_TESTBED_RUN": run.run_id}
    with subprocess.Popen(script, env=environment) as orphan, subprocess.Popen(script) as stranger:
        try:
            sweep(tmp_path)
            orphan.wait(timeout=20)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            orphan.kill()


def test_state_directory_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test suites keep out of the user's own clusters by SPOT_STATE_DIR."""
    monkeypatch.setenv("SPOT_STATE_DIR", str(tmp_path / "own"))
    assert state_directory() == tmp_path / "own"
    monkeypatch.delenv("SPOT_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_directory() == tmp_path / "xdg" / "spot"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_directory() == tmp_path / ".local" / "state" / "spot"
    assert state_directory().stat().st_mode & 0o777 == 0o700


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPOT_STATE_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def homeless(no_variables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user that is only a number."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def _refusal() -> str:
    with pytest.raises(NoStateDirectory) as error:
        state_directory()
    assert "SPOT_STATE_DIR names another directory" in str(error.value)
    return str(error.value)


def test_user_without_a_home_is_told_where_to_keep_runs(homeless: None, tmp_path: Path) -> None:
    """It was a traceback of pathlib, in every command."""
    said = _refusal()
    assert "~/.local/state/spot" in said
    assert f"no user {os.getuid()}" in said


@pytest.mark.parametrize("variable", ["SPOT_STATE_DIR", "XDG_STATE_HOME", "HOME"])
@pytest.mark.parametrize(
    ("place", "why"),
    [("/dev/null", ""), ("{tmp}/file", ""), ("/proc/nothing", ""), ("{tmp}/" + "x" * 300, "name")],
)
def test_place_where_nobody_can_keep_runs_is_named(
    variable: str,
    place: str,
    why: str,
    no_variables: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """'[Errno 20] Not a directory' alone does not say what is to be done."""
    (tmp_path / "file").write_text("")
    chosen = place.format(tmp=tmp_path)
    monkeypatch.setenv(variable, chosen)
    said = _refusal()
    assert f"runs can't be kept in {chosen}" in said
    assert why in said


def test_read_only_home_is_named(
    no_variables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such is a home in many containers and build machines."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        assert f"{tmp_path}/.local/state/spot: Read-only file system" in _refusal()
    # The directory was made before the file system became one.
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert f"{tmp_path}/.local/state/spot: Read-only file system" in _refusal()


def test_report_needs_no_home(homeless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept in the user's cache is made anew where there is none."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "the script")
    assert drawing_script.__wrapped__() == packed("the script")


def test_state_lock_keeps_two_commands_apart(tmp_path: Path) -> None:
    """Two `spot up mesh` at once must not become two meshes."""
    script = (
        "import sys, pathlib; from spot.testbed.run import state_lock\n"
        f"with state_lock(pathlib.Path({str(tmp_path)!r}), 'up-mesh'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        order = []
        closing = other.stdin.close

        def waited() -> None:
            order.append("waited")
            closing()

        with state_lock(tmp_path, "up-mesh", waited):
            order.append("held")
        assert order == ["waited", "held"]

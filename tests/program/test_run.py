import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spot.program.control import ask
from spot.program.health import ask_status

ROOT = Path(__file__).parents[2]


def _environment(**settings: str) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("SPOT_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **settings}


@contextmanager
def _node(*flags: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "spot", "node", *flags],
        env=_environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _spot(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spot", *arguments],
        env=_environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _wait(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _records_of(path: Path, kind: str) -> list[dict[str, Any]]:
    # The file comes with the node, and a killed one may leave half a line.
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [r for r in map(json.loads, whole.splitlines()) if r["kind"] == kind]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_node_leaves_cleanly_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    """`docker stop` and Ctrl-C must end it at once, with exit code 0 and a complete journal."""
    journal = tmp_path / "a.jsonl"
    control = tmp_path / "a.sock"
    with _node(
        SPOT_NODE_ID="a",
        SPOT_TOPICS="a:data",
        SPOT_SUBSCRIBE="a:data",
        SPOT_RATE="200",
        SPOT_JOURNAL=str(journal),
        SPOT_CONTROL=str(control),
    ) as node:
        _wait(lambda: (ask_status(control) or {}).get("synced"), "the node is up")
        asked = time.monotonic()
        node.send_signal(number)
        _, log = node.communicate(timeout=30)
        assert time.monotonic() - asked < 8, "as whom Docker kills"
        assert node.returncode == 0
    assert "Traceback" not in log
    assert not control.exists()
    records = _records(journal)
    assert records[0]["kind"] == "start"
    assert records[-1]["kind"] == "closed"
    stop = next(record for record in records if record["kind"] == "stop")
    assert stop["reason"] == number.name
    published = [record["counter"] for record in records if record["kind"] == "publish"]
    received = [record["counter"] for record in records if record["kind"] == "recv"]
    assert stop["metrics"]["publishes"] <= len(published)
    assert received == published[: len(received)]


def test_node_prints_its_journal_when_nobody_says_where_to(tmp_path: Path) -> None:
    """A person who tries `spot node` must see something happen."""
    with _node("--topics", "t", "--rate", "100", "--node-id", "a") as node:
        assert node.stdout is not None
        kinds = [json.loads(node.stdout.readline())["kind"] for _ in range(4)]
    assert kinds[0] == "start"
    assert "publish" in kinds


def test_nodes_may_be_started_in_any_order(free_ports: int, tmp_path: Path) -> None:
    """Container starts race; a node whose peer isn't there yet waits for it, and says so."""
    control = tmp_path / "b.sock"
    journal = tmp_path / "b.jsonl"
    with _node(
        "--node-id", "b", "--cluster", f"tcp://127.0.0.1:{free_ports}", "--subscribe", "a:data",
        "--control", str(control), "--journal", str(journal),
    ) as early:  # fmt: skip
        _wait(lambda: ask_status(control), "b answers")
        waiting = _spot("node", "--check", "--control", str(control))
        assert waiting.returncode == 1, waiting
        assert "not yet synchronised" in waiting.stdout
        with _node(
            "--node-id", "a", "--bind", f"tcp://127.0.0.1:{free_ports}",
            "--topics", "a:data", "--rate", "50", "--journal", "none",
        ):  # fmt: skip
            _wait(lambda: '"kind":"recv"' in journal.read_text(), "b receives from a")
            _wait(lambda: (ask_status(control) or {}).get("synced"), "b is synchronised")
            healthy = _spot("node", "--check", SPOT_CONTROL=str(control))
            assert healthy.returncode == 0, healthy
            assert "b: healthy, synchronised, 1 of 1 peers up" in healthy.stdout
        early.send_signal(signal.SIGTERM)
        assert early.wait(timeout=30) == 0


def test_check_of_a_node_that_does_not_run_is_told_apart() -> None:
    """That nobody answers and that a node is not healthy ask for different help."""
    result = _spot("node", "--check", "--control", "/nonexistent/a.sock")
    assert result.returncode == 3
    assert "no answer at /nonexistent/a.sock" in result.stderr
    result = _spot("node", "--check")
    assert result.returncode == 2
    assert "SPOT_CONTROL" in result.stderr


def test_program_runs_without_flags_and_without_what_they_need(tmp_path: Path) -> None:
    """An image for nodes installs the library alone; so its program and check must do without."""
    script = (
        "import runpy, sys; sys.modules['click'] = sys.modules['rich'] = None\n"
        "runpy.run_module('spot.program', run_name='__main__')"
    )
    control = tmp_path / "a.sock"
    environment = _environment(SPOT_CONTROL=str(control), SPOT_JOURNAL="none", SPOT_NODE_ID="a")
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as node:
        _wait(lambda: (ask_status(control) or {}).get("synced"), "the node is up")
        check = subprocess.run([*command, "--check"], env=environment, check=False)
        assert check.returncode == 0
        node.terminate()
        assert node.wait(timeout=30) == 0
    wrong = subprocess.run(
        [*command, "--bind", "x"], env=environment, capture_output=True, check=False
    )
    assert wrong.returncode == 2


def test_check_as_json_is_the_whole_status_document(tmp_path: Path) -> None:
    """The testbed and other people's tools read it, field by field, from docs/journal.md."""
    control = tmp_path / "a.sock"
    with _node("--node-id", "a", "--topics", "t", "--control", str(control)):
        _wait(lambda: (ask_status(control) or {}).get("synced"), "the node is up")
        result = _spot("node", "--check", "--json", "--control", str(control))
    assert result.returncode == 0
    status = json.loads(result.stdout)
    documented = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
    table = documented.partition("## The status document")[2].partition("## ")[0]
    assert set(status) == {
        name.strip("` ")
        for line in table.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].split(",")
    }
    assert status["topics"] == {"local": ["t"], "remote": []}


def test_node_publishes_to_a_topic_of_another_until_it_is_told_to_be_quiet(
    free_ports: int, tmp_path: Path
) -> None:
    """The last messages of a run can be judged only if nothing follows them."""
    journals = {name: tmp_path / f"{name}.jsonl" for name in "ab"}
    control = tmp_path / "b.sock"
    with (
        _node(
            "--node-id", "a", "--bind", f"tcp://127.0.0.1:{free_ports}", "--topics", "x",
            "--subscribe", "x", "--rate", "100", "--journal", str(journals["a"]),
        ),
        _node(
            "--node-id", "b", "--cluster", f"tcp://127.0.0.1:{free_ports}", "--publish", "x",
            "--rate", "100", "--journal", str(journals["b"]), "--control", str(control),
        ),
    ):  # fmt: skip

        def heard() -> set[int]:
            records = _records_of(journals["a"], "recv")
            return {record["counter"] for record in records if record.get("from") == "b"}

        _wait(heard, "a hears b")
        assert ask(control, b'{"do": "quiet"}', 10) == {"ok": True, "flushed": True}
        # The recorder writes ten times a second.
        _wait(lambda: '"kind":"command"' in journals["b"].read_text(), "b records the command")
        published = [r["counter"] for r in _records_of(journals["b"], "publish")]
        _wait(lambda: set(published) <= heard(), "a has heard all that b published")
        own = [r for r in _records_of(journals["a"], "recv") if "from" not in r]
        assert own, "what the host publishes itself needs no name"
    last = _records_of(journals["b"], "publish")[-1]["counter"]
    assert last == published[-1], "it published after it had said that it was quiet"


def test_port_in_use_is_a_message_with_what_to_do() -> None:
    """The most common first mistake of all."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        endpoint = f"tcp://127.0.0.1:{stranger.getsockname()[1]}"
        result = _spot("node", "--bind", endpoint, "--journal", "none")
    assert result.returncode == 1
    assert endpoint in result.stderr
    assert "another port" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "settings", "code", "said"),
    [
        (("--rate", "often"), {}, 2, "SPOT_RATE"),
        ((), {"SPOT_BIND": "5555"}, 2, "SPOT_BIND"),
        (("--topics", "a*"), {}, 2, "subscribe_pattern"),
        (("--journal", "/nonexistent/a.jsonl"), {}, 1, "journal /nonexistent/a.jsonl"),
        (("--control", "/nonexistent/a.sock"), {}, 1, "/nonexistent"),
        (("--json",), {}, 2, "--check"),
    ],
)
def test_wrong_settings_are_told_without_a_traceback(
    flags: tuple[str, ...], settings: dict[str, str], code: int, said: str
) -> None:
    """Each names the thing that is wrong, so that it can be put right."""
    result = _spot("node", *flags, **settings)
    assert result.returncode == code, result
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_log_as_json_is_one_document_a_line() -> None:
    """Log collectors take the lines as they are."""
    with _node("--log-format", "json", "--journal", "none", "--node-id", "a") as node:
        assert node.stderr is not None
        line = json.loads(node.stderr.readline())
    assert line["level"] == "info"
    assert line["message"].startswith("node a started")
    assert set(line) == {"time", "level", "logger", "message"}


def test_thread_that_fails_ends_the_node(tmp_path: Path) -> None:
    """A node that can't write its journal any more must not look alive and healthy."""
    with _node("--topics", "t", "--rate", "100", "--journal", "/dev/full") as node:
        _, log = node.communicate(timeout=30)
    assert node.returncode == 1
    assert "No space left" in log


def test_node_imports_nothing_of_the_testbed() -> None:
    """Fifty of them start on two cores; and an image for nodes needs no testbed."""
    script = (
        "import sys, spot.cli\n"
        "try: spot.cli.main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print(*sys.modules)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "node", "--bind", "tcp://127.0.0.1:0", "--journal", "none"],
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as node:
        assert node.stderr is not None
        assert "started" in node.stderr.readline()
        node.terminate()
        modules = node.communicate(timeout=30)[0].split()
    assert "spot.program.run" in modules
    heavy = ("rich", "docker", "testcontainers", "spot.testbed", "spot.aio")
    assert not [name for name in modules if name.startswith(heavy)]

"""`spot node` ends on a signal though nobody reads what it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spot.program.health import ask_status
from spot.program.recorder import Recorder
from spot.testbed.collect import read_journals
from spot.testbed.journal import Journal
from spot.testbed.topology import NodeSpec, Topology

ROOT = Path(__file__).parents[2]
COMMANDS = {"program": ("spot.program",), "cli": ("spot", "node")}
LEAVES_WITHIN_S = 8.0
"""As whom Docker kills; a node that leaves in peace needs half a second of it."""


@contextmanager
def _node(how: str, control: Path, *, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("SPOT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", *COMMANDS[how]],
        env={
            **inherited,
            "PYTHONPATH": str(ROOT),
            "SPOT_NODE_ID": "a",
            "SPOT_TOPICS": "t",
            "SPOT_SUBSCRIBE": "t",
            "SPOT_RATE": "3000",
            "SPOT_CONTROL": str(control),
        },
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


def _received(control: Path) -> int:
    status = ask_status(control) or {}
    return int(status.get("metrics", {}).get("recv_msgs", 0))


@pytest.mark.parametrize("how", list(COMMANDS))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_node_whose_stdout_nobody_reads_leaves_on_a_signal(
    how: str, number: signal.Signals, tmp_path: Path
) -> None:
    """The journal goes to standard output by default, and a pipe holds 64 KiB."""
    control = tmp_path / "a.sock"
    with _node(how, control, stderr=subprocess.PIPE) as node:
        _wait(lambda: _received(control) > 2000, "more was recorded than a pipe holds")
        asked = time.monotonic()
        node.send_signal(number)
        assert node.wait(timeout=30) == 0
        assert time.monotonic() - asked < LEAVES_WITHIN_S
        assert node.stderr is not None
        said = node.stderr.read().decode()
    assert "records of the journal were not written, as standard output took no more" in said
    assert not control.exists()


def test_node_whose_output_nobody_reads_at_all_leaves_on_a_signal(tmp_path: Path) -> None:
    """Standard error goes to the same pipe: what says what was lost must not wait either."""
    control = tmp_path / "a.sock"
    with _node("program", control, stderr=subprocess.STDOUT) as node:
        _wait(lambda: _received(control) > 2000, "more was recorded than a pipe holds")
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=30) == 0


def test_node_goes_on_and_its_journal_tells_what_is_missing(tmp_path: Path) -> None:
    """A hole that a reader can't see would be taken for messages that were never published."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)  # so that opening it does not end what is in it
    recorder = Recorder(str(path), buffer_bytes_max=100_000)
    recorder.record("start", version=1, node="a", wall=0.0)
    recorder.flush(0)
    for counter in range(5000):
        recorder.publish(1.0, "t", counter)
        if counter % 100 == 0:
            recorder.flush(0)
    recorder.flush(0)
    lines: list[bytes] = []

    def read() -> None:
        with open(held, "rb", closefd=False) as file:
            for line in file:
                lines.append(line)
                if b'"closed"' in line:
                    return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def told() -> bool:
        recorder.flush(0)
        return any(b'"lost"' in line for line in lines)

    _wait(told, "the record of what was lost")
    recorder.record("closed")
    lost = recorder.close()
    thread.join(10)
    journal = Journal.parse(line.decode() for line in lines)
    kinds = [record.kind for record in journal.records]
    assert 0 < lost == journal.lost == 5000 - kinds.count("publish")
    assert kinds[-1] == "closed"
    os.close(held)


def test_run_with_a_hole_in_a_journal_is_in_trouble(tmp_path: Path) -> None:
    """No verdict may be better than unknown when it is not known what happened."""
    records = [
        {"kind": "start", "at": 0.0, "version": 1, "node": "a", "wall": 0.0},
        {"kind": "lost", "at": 1.0, "count": 3},
        {"kind": "lost", "at": 2.0, "count": 4},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    _, trouble = read_journals(tmp_path, Topology("own", (NodeSpec("a"),)))
    assert trouble == (f"{path} lacks 7 records, as it took no more",)


def test_node_without_standard_output_says_so(tmp_path: Path) -> None:
    """It had a traceback about None."""
    command = f"exec {sys.executable} -m spot.program >&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPOT_NODE_ID": "a"}
    done = subprocess.run(
        ["sh", "-c", command], env=environment, stderr=subprocess.PIPE, timeout=30, check=False
    )
    assert done.returncode == 1
    assert b"standard output, where the journal goes, is closed" in done.stderr

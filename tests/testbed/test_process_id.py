import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from spot.testbed.process_id import ProcessId, end_processes, marked_processes


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "SPOT_TEST_MARK": str(os.getpid())}
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"],
        env=environment,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_process_is_known_by_its_start_and_not_only_by_its_number(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """Numbers are used again: a record of last week must never end a stranger's process."""
    process = ProcessId.of(sleeper.pid)
    assert process is not None
    assert process.is_alive
    former = ProcessId(sleeper.pid, "another boot-1")
    assert not former.is_alive
    assert not former.send(signal.SIGKILL)
    end_processes([former], grace_s=0.1)
    assert process.is_alive


def test_process_that_is_paused_is_alive_and_can_be_ended(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """`spot down` after a SIGSTOP must leave nothing."""
    process = ProcessId.of(sleeper.pid)
    assert process is not None
    assert process.send(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
    assert process.is_alive
    assert process.is_paused
    end_processes([process], grace_s=5)
    assert not process.is_alive
    assert ProcessId.of(sleeper.pid) is None, "a child of ours must not stay behind as a zombie"


def test_process_that_ignores_sigterm_is_killed() -> None:
    """A node program of somebody else may not handle SIGTERM."""
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        process = ProcessId.of(stubborn.pid)
        assert process is not None
        end_processes([process], grace_s=0.3)
        assert not process.is_alive


def test_processes_are_found_by_the_mark_in_their_environment(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """A runner that is killed before it records a node leaves nothing else to find it by."""
    found = marked_processes("SPOT_TEST_MARK", str(os.getpid()))
    assert [process.pid for process in found] == [sleeper.pid]
    assert marked_processes("SPOT_TEST_MARK", str(os.getpid()) + "0") == []

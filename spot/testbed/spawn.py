"""Starts the programs of a run: nodes and proxies, each in a session of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import spot
from spot.testbed.process_id import ProcessId

__all__ = ["spawn"]


def spawn(command: Sequence[str], log: Path, variables: Mapping[str, str]) -> ProcessId:
    """Starts a program with more environment variables; what it prints is appended to ``log``.

    Not subprocess.Popen: these processes may outlive us, and whoever ends them knows only their
    numbers. Raises OSError if the program can't be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = os.posix_spawn(
        command[0],
        list(command),
        {**os.environ, **variables, "PYTHONPATH": _python_path()},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM),
    )
    # Even a child that has ended at once is still there, as nobody has waited for it yet.
    return ProcessId.of(pid) or ProcessId(pid, "ended")


def _python_path() -> str:
    """The caller's, with the folder of a ``spot`` that is not installed put first."""
    given = os.environ.get("PYTHONPATH", "")
    source = Path(spot.__file__).resolve().parent.parent
    if source.name in ("site-packages", "dist-packages"):
        return given
    return os.pathsep.join([str(source), given]) if given else str(source)

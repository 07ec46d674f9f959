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
    """Starts a program with more environment variables. ``log``: the file for its output.

    It does not use subprocess.Popen: these processes may outlive this one, and the process that
    ends them knows only their numbers. Raises OSError if the program can't be run.
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
    # Even a child that ended at once still has its number, as nobody has waited for it yet.
    return ProcessId.of(pid) or ProcessId(pid, "ended")


def _python_path() -> str:
    """The caller's PYTHONPATH. The folder of a ``spot`` that is not installed comes first."""
    given = os.environ.get("PYTHONPATH", "")
    source = Path(spot.__file__).resolve().parent.parent
    if source.name in ("site-packages", "dist-packages"):
        return given
    return os.pathsep.join([str(source), given]) if given else str(source)

"""Starts the programs of a run: nodes and proxies, each in a session of its own."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import spot
from spot.testbed.errors import ClusterError
from spot.testbed.process_id import ProcessId

__all__ = ["spawn"]

_HOW_TO_GO_ON = {
    errno.E2BIG: (
        "Linux hands on no more arguments and variables than a quarter of the stack's limit "
        "('ulimit -s'): give the node fewer topics, set fewer variables, or raise that limit"
    ),
    errno.EAGAIN: "the limit of processes is reached: start fewer nodes, or raise 'ulimit -u'",
    errno.ENOMEM: "the machine has no memory left for it: start fewer nodes",
    errno.EMFILE: "the limit of open files is reached: raise 'ulimit -n'",
}


def spawn(command: Sequence[str], log: Path, variables: Mapping[str, str]) -> ProcessId:
    """Starts a program with more environment variables. ``log``: the file for its output.

    It does not use subprocess.Popen: these processes may outlive this one, and the process that
    ends them knows only their numbers. Raises ClusterError if the program can't be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            command[0],
            list(command),
            {**os.environ, **variables, "PYTHONPATH": _python_path()},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), output, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM),
        )
    except OSError as error:
        how = _HOW_TO_GO_ON.get(error.errno or 0, f"its output goes to {log}")
        raise ClusterError(f"{command[0]} can't be started: {error.strerror}: {how}") from error
    # Even a child that ended at once still has its number, as nobody has waited for it yet.
    return ProcessId.of(pid) or ProcessId(pid, "ended")


def _python_path() -> str:
    """The caller's PYTHONPATH. The folder of a ``spot`` that is not installed comes first."""
    given = os.environ.get("PYTHONPATH", "")
    source = Path(spot.__file__).resolve().parent.parent
    if source.name in ("site-packages", "dist-packages"):
        return given
    return os.pathsep.join([str(source), given]) if given else str(source)

"""Identifies a process by its number and its start time, as numbers are reused.

Linux only, as it reads ``/proc``. Signals go through a pidfd, which always means the same process.
So a number that is reused between the check and the signal does no harm.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["ProcessId", "end_processes", "marked_processes"]

POLL_S = 0.01
_STATE, _START_TICKS = 0, 19  # fields 3 and 22 of proc_pid_stat(5), after the command's name


@dataclass(frozen=True)
class ProcessId:
    """One process of one boot of this machine."""

    pid: int
    start: str
    """Boot and clock tick of its start, as text to compare."""

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this number now. None: there is none."""
        fields = _stat(pid)
        return None if fields is None else cls(pid, f"{_boot()}-{fields[_START_TICKS]}")

    @property
    def is_alive(self) -> bool:
        """Whether this process runs, paused or not. Reaps it if it is a child that has ended."""
        state = self._state()
        if state == "Z":
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        return state not in ("", "Z", "X")

    @property
    def is_paused(self) -> bool:
        """Whether SIGSTOP has stopped it."""
        return self._state() == "T"

    def _state(self) -> str:
        """Its state letter in ``/proc``. Empty: it has ended; its number may be in use again."""
        fields = _stat(self.pid)
        if fields is None or f"{_boot()}-{fields[_START_TICKS]}" != self.start:
            return ""
        return fields[_STATE]

    def send(self, number: signal.Signals) -> bool:
        """Sends a signal to this process. False: it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.is_alive:
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


def end_processes(processes: Iterable[ProcessId], grace_s: float) -> None:
    """Sends SIGTERM to all, and SIGKILL after ``grace_s`` seconds. Returns when all have ended."""
    left = [process for process in processes if process.is_alive]
    for process in left:
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)  # a paused process could not leave
    left = _left_after(left, grace_s)
    for process in left:
        process.send(signal.SIGKILL)
    _left_after(left, grace_s)


def marked_processes(variable: str, value: str) -> list[ProcessId]:
    """All processes of this user that were started with ``variable=value`` in their environment."""
    mark = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        process = ProcessId.of(int(entry.name))
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended, or it is another user's
        if process and process.is_alive and mark in environment.split(b"\0"):
            found.append(process)
    return found


def _left_after(processes: list[ProcessId], seconds: float) -> list[ProcessId]:
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if process.is_alive]) and (
        time.monotonic() < deadline
    ):
        time.sleep(POLL_S)
    return left


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name stands in brackets and may itself hold brackets and spaces.
    return text.rpartition(")")[2].split()


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

"""Runs example programs as their users do: each its own process, watched by its output."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 40.0


class Program:
    """A Python program under way. Its output, stderr included, is read as it comes."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.name = " ".join(arguments)
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def wait_for_line(self, text: str, *, count: int = 1) -> str:
        """The line number ``count`` (from 1) with this text in it, once it is there."""

        def matching() -> list[str]:
            return [line for line in self.lines if text in line]

        with self._changed:
            found = self._changed.wait_for(lambda: len(matching()) >= count, DEADLINE_S)
        assert found, f"{self.name}: no line {text!r} number {count} in {self.lines[-20:]}"
        return matching()[count - 1]

    def wait_for_end(self) -> list[str]:
        """All its lines, once it has ended by itself without an error."""
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} did not end: {self.lines[-20:]}")
        self._reader.join(DEADLINE_S)
        assert code == 0, f"{self.name} ended with {code}: {self.lines[-20:]}"
        return self.lines

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def close(self) -> None:
        """Ends it if it still runs, and lets go of its pipe."""
        if self.process.poll() is None:
            self.kill()
        self._reader.join(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python PROGRAM ARGUMENT...`, with SPOT_* settings as keywords (`node_id="a"`)."""
    with ExitStack() as cleanup:

        def run(*arguments: str | int, **settings: str) -> Program:
            environment = {k: v for k, v in os.environ.items() if not k.startswith("SPOT_")}
            environment |= {f"SPOT_{key.upper()}": value for key, value in settings.items()}
            environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
            program = Program([str(argument) for argument in arguments], environment)
            cleanup.callback(program.close)
            return program

        yield run

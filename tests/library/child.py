"""Runs one of tests/library/programs.py as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.library.waiting import DEADLINE_S

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A process with a node. It says what happens in JSON lines, and does what it is told."""

    def __init__(self, program: str, **arguments: Any) -> None:
        self.program = program
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.library.programs", program, json.dumps(arguments)],
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if not key.startswith("SPOT_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def said(self, kind: str, deadline_s: float = 30.0) -> dict[str, Any]:
        """The next line of this kind; others before it are dropped."""
        until = time.monotonic() + deadline_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"{self.program} did not say {kind!r} within {deadline_s} s"
                ) from None
            if line["kind"] == kind:
                return line

    def tell(self, command: str) -> None:
        """A line for its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        """SIGSTOP, and waits until it has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> float:
        """SIGKILL. Returns when, on the monotonic clock."""
        at = time.monotonic()
        self.process.kill()
        return at

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Its exit code, once it has ended by itself."""
        return self.process.wait(deadline_s)

    def end(self) -> None:
        """Ends it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

"""Runs a program that a test has written out, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


ENVIRONMENT = {**os.environ, "SPOT_LOG_LEVEL": "error"}
"""Nodes of one program lose one another at its end, and say so."""


@contextmanager
def started_program(source: str) -> Iterator[subprocess.Popen[str]]:
    """A program of its own, which is killed at the end if it still runs."""
    with subprocess.Popen(
        _command(source), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_program(source: str, deadline_s: float = 20) -> subprocess.CompletedProcess[str]:
    """A program of its own, which must end by itself within its time."""
    return subprocess.run(
        _command(source),
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )


def _command(source: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", textwrap.dedent(source)]

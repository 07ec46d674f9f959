"""Runs a program that a test has written out, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_program(source: str, deadline_s: float = 20) -> subprocess.CompletedProcess[str]:
    """A program of its own, which must end by itself within its time."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        cwd=ROOT,
        # Nodes of one program lose one another at its end, and say so.
        env={**os.environ, "SPOT_LOG_LEVEL": "error"},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )

"""Raw pyzmq as a node: the testbed must catch what PUB/SUB does in silence, and nothing else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT


@pytest.mark.timeout(120)
def test_raw_pyzmq_fails_a_reconnect_honestly(tmp_path: Path) -> None:
    """The contrast that newcomers are shown: it must fail for what it is, not for the testbed."""
    program = shlex.join([sys.executable, "examples/raw_pyzmq_node/node.py"])
    run = [sys.executable, "-m", "spot", "scenario", "run", "two-node-reconnect"]
    settings = {"SPOT_STATE_DIR": str(tmp_path / "state"), "BACKEND": "process"}
    done = subprocess.run(
        [*run, "--results", str(tmp_path / "results"), "--program", program],
        cwd=ROOT,
        env={**os.environ, **settings, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (path,) = (tmp_path / "results").glob("two-node-reconnect/2*/report.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["verdict"] == "fail"
    verdicts = {one["name"]: one["verdict"] for one in report["guarantees"]}
    assert verdicts["no-silent-gap"] == "fail"
    assert verdicts["host-unreachable-told"] == "fail"
    good = ("faults-proved", "no-duplicate", "no-invention", "order", "no-false-alarm")
    assert {name: verdicts[name] for name in good} == dict.fromkeys(good, "pass")

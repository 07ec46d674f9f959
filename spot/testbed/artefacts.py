"""Where runs leave their files, and how a plan is found again.

results/split-brain/2026-03-01T12-00-00.123/  plan.yaml a.jsonl a.log report.json ...
                    latest -> 2026-03-01T12-00-00.123
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from spot.testbed.report.listing import LATEST, UnknownRun, find_run

__all__ = ["PLAN_FILE", "find_plan", "new_directory"]

PLAN_FILE = "plan.yaml"
"""The scenario as it was run."""


def new_directory(results: Path, scenario: str) -> Path:
    """A new directory for a run, named after the time, and ``latest`` pointing to it.

    Several processes may call it at once. Raises OSError when it can't be made.
    """
    folder = results.absolute() / scenario
    folder.mkdir(parents=True, exist_ok=True)
    directory = _make(folder)
    # The link is replaced in one step, so that it always exists.
    link = folder / f".{LATEST}-{directory.name}"
    with contextlib.suppress(OSError):  # some file systems have no links
        link.symlink_to(directory.name)
        link.replace(folder / LATEST)
    return directory


def find_plan(results: Path, run: str) -> Path:
    """The file with the plan of a run. ``run`` names the run as in ``find_run``.

    A run without a report is named by its path.

    Raises UnknownRun.
    """
    for directory in (Path(run), results / run):
        if (directory / PLAN_FILE).is_file():
            return directory / PLAN_FILE
    plan = find_run(results, run).directory / PLAN_FILE
    if not plan.is_file():
        raise UnknownRun(f"the run {run!r} has no {PLAN_FILE}, so it can't be run again")
    return plan


def _make(folder: Path) -> Path:
    while True:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.localtime(now))
        directory = folder / f"{stamp}.{int(now % 1 * 1000):03}"
        try:
            directory.mkdir()
        except FileExistsError:
            time.sleep(0.001)  # another run of the same millisecond took the name
            continue
        return directory

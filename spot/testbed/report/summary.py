"""The page over many runs: verdicts, and the times to detect faults and to recover."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from spot.testbed.report.charts import Picture, distribution_picture
from spot.testbed.report.document import FaultReport, Report, is_proved
from spot.testbed.report.figures import duration
from spot.testbed.report.files import PAGE_FILE, SUMMARY_FILE, replace_file
from spot.testbed.report.listing import StoredRun, list_runs
from spot.testbed.report.page import render

__all__ = ["Times", "times_by_fault", "write_summary"]

RUNS_SHOWN_MAX = 500
POINTS_MAX = 3_000

Figure = Literal["detect_s", "recover_s"]


@dataclass(frozen=True)
class Times:
    """How long faults of one kind took, on one backend."""

    fault: str
    backend: str
    seconds: tuple[float, ...]
    """Sorted; only of faults that were proved and have this figure."""

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def most(self) -> float:
        """The longest, in seconds."""
        return self.seconds[-1]

    @property
    def p95(self) -> float:
        """The time that 19 of 20 did not exceed, in seconds."""
        return self.seconds[max(0, -(-len(self.seconds) * 95 // 100) - 1)]


def times_by_fault(reports: Sequence[Report], figure: Figure) -> list[Times]:
    """The times of all these runs, by kind of fault and backend."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for report in reports:
        for fault in report["faults"]:
            seconds = fault[figure]
            if seconds is not None and is_proved(fault):
                found[fault["name"], report["backend"]].append(seconds)
    return [Times(*key, tuple(sorted(found[key]))) for key in sorted(found)]


def write_summary(directory: Path) -> Path:
    """Writes ``summary.html`` over all runs below this directory of results; returns its path.

    The page also names runs with a broken report. Raises OSError.
    """
    runs = list_runs(directory)
    reports = [(run, run.report) for run in runs if run.report is not None]
    pictures: dict[str, Picture] = {}
    tables: dict[str, list[Times]] = {}
    figures: tuple[tuple[Figure, str], ...] = (
        ("detect_s", "seconds until told"),
        ("recover_s", "seconds from the heal until back"),
    )
    for figure, title in figures:
        tables[figure] = times_by_fault([report for _, report in reports], figure)
        points = _points(reports, figure)
        if points:
            backends = {report["backend"] for _, report in reports}
            pictures[figure] = distribution_picture(points, title, backends)
    page = render(
        "summary.html.j2",
        pictures,
        counts=Counter(report["verdict"] for _, report in reports),
        shown=[_row(run) for run in _worth_showing(runs)],
        runs=runs,
        tables=tables,
    )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / SUMMARY_FILE
    replace_file(path, page.encode("utf-8", "replace"))
    return path


def _points(reports: Sequence[tuple[StoredRun, Report]], figure: Figure) -> list[dict[str, Any]]:
    points = [
        {
            "fault": fault["name"],
            "backend": report["backend"],
            # The logarithmic axis has no zero, and no clock here measures less than this.
            "seconds": max(fault[figure] or 0.0, 1e-4),
            "shown": duration(fault[figure]),
            "run": run.name,
        }
        for run, report in reports
        for fault in report["faults"]
        if fault[figure] is not None and is_proved(fault)
    ]
    # Thinned evenly, so that the points that stay are spread over all runs.
    step = -(-len(points) // POINTS_MAX) or 1
    return points[::step]


def _worth_showing(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Runs that did not pass, then the others, each newest first; as many as a page can hold."""
    passed = [run.report is not None and run.report["verdict"] == "pass" for run in runs]
    bad = [run for run, good in zip(runs, passed, strict=True) if not good]
    good = [run for run, good in zip(runs, passed, strict=True) if good]
    return [*bad, *good][:RUNS_SHOWN_MAX]


def _row(run: StoredRun) -> dict[str, Any]:
    faults: list[FaultReport] = [] if run.report is None else run.report["faults"]
    missed = [fault["missed"] for fault in faults]
    page = run.directory / PAGE_FILE
    return {
        "run": run,
        "link": quote(f"./{run.name}/{PAGE_FILE}") if page.is_file() else None,
        "faults": Counter(fault["name"] for fault in faults).most_common(),
        "detect_s": _most(faults, "detect_s"),
        "recover_s": _most(faults, "recover_s"),
        "missed": None if None in missed else sum(one or 0 for one in missed),
    }


def _most(faults: Sequence[FaultReport], figure: Figure) -> float | None:
    return max((one for fault in faults if (one := fault[figure]) is not None), default=None)

"""Lists and finds the runs below a directory of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spot.testbed.errors import ClusterError
from spot.testbed.report.document import BrokenReport, Report, read_report
from spot.testbed.report.files import REPORT_FILE

__all__ = ["LATEST", "StoredRun", "UnknownRun", "find_run", "list_runs"]

LATEST = "latest"


class UnknownRun(ClusterError, LookupError):
    """There is no run of this name."""


@dataclass(frozen=True)
class StoredRun:
    """One run that has left a report."""

    directory: Path
    name: str
    """Its path below the directory of results: ``<scenario>/<time>``."""
    report: Report | None
    """None: the report is broken."""
    broken: str | None
    """Why the report is broken. None: it is not."""

    @property
    def started(self) -> float:
        """Seconds since 1970. For a broken report: the time of its file, or 0 without a file."""
        if self.report is not None:
            return self.report["started"]
        try:
            return (self.directory / REPORT_FILE).stat().st_mtime
        except OSError:
            return 0.0


def list_runs(results: Path) -> list[StoredRun]:
    """All runs below this directory, newest first; none if there is no such directory."""
    directories = [path.parent for path in results.glob(f"*/*/{REPORT_FILE}")]
    # The link of each scenario to its newest run does not count as a run.
    runs = [_run(results, directory) for directory in directories if not directory.is_symlink()]
    return sorted(runs, key=lambda run: (run.started, run.name), reverse=True)


def find_run(results: Path, name: str) -> StoredRun:
    """The run of this name: ``latest``, ``<scenario>/<time>``, a scenario (its newest run), or a
    path to a run's directory or to its ``report.json``.

    Raises UnknownRun.
    """
    for path in (results / name, Path(name)):
        directory = path.parent if path.name == REPORT_FILE else path
        if (directory / REPORT_FILE).is_file():
            return _run(results, directory)
    runs = list_runs(results)
    if not runs:
        raise UnknownRun(
            f"there is no run below {results}: make one with 'spot scenario run', or name another "
            "directory with --results"
        )
    found = [run for run in runs if name == LATEST or run.name.split("/")[0] == name]
    if not found:
        raise UnknownRun(f"there is no run {name!r} below {results}: 'spot report' lists them")
    return found[0]


def _run(results: Path, directory: Path) -> StoredRun:
    try:
        name = directory.resolve().relative_to(results.resolve()).as_posix()
    except ValueError:  # a run from elsewhere
        name = directory.as_posix()
    try:
        return StoredRun(directory, name, read_report(directory / REPORT_FILE), None)
    except BrokenReport as error:
        return StoredRun(directory, name, None, str(error))

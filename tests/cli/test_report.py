import json
import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spot.cli.group import cli
from spot.testbed.errors import ClusterError
from spot.testbed.report import write_report
from tests.testbed.report import runs


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs of one scenario and one of another; ``latest`` of each is a link."""
    directory = tmp_path / "results"
    old = runs.failing(directory / "cut" / "2026-01-01T00-00-00")
    new = replace(runs.passing(directory / "cut" / "2026-01-02T00-00-00"), wall=old.wall + 60)
    other = replace(
        runs.unproved(directory / "ring" / "2026-01-01T12-00-00"), wall=old.wall + 30, seed=7
    )
    for result in (old, new, other):
        write_report(result)
    (directory / "cut" / "latest").symlink_to("2026-01-02T00-00-00")
    return directory


def _spot(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


def test_list_is_newest_first_with_verdicts(results: Path) -> None:
    """The newest run is the one that was just made."""
    done = _spot("--results", results)
    assert done.exit_code == 0, done.output
    lines = [line.split()[:2] for line in done.output.splitlines() if "/2026" in line]
    assert lines == [
        ["pass", "cut/2026-01-02T00-00-00"],
        ["unknown", "ring/2026-01-01T12-00-00"],
        ["fail", "cut/2026-01-01T00-00-00"],
    ]
    documents = json.loads(_spot("--results", results, "--json").stdout)
    assert [one["verdict"] for one in documents] == ["pass", "unknown", "fail"]
    assert Path(documents[0]["page"]).is_file()
    assert documents[1]["seed"] == 7


def test_no_runs_say_how_to_make_one(tmp_path: Path) -> None:
    """The first thing that a newcomer tries."""
    done = _spot("--results", tmp_path / "none")
    assert done.exit_code == 0
    assert "spot scenario run" in done.output
    assert json.loads(_spot("--results", tmp_path / "none", "--json").stdout) == []


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("latest", "PASS"),
        ("cut", "PASS"),
        ("cut/latest", "PASS"),
        ("cut/2026-01-01T00-00-00", "FAIL"),
        ("ring", "UNKNOWN"),
    ],
)
def test_run_is_found_by_name(results: Path, name: str, verdict: str) -> None:
    """Whatever is short to type."""
    done = _spot("--results", results, name)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(verdict)
    assert done.output.rstrip().endswith("report.html")


def test_run_is_found_by_path(results: Path, tmp_path: Path) -> None:
    """Completion of a shell gives paths, and runs come from other machines."""
    directory = results / "cut" / "2026-01-01T00-00-00"
    for path in (directory, directory / "report.json"):
        done = _spot("--results", tmp_path / "elsewhere", path)
        assert done.output.startswith("FAIL"), done.output


def test_json_of_a_run_is_its_report(results: Path) -> None:
    """The same document, without looking for the file."""
    done = _spot("--results", results, "cut", "--json")
    file = results / "cut" / "2026-01-02T00-00-00" / "report.json"
    assert json.loads(done.stdout) == json.loads(file.read_text())


def test_open_opens_the_page(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an absolute address: browsers know no working directory."""
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        return len(opened) == 1

    monkeypatch.setattr(webbrowser, "open", open_page)
    _spot("--results", results, "latest", "--open")
    page = results / "cut" / "2026-01-02T00-00-00" / "report.html"
    assert opened == [page.as_uri()]
    assert "no browser" in _spot("--results", results, "latest", "--open").output


def test_summary_is_written_and_named(results: Path) -> None:
    """Over all runs there are."""
    done = _spot("--results", results, "--summary")
    assert done.output.strip() == str(results / "summary.html")
    assert (results / "summary.html").is_file()
    document = json.loads(_spot("--results", results, "--summary", "--json").stdout)
    assert document == {"page": str(results / "summary.html")}


def test_unknown_and_broken_runs_are_clear_errors(results: Path) -> None:
    """One line that names the run and says what to do; no traceback."""

    def error(*arguments: str | Path) -> str:
        done = _spot("--results", results, *arguments)
        assert isinstance(done.exception, ClusterError), done.output
        return str(done.exception)

    assert "no run 'rung'" in error("rung")
    assert "spot report" in error("rung")
    broken = results / "ring" / "2026-01-01T12-00-00" / "report.json"
    broken.write_text('{"version": 99}')
    assert "version 99" in error("ring")
    listed = _spot("--results", results)
    assert listed.exit_code == 0
    assert "broken" in listed.output
    assert str(broken) in listed.output


def test_wrong_usage_is_refused() -> None:
    """Rather than half of it being done."""
    assert _spot("latest", "--summary").exit_code == 2
    assert _spot("--open").exit_code == 2

"""What a page says without a browser. How it looks in one: test_in_browser.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vl_convert

from spot.testbed.report import as_report, write_report
from spot.testbed.report.charts import Picture, distribution_picture, timeline_picture
from spot.testbed.report.page import TEMPLATES
from spot.testbed.report.timeline import draw_timeline
from spot.testbed.results import Result
from spot.testbed.topology import build_topology
from spot.testbed.verdict import Finding, Verdict
from tests.testbed.report import runs

PAGE_BYTES_MAX = 600_000


class Words(HTMLParser):
    """The text that a reader sees, and every address that the page names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.addresses: list[str] = []
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("script", "style")
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data + " "


def _page(result: Result) -> str:
    write_report(result)
    return (result.directory / "report.html").read_text(encoding="utf-8")


def _picture(result: Result) -> Picture:
    return timeline_picture(draw_timeline(result.evidence), as_report(result))


def test_page_says_verdict_faults_and_guarantees_in_this_order(tmp_path: Path) -> None:
    """What broke comes before what did not."""
    words = Words(_page(runs.failing(tmp_path)))
    text = " ".join(words.text.split())
    order = [
        "Broken: reconnect.",
        "1 of 1 broken links did not come back",
        "a: no message of b after 9.000 s",
        "refused after 0.3 ms",
        "What happened when",
        "no-duplicate",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_page_asks_nobody_for_anything(tmp_path: Path) -> None:
    """Results are opened on trains, and years later."""
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "a.log").write_text("")
    page = _page(runs.passing(tmp_path))
    assert all(address.startswith(("./", "data:")) for address in Words(page).addresses)
    assert {"./a.jsonl", "./a.log", "./report.json", "./junit.xml"} <= set(Words(page).addresses)
    outside = re.sub(r'<script type="application/octet-stream".*?</script>', "", page)
    assert re.findall(r"https?://[^\s\"'<]+|@import|url\(", outside) == []


@pytest.mark.parametrize("kind", ["passing", "failing", "unproved", "hostile", "empty"])
def test_page_is_small(tmp_path: Path, kind: str) -> None:
    """A hundred random runs leave a hundred pages."""
    assert len(_page(getattr(runs, kind)(tmp_path)).encode()) < PAGE_BYTES_MAX


def test_page_of_a_large_run_is_small(tmp_path: Path) -> None:
    """Fifty nodes, a thousand faults, a thousand findings: still a page that a phone can open."""
    faults = tuple(
        runs.window("cut", f"n{n % 70} m{n % 50}", began=n / 60, healed=n / 60 + 0.01)
        for n in range(1000)
    )
    findings = tuple(
        Finding(f"guarantee-{n}", Verdict.FAIL, "wrong", ("a wrong thing",) * 500)
        for n in range(20)
    )
    result = replace(
        runs.passing(tmp_path),
        evidence=runs.evidence(build_topology("mesh", 50), faults=faults, rate=0.5),
        faults=tuple(map(runs.fault, faults)),
        guarantees=findings,
        verdict=Verdict.FAIL,
    )
    page = _page(result)
    assert len(page.encode()) < PAGE_BYTES_MAX
    text = " ".join(Words(page).text.split())
    assert "and 800 more, in report.json" in text
    assert "and 480 more, in report.json" in text
    assert "Not drawn: 1,185 links to which nothing happened." in text


def test_names_are_escaped(tmp_path: Path) -> None:
    """A node or topic can be called anything, and a page runs in somebody's browser."""
    page = _page(runs.hostile(tmp_path))
    assert "<script>alert" not in page
    assert "49" not in Words(page).text.split(), "a template ran a name"
    assert Words(page).text.count(runs.HOSTILE) > 5


def test_unproved_fault_stands_out(tmp_path: Path) -> None:
    """Unknown says which proof is missing."""
    page = _page(runs.unproved(tmp_path))
    assert 'class="warn">not proved: wanted connections to the edge b-to-a are refused' in page


def test_run_without_journals_has_a_page_without_pictures(tmp_path: Path) -> None:
    """An empty picture would look as if all had been quiet."""
    page = _page(runs.empty(tmp_path))
    assert "nothing was observed" in page
    assert 'class="picture"' not in page
    assert "the proxy ended with exit code 2" in page


@pytest.mark.parametrize("kind", ["passing", "unproved", "hostile", "empty"])
def test_pictures_are_valid_vega_lite(tmp_path: Path, kind: str) -> None:
    """Vega only warns of a mistake, and draws something else."""
    picture = _picture(getattr(runs, kind)(tmp_path))
    assert vl_convert.vegalite_to_vega(picture)["marks"]
    points = [
        {"fault": kind, "backend": "process", "seconds": 0.1, "run": "x/y", "shown": "0.10 s"}
    ]
    assert vl_convert.vegalite_to_vega(distribution_picture(points, "s", ["process"]))["marks"]


def test_picture_shows_what_the_report_says(tmp_path: Path) -> None:
    """The bar of a fault, its end, its heal and the moment of notice."""
    faults = _picture(runs.passing(tmp_path))["vconcat"][0]["layer"]
    bars = faults[0]["data"]["values"]
    assert [(bar["state"], bar["begin"], bar["end"]) for bar in bars] == [
        ("acts", 5.0, 9.0),
        ("healed, not back yet", 9.0, 9.347),
    ]
    assert [tick["at"] for tick in faults[1]["data"]["values"]] == [5.004]


def test_fault_that_was_never_healed_lasts_to_the_end(tmp_path: Path) -> None:
    """It must not look as if it had been over at once."""
    cut = runs.window(healed=None)
    result = replace(
        runs.passing(tmp_path), faults=(runs.fault(cut),), evidence=runs.evidence(faults=(cut,))
    )
    (bar,) = _picture(result)["vconcat"][0]["layer"][0]["data"]["values"]
    assert bar["end"] == pytest.approx(15.1)
    assert "never healed" in _page(result)


def test_colours_are_those_of_the_page(tmp_path: Path) -> None:
    """A colour that is written down would be wrong in light or in dark."""
    text = json.dumps(_picture(runs.passing(tmp_path)))
    assert re.findall(r'"#[0-9a-fA-F]{3,6}"|"(?:black|white|red|green)"', text) == []
    style = (TEMPLATES / "style.css").read_text()
    light, dark = style.split("prefers-color-scheme: dark")
    for name in set(re.findall(r"var\(--([a-z0-9-]+)\)", text)):
        assert f"--{name}:" in light, name
        assert f"--{name}:" in dark, name


def test_report_is_written_whole(tmp_path: Path) -> None:
    """No half-written file stays behind, nor a temporary one."""
    write_report(runs.passing(tmp_path))
    write_report(runs.passing(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "junit.xml",
        "report.html",
        "report.json",
    ]


def test_status_does_not_wait_for_plots() -> None:
    """`spot status` is typed often; plots and templates are for reports."""
    code = (
        "import sys, spot.cli.status, spot.cli.report, spot.testbed.report;"
        "print([name for name in ('jinja2', 'vl_convert') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

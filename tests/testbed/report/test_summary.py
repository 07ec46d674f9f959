from dataclasses import replace
from pathlib import Path

import pytest

from spot.testbed.report import Report, as_report, write_report, write_summary
from spot.testbed.report.summary import times_by_fault
from spot.testbed.verdict import Verdict
from tests.testbed.report import runs


def _report(name: str, backend: str, detect_s: float | None, *, proved: bool = True) -> Report:
    window = runs.window(name, proofs=(runs.REFUSED,) if proved else ())
    result = replace(runs.passing(Path()), backend=backend, faults=(runs.fault(window, detect_s),))
    return as_report(result)


def test_times_are_by_kind_of_fault_and_backend() -> None:
    """Containers are not processes, and a cut is no blackhole."""
    reports = [
        *(_report("cut", "process", n / 100) for n in range(1, 21)),
        _report("cut", "docker", 0.5),
        _report("blackhole", "process", 2.4),
        _report("latency", "process", None),
        _report("cut", "process", 9.0, proved=False),
    ]
    times = times_by_fault(reports, "detect_s")
    assert [(one.fault, one.backend, len(one.seconds)) for one in times] == [
        ("blackhole", "process", 1),
        ("cut", "docker", 1),
        ("cut", "process", 20),
    ]
    cut = times[2]
    assert (cut.median, cut.p95, cut.most) == pytest.approx((0.105, 0.19, 0.20))
    assert (times[0].median, times[0].p95, times[0].most) == (2.4, 2.4, 2.4)


def test_summary_names_every_run_with_its_verdict(tmp_path: Path) -> None:
    """One page says where to look."""
    for kind in ("passing", "failing", "unproved"):
        write_report(getattr(runs, kind)(tmp_path / kind / "t"))
    path = write_summary(tmp_path)
    assert path == tmp_path / "summary.html"
    page = path.read_text()
    assert "3 runs" in page
    for kind in ("passing", "failing", "unproved"):
        assert f'<a href="./{kind}/t/report.html">{kind}/t</a>' in page
    for verdict in ("pass", "fail", "unknown"):
        assert f'<td class="tag {verdict}">{verdict}</td>' in page


def test_summary_over_nothing_says_so(tmp_path: Path) -> None:
    """The directory need not even be there."""
    page = write_summary(tmp_path / "none").read_text()
    assert "None yet" in page
    assert 'class="verdict pass"' not in page


def test_broken_report_is_named_and_keeps_the_page_from_green(tmp_path: Path) -> None:
    """A run that can't be read has not passed."""
    write_report(runs.passing(tmp_path / "cut" / "one"))
    write_report(runs.passing(tmp_path / "cut" / "two"))
    (tmp_path / "cut" / "two" / "report.json").write_text("{")
    page = write_summary(tmp_path).read_text()
    assert "is not JSON" in page
    assert 'class="verdict unknown"' in page


def test_very_many_runs_keep_those_that_did_not_pass(tmp_path: Path) -> None:
    """The one failure of a thousand is what the page is for."""
    one = replace(runs.passing(tmp_path / "seed" / "0000"), verdict=Verdict.FAIL, wall=1.0)
    write_report(one)
    text = (one.directory / "report.json").read_text()
    for number in range(1, 700):
        directory = tmp_path / "seed" / f"{number:04}"
        directory.mkdir()
        passed = text.replace('"fail"', '"pass"').replace('"started": 1.0', '"started": 9.0')
        (directory / "report.json").write_text(passed)
    page = write_summary(tmp_path).read_text()
    assert "500 of 700" in page
    assert page.index("seed/0000") < page.index("seed/0699")
    assert len(page) < 1_000_000

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from spot.testbed.evidence import Proof
from spot.testbed.report import print_result
from spot.testbed.results import Result
from tests.testbed.report import runs


def _printed(result: Result, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_result(console, result)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_table_has_everything_that_matters_in_80_columns(tmp_path: Path) -> None:
    """Scenario, backend, verdict, guarantees with evidence, faults with proof and figures."""
    text = _printed(runs.failing(tmp_path))
    assert text.startswith("FAIL  cut on process, ")
    for part in (
        "Broken: reconnect.",
        "1 of 1 broken links did not come back",
        "a: no message of b after 9.000 s",
        "refused after 0.3 ms",
        "4.0 ms",
        "0.35 s",
        "41",
    ):
        assert part in text, part
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_is_wrong_comes_first(tmp_path: Path) -> None:
    """Nobody reads on after five lines of pass."""
    text = _printed(runs.failing(tmp_path))
    assert text.index("reconnect  ") < text.index("backoff") < text.index("no-duplicate")


def test_unproved_fault_says_what_was_wanted_and_seen(tmp_path: Path) -> None:
    """Who is told `unknown` must know what to look at."""
    text = " ".join(_printed(runs.unproved(tmp_path)).split())
    assert text.startswith("UNKNOWN")
    assert "it is not proved that the fault 'cut a b' acted" in text
    assert "wanted connections to the edge b-to-a are refused, seen accepted after 0.2 ms" in text


def test_run_without_anything_says_why(tmp_path: Path) -> None:
    """A run that broke at once is told from one that found nothing."""
    assert "Nothing can be said: the proxy ended with exit code 2" in _printed(runs.empty(tmp_path))


def test_names_are_no_markup(tmp_path: Path) -> None:
    """Rich reads [red] in plain strings, and would swallow it."""
    text = _printed(replace(runs.passing(tmp_path), scenario="[red]x[/nothing]"))
    assert "[red]x[/nothing]" in text


def test_a_hundred_faults_stay_readable(tmp_path: Path) -> None:
    """The first ones show the pattern; report.json has all."""
    cut = runs.fault(runs.window())
    text = _printed(replace(runs.passing(tmp_path), faults=(cut,) * 100))
    assert "and 70 more" in text
    assert len(text.splitlines()) < 60


def test_many_proofs_are_counted(tmp_path: Path) -> None:
    """A partition of ten nodes has a proof for each of its links, and one row in the table."""
    proofs = tuple(
        Proof(f"edge {n} refuses", True, f"tcp://127.0.0.1:{20_000 + n} refused after {n} ms")
        for n in range(25)
    )
    cut = runs.fault(runs.window("partition", "a,b c,d", proofs=proofs))
    text = " ".join(_printed(replace(runs.passing(tmp_path), faults=(cut,))).split())
    assert "all 25 seen" in text
    assert "…" not in text

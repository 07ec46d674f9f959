"""What the benchmark prints and writes: medians, goals, every run."""

import io
from dataclasses import replace
from importlib import util

import pytest

from bench.report import print_report, row_json
from bench.row import Contestant, Line, Load, Outcome, Row, compare, delivered

LOAD = Load(messages=1_000)
ROW = Row(
    name="one-to-one",
    what="publish/recv",
    against="raw pyzmq",
    contestants=(Contestant("SPOT", ()), Contestant("raw", ())),
    load=LOAD,
    quick=LOAD,
    lines=(Line(figure="rate", unit="million/s", scale=1e-6, at_least=1.0),),
)
ROUNDS = (
    {"SPOT": {"rate": 3e6}, "raw": {"rate": 1e6}},
    {"raw": {"rate": 2e6}, "SPOT": {"rate": 1e6}},
    {"SPOT": {"rate": 2.2e6}, "raw": {"rate": 2e6}},
)
OUTCOME = Outcome(ROW, LOAD, ROUNDS)


def test_compare_pairs_within_rounds() -> None:
    # The median of ratios differs from the ratio of medians when the machine's speed drifts.
    ratio = compare(ROW.lines[0], ROUNDS)
    assert ratio.median == pytest.approx(1.1)
    assert (ratio.least, ratio.greatest) == (0.5, 3.0)
    assert (ratio.subject, ratio.against) == (2.2e6, 2e6)


@pytest.mark.parametrize(
    ("line", "good"),
    [
        (Line(figure="rate", unit="", at_least=1.0), True),
        (Line(figure="rate", unit="", at_least=1.2), False),
        (Line(figure="rate", unit="", at_most=1.2), True),
        (Line(figure="rate", unit="", at_most=1.0), False),
        (Line(figure="rate", unit=""), True),
    ],
)
def test_ratio_good_within_bounds_only(line: Line, good: bool) -> None:
    # More is better for rates, less for times: one bound the wrong way round hides a regression.
    assert compare(line, ROUNDS).good is good


@pytest.mark.parametrize("rich", [True, False])
def test_print_report_shows_ratio_spread_goal_and_every_run(
    rich: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # rich is an extra: without it the same must be readable.
    if not rich:
        monkeypatch.setattr(util, "find_spec", lambda name: None)
    out = io.StringIO()
    print_report([OUTCOME], {"cores": 2}, out)
    shown = out.getvalue()
    for part in ("one-to-one", "SPOT 2.2, raw 2", "1.10", "0.50 - 3.00", "at least 1", "good"):
        assert part in shown
    assert "rate [million/s]" in shown.partition("publish/recv")[0]  # no markup to rich
    assert "rate SPOT [million/s]: 3 1 2.2" in shown
    assert "rate raw [million/s]: 1 2 2" in shown
    assert "cores 2" in shown


def test_print_report_names_a_failed_row() -> None:
    # A row that failed must not look like one that was not asked for.
    out = io.StringIO()
    print_report([Outcome(ROW, LOAD, (), "message 7 was due")], {}, out)
    assert "FAILED: message 7 was due" in out.getvalue()


def test_print_report_says_what_was_not_measured_and_how_to_get_it() -> None:
    # A contestant that is left out in silence looks beaten.
    out = io.StringIO()
    lack = "nats-py is not installed (pip install nats-py)"
    print_report([Outcome(ROW, LOAD, (), not_measured=lack)], {}, out)
    assert f"not measured: {lack}" in out.getvalue()


def test_row_json_has_every_round() -> None:
    # Whoever doubts a median has to be able to compute another.
    written = row_json(OUTCOME)
    assert written["rounds"] == [dict(figures) for figures in ROUNDS]
    assert written["lines"][0]["ratio_median"] == pytest.approx(1.1)
    assert written["lines"][0]["good"] is True
    assert written["not_measured"] is None


def test_guarded_lines_ask_for_the_guard() -> None:
    # The quick form must not judge by the goals of nine rounds, nor by nothing.
    least = Line(figure="rate", unit="", at_least=1.5, guard=0.8)
    most = Line(figure="p50", unit="", at_most=1.25, guard=3.0)
    assert (least.guarded.at_least, most.guarded.at_most) == (0.8, 3.0)
    assert replace(least, guard=None).guarded.at_least is None


def test_delivered_counts_all_receivers_over_the_whole_time() -> None:
    # Rates of receivers that were not there at once must not be added up.
    reports = (
        {"publisher_cpu_s": 0.5},
        {"msgs": 100.0, "began": 10.0, "ended": 11.0},
        {"msgs": 100.0, "began": 11.0, "ended": 12.0},
    )
    assert delivered(reports) == {"publisher_cpu_s": 0.5, "rate": 100.0}

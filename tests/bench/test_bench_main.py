"""``python -m bench``: its exit codes, and that it can fail."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bench import comparison
from bench.__main__ import main
from bench.contestants import raw_pyzmq as raw
from bench.contestants import spot_node
from bench.row import Contestant, Line, Load, Row
from bench.rows import ROWS, one_way
from bench.stage import Stage
from spot import Spot

SMALL = 3_000
TRIPS = 200


def slow_publisher(stage: Stage) -> None:
    """SPOT's publisher, with a publish that sleeps."""
    publish = Spot.publish

    def sleepy(*arguments: Any, **settings: Any) -> None:
        time.sleep(300e-6)
        publish(*arguments, **settings)

    with patch.object(Spot, "publish", sleepy):
        spot_node.publisher(stage)


def broken_publisher(stage: Stage) -> None:
    raise OSError("nothing works")


def _load(row: Row) -> Load:
    """Little enough for a test, and the row's own in kind."""
    if row.name == "round-trip":
        return replace(row.load, messages=TRIPS)
    if row.name == "large":
        return replace(row.load, messages=8)
    if row.name == "fan-out":
        return replace(row.load, messages=500)
    return replace(row.load, messages=SMALL)


def _small(row: Row) -> Row:
    load = _load(row)
    return replace(row, load=load, quick=load, rounds_scale=1)


def _row(name: str) -> Row:
    return _small(next(row for row in ROWS if row.name == name))


def _with_spot(row: Row, *roles: Any) -> Row:
    return replace(row, contestants=(one_way("SPOT", *roles), *row.contestants[1:]))


def _main(row: Row, tmp_path: Path, *options: str) -> int:
    arguments = [*options, "--rounds", "1", "--no-noise", "--results", str(tmp_path)]
    return comparison.main(arguments, [row])


def _written(tmp_path: Path) -> Any:
    (path,) = tmp_path.glob("*.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_played_in_order_or_named_as_not_measured(row: Row, tmp_path: Path) -> None:
    # Each contestant's check of order and loss runs here, against whatever is installed.
    assert _main(_small(row), tmp_path) == 0
    (written,) = _written(tmp_path)["rows"]
    assert written["failure"] is None
    assert written["not_measured"] == row.not_measured
    if row.not_measured is None:
        names = {contestant.name for contestant in row.contestants}
        assert written["rounds"][0].keys() == names
    else:
        assert written["rounds"] == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(["--assert"], "at least 1.5 is the goal"), (["--quick", "--assert"], "at least 0.7")],
)
def test_assert_fails_a_slowed_publisher(
    options: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A benchmark that can't fail guards nothing; nor does its quick form in CI.
    row = _with_spot(_row("one-to-one"), slow_publisher, spot_node.subscriber)
    assert _main(row, tmp_path, *options) == 1
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert "SHORT" in captured.out
    assert _main(row, tmp_path) == 0


def test_assert_passes_what_keeps_its_goal(tmp_path: Path) -> None:
    # The other half: the goal that was kept must not fail.
    row = _row("one-to-one")
    row = replace(row, lines=(replace(row.lines[0], at_least=0.001),))
    assert _main(row, tmp_path, "--assert") == 0


def test_a_row_that_fails_ends_with_1_without_assert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Loss is no figure to be judged: it always fails.
    row = _with_spot(_row("one-to-one"), broken_publisher, spot_node.subscriber)
    assert _main(row, tmp_path) == 1
    assert "bench: one-to-one failed" in capsys.readouterr().err


def test_noise_plays_raw_against_itself(tmp_path: Path) -> None:
    # What equals differ by tells which differences mean something.
    row = replace(
        _row("one-to-one"),
        contestants=(
            one_way("SPOT", raw.publisher, raw.subscriber),
            one_way("raw", raw.publisher, raw.subscriber),
        ),
    )
    assert comparison.main(["--rounds", "1", "--results", str(tmp_path)], [row]) == 0
    (written,) = _written(tmp_path)["rows"]
    assert [line["subject"] for line in written["lines"]] == ["SPOT", "raw again"]


def test_json_goes_where_it_is_asked_to(tmp_path: Path) -> None:
    # Whoever keeps a run chooses its name.
    named = tmp_path / "kept" / "run.json"
    assert _main(_row("local"), tmp_path, "--json", str(named)) == 0
    document = json.loads(named.read_text())
    assert document == _written(tmp_path)
    assert (document["version"], document["command"], document["quick"]) == (1, "rows", False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-row"],
        ["--rounds", "0"],
        ["--rounds", "few"],
        ["growth", "no-such-sweep"],
        ["overload", "no-such-case"],
        ["core", "no-such-measure"],
    ],
)
def test_usage_errors_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    # A misspelt row must not look like success.
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_an_assertion_over_nothing_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    # It would always pass, and guard nothing.
    with pytest.raises(SystemExit) as ended:
        main(["fan-out", "--quick", "--assert"])
    assert ended.value.code == 2
    assert "fan-out" in capsys.readouterr().err


def test_rows_ask_for_what_the_project_promises() -> None:
    # The goals that --assert guards are those of the project, not what happens to be reached.
    goals = {
        (row.name, line.figure, line.against): line.at_least or line.at_most
        for row in ROWS
        for line in row.lines
    }
    assert goals == {
        ("one-to-one", "rate", "raw"): 1.5,
        ("defaults", "rate", "raw"): 1.2,
        ("defaults", "rate", "raw 100k"): 1.2,
        ("topics", "rate", "raw"): 1.0,
        ("multipart", "rate", "multipart"): 8.0,
        ("zenoh", "rate", "zenoh"): 2.0,
        ("nats", "rate", "nats"): 8.0,
        ("redis", "rate", "redis"): 20.0,
        ("batched", "rate", "raw"): 2.5,
        ("fan-out", "rate", "raw"): 1.5,
        ("local-threads", "rate", "raw"): 2.0,
        ("local", "rate", "raw"): 1.2,
        ("large", "rate", "raw"): 0.8,
        ("round-trip", "p50", "raw"): 1.25,
        ("round-trip", "p99", "raw"): 2.0,
        ("history", "rate", "off"): 0.9,
    }


def test_rows_are_whole() -> None:
    # A row is data: a slip in it would only show after minutes of playing.
    for row in ROWS:
        names = {contestant.name for contestant in row.contestants}
        lines: tuple[Line, ...] = row.lines
        assert all({line.subject, line.against} <= names for line in lines)
        assert row.quick is not None or all(line.guard is None for line in lines)
        if row.quick is not None:
            assert row.quick.messages < row.load.messages
            assert replace(row.quick, messages=row.load.messages) == row.load


def test_a_contestant_carries_its_share() -> None:
    # A slower one gets fewer messages, and one high-water mark may differ: nothing else.
    load = Load(messages=1_000, payload_bytes=99, hwm=5)
    fewer: Contestant = one_way("slow", fewer=10, hwm=7)
    assert fewer.carries(load) == replace(load, messages=100, hwm=7)
    assert one_way("fast").carries(load) == load

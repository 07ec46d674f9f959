"""Overload: every case plays, and a node that loses, swells or starves somebody is seen."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bench import overload
from bench.contestants import overloaded
from bench.overload import CASES, QUICK, Case, summed_up
from bench.row import Figures
from bench.stage import Stage
from spot import Message, Spot


def hoarding_publisher(stage: Stage) -> None:
    """Keeps all that it has ever published."""
    hoard = []
    publish = Spot.publish

    def hoarding(node: Spot, topic: str, data: bytes, **settings: Any) -> None:
        hoard.append(data * 64)
        publish(node, topic, data, **settings)

    with patch.object(Spot, "publish", hoarding):
        overloaded.patient_publisher(stage)


def losing_subscriber(stage: Stage) -> None:
    """Loses a message in silence."""
    recv = Spot.recv
    calls = 0

    def losing(node: Spot, timeout: float | None = None) -> Message | None:
        nonlocal calls
        calls += 1
        if calls == 100:
            recv(node, timeout)
        return recv(node, timeout)

    with patch.object(Spot, "recv", losing):
        overloaded.slow_subscriber(stage)


def _main(case: Case, tmp_path: Path, *options: str) -> int:
    arguments = ["--quick", "--seconds", "1.5", "--stopped", "2.5", "--results", str(tmp_path)]
    return overload.main([*arguments, *options], [case])


def _written(tmp_path: Path) -> Any:
    (path,) = tmp_path.glob("*.json")
    (case,) = json.loads(path.read_text())["cases"]
    return case


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_played_and_accounts_for_everything(case: Case, tmp_path: Path) -> None:
    # What was accepted is received or counted as missed, whoever was slow or stopped.
    assert _main(case, tmp_path) == 0
    written = _written(tmp_path)
    figures = written["figures"]
    assert written["failure"] is None
    assert figures["unaccounted"] == 0
    assert figures["accepted"] > 0
    assert {bound.figure for bound in case.bounds} <= figures.keys()
    if not case.stops:
        assert figures["links_lost"] == 0


def test_assert_fails_a_publisher_that_swells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Bounded memory is the promise: a leak has to show.
    case = _case("waits")
    case = replace(case, roles=(hoarding_publisher, *case.roles[1:]))
    assert _main(case, tmp_path, "--assert") == 1
    assert "publisher_memory is" in capsys.readouterr().err


def test_a_subscriber_that_loses_in_silence_fails_the_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A sequence that jumps without missed being told is the worst that can happen.
    case = _case("waits")
    case = replace(case, roles=(*case.roles[:-1], losing_subscriber))
    assert _main(case, tmp_path) == 1
    assert "was due in topic" in capsys.readouterr().err


def _reports() -> list[dict[str, float]]:
    common = {"memory_bytes": 1024.0, "rtt_s": 0.01, "answer_s": 0.01, "links_lost": 0.0}
    publisher = {**common, "role": overloaded.PUBLISHER, "accepted": 100.0, "refused": 5.0}
    subscriber = {
        **common,
        "role": overloaded.SUBSCRIBER,
        "received": 90.0,
        "missed": 10.0,
        "told": 0.0,
        "topic_share": 1.0,
        "publisher_share": 1.0,
        "second_share": 1.0,
    }
    return [publisher, subscriber, dict(subscriber)]


def _changed(index: int, **values: float) -> Figures:
    reports = _reports()
    reports[index].update(values)
    return summed_up(reports, QUICK)


def test_summed_up_accounts_for_everything() -> None:
    # The base of what the next test changes.
    figures = summed_up(_reports(), QUICK)
    assert (figures["unaccounted"], figures["received"], figures["missed"]) == (0, 180, 20)
    assert figures["subscriber_share"] == 1.0
    assert all(
        bound.keeps(figures[bound.figure])
        for bound in _case("waits").bounds
        if bound.figure != "missed"
    )


@pytest.mark.parametrize(
    ("figure", "figures"),
    [
        ("unaccounted", _changed(1, received=89.0)),
        ("unaccounted", _changed(2, missed=11.0)),
        ("links_lost", _changed(2, links_lost=1.0)),
        ("rtt_s", _changed(0, rtt_s=0.6)),
        ("answer_s", _changed(1, answer_s=0.6)),
        ("publisher_memory", _changed(0, memory_bytes=1e9)),
        ("subscriber_memory", _changed(1, memory_bytes=1e9)),
        ("topic_share", _changed(1, topic_share=0.5)),
        ("subscriber_share", _changed(1, received=10.0)),
        ("missed", _changed(1)),
    ],
)
def test_bounds_see_what_they_are_for(figure: str, figures: Figures) -> None:
    # Each bound has to fail by the figure that it names.
    (bound,) = (bound for bound in _case("waits").bounds if bound.figure == figure)
    assert not bound.keeps(figures[figure])

"""The benchmark's rounds: a contestant that loses, dies or hangs has no figures, only a failure."""

import multiprocessing
import os
import threading
from dataclasses import replace
from unittest.mock import patch

import pytest

from bench.contestants import raw_pyzmq as raw
from bench.contestants import raw_sockets
from bench.needs import Need
from bench.progress import Progress
from bench.rounds import Failed, order, play_round, play_row
from bench.row import Contestant, Line, Load, Outcome, Row
from bench.rows import Role, one_way
from bench.stage import Stage
from bench.traffic import payloads

LOAD = Load(messages=2_000)
RAW = one_way("raw", raw.publisher, raw.subscriber)


def _publish_instead(stage: Stage, change: str) -> None:
    """Raw pyzmq's publisher with a fault in what it sends."""
    sent = payloads(stage.load)
    middle = len(sent) // 2
    if change == "lost":
        del sent[middle]
    elif change == "lost tail":
        del sent[-1]
    elif change == "repeated":
        sent.insert(middle, sent[middle])
    elif change == "reordered":
        sent[middle], sent[middle + 1] = sent[middle + 1], sent[middle]
    with patch.object(raw, "payloads", lambda load: sent):
        raw.publisher(stage)


def publisher_that_loses(stage: Stage) -> None:
    _publish_instead(stage, "lost")


def publisher_that_loses_the_tail(stage: Stage) -> None:
    _publish_instead(stage, "lost tail")


def publisher_that_repeats(stage: Stage) -> None:
    _publish_instead(stage, "repeated")


def publisher_that_reorders(stage: Stage) -> None:
    _publish_instead(stage, "reordered")


def impatient_subscriber(stage: Stage) -> None:
    with patch.object(raw_sockets, "PATIENCE", 0.5):
        raw.subscriber(stage)


def role_that_dies(stage: Stage) -> None:
    os._exit(9)


def role_that_hangs(stage: Stage) -> None:
    threading.Event().wait()


def role_that_does_not_close(stage: Stage) -> None:
    stage.meet()
    stage.ready()
    stage.finish({"rate": 1.0})
    raise OSError("could not close")


def _row(*contestants: Contestant) -> Row:
    return Row(
        name="some-row",
        what="",
        against="",
        contestants=contestants,
        load=LOAD,
        quick=LOAD,
        lines=(Line(figure="rate", unit="/s", subject=contestants[0].name),),
    )


def _played(row: Row, rounds: int) -> Outcome:
    with Progress(rounds) as progress:
        return play_row(row, LOAD, rounds, progress)


def test_order_turns_from_round_to_round() -> None:
    # Whoever always plays second on a machine that warms up would always win.
    first, second = Contestant("a", ()), Contestant("b", ())
    assert [order((first, second), index)[0].name for index in range(4)] == ["a", "b", "a", "b"]
    assert order((first, second), 1) == [second, first]


def test_play_round_gives_the_rate_of_the_receiver() -> None:
    # The simplest whole round: two processes meet, start, count and end.
    assert play_round(RAW, LOAD)["rate"] > 100
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("publisher", "complaint"),
    [
        (publisher_that_loses, "message 1001 was due"),
        (publisher_that_repeats, "message 1002 was due"),
        (publisher_that_reorders, "message 1001 was due"),
    ],
)
def test_play_round_fails_when_not_all_arrives_in_order(publisher: Role, complaint: str) -> None:
    # A benchmark that doesn't count would call a loser of messages fast.
    with pytest.raises(Failed, match=complaint):
        play_round(one_way("raw", publisher, raw.subscriber), LOAD)
    assert multiprocessing.active_children() == []


def test_play_round_fails_when_the_tail_does_not_arrive() -> None:
    # Nothing comes after it by which it would be missed.
    faulty = one_way("raw", publisher_that_loses_the_tail, impatient_subscriber)
    with pytest.raises(Failed, match="subscriber raised"):
        play_round(faulty, LOAD)
    assert multiprocessing.active_children() == []


def test_play_round_fails_when_a_process_dies() -> None:
    # Its partner would wait for it for ever.
    with pytest.raises(Failed, match="the process of role_that_dies died before 'meet'"):
        play_round(Contestant("raw", (raw.publisher, role_that_dies)), LOAD)
    assert multiprocessing.active_children() == []


def test_play_round_fails_when_a_role_hangs() -> None:
    # A run in CI must come to an end, and name who held it up.
    with pytest.raises(Failed, match="role_that_hangs did not come to 'meet' in time"):
        play_round(Contestant("raw", (role_that_hangs,)), LOAD, timeout=2.0)
    assert multiprocessing.active_children() == []


def test_play_round_fails_when_closing_fails() -> None:
    # Figures of a contestant that can't close are figures of something broken.
    with pytest.raises(Failed, match="could not close"):
        play_round(Contestant("raw", (role_that_does_not_close,)), LOAD)


def test_play_row_tells_which_contestant_failed_in_which_round(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Of hundreds of rounds, the reader has to find the one that broke.
    faulty = one_way("faulty", publisher_that_loses, raw.subscriber)
    outcome = _played(_row(RAW, faulty), 2)
    assert outcome.failure is not None
    assert outcome.failure.startswith("some-row, round 1, faulty: subscriber raised")
    assert outcome.ratios == ()
    assert "FAILED some-row" in capsys.readouterr().err


def test_play_row_plays_everyone_in_every_round(capsys: pytest.CaptureFixture[str]) -> None:
    # The figures of a round belong together: the ratio is taken within it.
    again = replace(RAW, name="again")
    outcome = _played(_row(again, RAW), 2)
    assert outcome.failure is None
    assert [list(figures) for figures in outcome.rounds] == [["again", "raw"], ["raw", "again"]]
    assert "[2/2] some-row: round 2 of 2" in capsys.readouterr().err


def test_play_row_does_not_play_without_what_a_contestant_needs() -> None:
    # A round against nothing would be a failure, or worse, a victory.
    lacking = replace(RAW, needs=(Need("it is not installed (pip install it)", lambda: False),))
    outcome = _played(_row(RAW, lacking), 2)
    assert outcome.not_measured == "it is not installed (pip install it)"
    assert (outcome.rounds, outcome.ratios, outcome.failure) == ((), (), None)

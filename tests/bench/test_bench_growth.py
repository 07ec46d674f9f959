"""Sweeps: every one plays, and growth that is too fast is seen."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import comparison, growth
from bench.contestants import paced
from bench.picture import draw
from bench.rounds import Failed, play_round
from bench.row import Contestant, Load
from bench.rows import ROWS
from bench.stage import Stage
from bench.sweep import Curve, Sweep, SweepOutcome, order_of_growth
from bench.sweeps import GROWTH, PICTURE, SWEEPS


def quadratic(stage: Stage) -> None:
    """Costs the square of the topics."""
    _cost(stage, stage.load.topics**2)


def linear(stage: Stage) -> None:
    """Costs as much as there are topics."""
    _cost(stage, stage.load.topics)


def broken_at_20(stage: Stage) -> None:
    if stage.load.topics == 20:
        raise OSError("nothing works")
    _cost(stage, stage.load.topics)


def raw_publisher_that_stalls(stage: Stage) -> None:
    """Publishes on time, but for one pause."""
    sleep = time.sleep
    pauses = iter([0.2])
    time.sleep = lambda seconds: sleep(next(pauses, seconds))
    paced.raw_publisher(stage)


def raw_publisher_that_skips(stage: Stage) -> None:
    """Offers from the second message on."""
    pack = paced.STAMP.pack
    paced.STAMP = _Skipping(pack, paced.STAMP)  # type: ignore[assignment]
    paced.raw_publisher(stage)


class _Skipping:
    def __init__(self, pack: Any, real: Any) -> None:
        self.size = real.size
        self._pack = pack

    def pack(self, number: int, due: int) -> bytes:
        packed: bytes = self._pack(number + 1, due)
        return packed


def _cost(stage: Stage, cost: float) -> None:
    stage.meet()
    stage.ready()
    stage.finish({"cost": cost})


def _sweep(*roles: Any) -> Sweep:
    contestants = tuple(
        Contestant(name, (role,)) for name, role in zip(("SPOT", "raw"), roles, strict=False)
    )
    return Sweep(
        name="some-sweep",
        what="costs",
        size="topics",
        sizes=(10, 20, 40),
        quick=(10, 20, 40),
        contestants=lambda size: contestants,
        load=lambda size: Load(messages=0, topics=size),
        curves=(Curve(figure="cost", label="cost [s]", order_at_most=1.2),),
    )


def _tiny(sweep: Sweep) -> Sweep:
    def load(size: int) -> Load:
        whole = sweep.load(size)
        messages = min(whole.messages, 2_000)
        if whole.rate_hz:
            messages = min(messages, 200)
        return replace(whole, messages=messages, seconds=min(whole.seconds, 0.2))

    sizes = (16, 1_024) if sweep.name == "size" else sweep.quick[:2]
    return replace(sweep, sizes=sizes, quick=sizes, load=load)


def _written(tmp_path: Path) -> Any:
    (path,) = tmp_path.glob("*.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
def test_every_sweep_is_played(sweep: Sweep, tmp_path: Path) -> None:
    # A contestant that only breaks after ten minutes of a run is found here.
    small = _tiny(sweep)
    assert growth.main(["--rounds", "1", "--results", str(tmp_path)], [small]) == 0
    (written,) = _written(tmp_path)["sweeps"]
    assert written["failures"] == []
    for curve in written["curves"]:
        assert [size for size, _ in curve["points"]] == list(small.sizes), curve


def test_sweeps_cover_what_they_have_to() -> None:
    # The sizes up to which the project promises that cost grows no faster than its floor.
    sizes = {sweep.name: (sweep.sizes[0], sweep.sizes[-1]) for sweep in (*GROWTH, *PICTURE)}
    assert sizes == {
        "size": (16, 1 << 20),
        "latency": (100, 400_000),
        "fan-out": (1, 64),
        "topics": (1, 100_000),
        "topic-rate": (1, 100_000),
        "patterns": (1, 100),
        "matching": (1, 1_000),
        "mesh": (2, 50),
        "links": (1, 50),
    }


@pytest.mark.parametrize(
    ("points", "order"),
    [
        ([(1, 5.0), (10, 50.0), (100, 500.0)], 1.0),
        ([(1, 5.0), (10, 5.0), (100, 5.0)], 0.0),
        ([(2, 4.0), (4, 16.0), (8, 64.0)], 2.0),
        # A constant hides the growth of small sizes: the upper half tells.
        ([(1, 100.0), (2, 100.0), (4, 100.0), (10, 100.0), (100, 1e4), (1000, 1e6)], 2.0),
    ],
)
def test_order_of_growth(points: list[tuple[int, float]], order: float) -> None:
    # The figure by which growth is judged.
    assert order_of_growth(points) == pytest.approx(order)


@pytest.mark.parametrize("points", [[], [(1, 1.0), (2, 2.0)], [(1, 1.0), (2, 0.0), (4, 4.0)]])
def test_order_of_growth_is_none_where_nothing_can_be_told(
    points: list[tuple[int, float]],
) -> None:
    # A made-up order would be judged as if it were one.
    assert order_of_growth(points) is None


def test_assert_fails_what_grows_too_fast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A sweep that can't fail guards nothing; without --assert it only tells.
    options = ["--rounds", "1", "--results", str(tmp_path)]
    assert growth.main([*options, "--assert"], [_sweep(quadratic)]) == 1
    captured = capsys.readouterr()
    assert "grows with order 2.00, at most 1.2 is the goal" in captured.err
    assert "SHORT" in captured.out
    assert growth.main(options, [_sweep(quadratic)]) == 0
    assert growth.main([*options, "--assert"], [_sweep(linear)]) == 0


def test_a_size_that_fails_is_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The other sizes took minutes: they are not thrown away, and the failure is not hidden.
    options = ["--rounds", "1", "--results", str(tmp_path)]
    assert growth.main(options, [_sweep(broken_at_20)]) == 1
    captured = capsys.readouterr()
    assert "some-sweep failed" in captured.err
    assert "nothing works" in captured.out
    (curve,) = _written(tmp_path)["sweeps"][0]["curves"]
    assert curve["points"] == [[10, 10], [40, 40]]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_is_drawn(ending: str, tmp_path: Path) -> None:
    # Figures of a failed size, and figures of zero, must not stop the drawing.
    sweep = _sweep(linear, linear)
    rounds = (
        {10: {"SPOT": {"cost": 1.0}, "raw": {"cost": 0.0}}, 20: {"SPOT": {"cost": 2.0}}, 40: {}},
    )
    path = tmp_path / "made" / f"picture.{ending}"
    machine = {"cores": 2, "cpu": "some", "python": "3", "pyzmq": "27"}
    draw([SweepOutcome(sweep, sweep.sizes, rounds)], machine, path)
    head = path.read_bytes()[:200]
    assert head.startswith(b"\x89PNG") if ending == "png" else b"<svg" in head


def test_the_comparison_draws_when_asked(tmp_path: Path) -> None:
    # One command: table, JSON and picture.
    row = next(row for row in ROWS if row.name == "local")
    row = replace(row, load=replace(row.load, messages=1_000))
    options = ["--rounds", "1", "--no-noise", "--picture", "--results", str(tmp_path)]
    assert comparison.main(options, [row], [_sweep(linear)]) == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".png"]
    assert _written(tmp_path)["sweeps"][0]["name"] == "some-sweep"


def test_latency_counts_from_when_a_message_was_due() -> None:
    # A publisher that is held up would hide how late its messages are (coordinated omission).
    load = Load(messages=200, rate_hz=2_000)
    stalled = Contestant("raw", (raw_publisher_that_stalls, paced.raw_subscriber))
    assert play_round(stalled, load)["p99"] > 0.05


def test_latency_fails_when_a_number_is_skipped() -> None:
    # Latency of what arrived says nothing when not all did.
    load = Load(messages=200, rate_hz=10_000)
    skipping = Contestant("raw", (raw_publisher_that_skips, paced.raw_subscriber))
    with pytest.raises(Failed, match="message 1 was due, 2 came"):
        play_round(skipping, load)

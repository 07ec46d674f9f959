"""The measure of the pure core: every step works, and a slow one is seen."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from bench import core
from bench.core import MEASURES, Measure
from spot.core.wire import batches


def _main(tmp_path: Path, *options: str, measures: tuple[Measure, ...] = MEASURES) -> int:
    with patch.object(core, "SECONDS_QUICK", 0.02):
        return core.main(["--quick", "--results", str(tmp_path), *options], measures)


def _slowed(measure: Measure) -> Measure:
    def prepare() -> Callable[[], Callable[[], object]]:
        steps = measure.prepare()

        def slow() -> Callable[[], object]:
            step = steps()

            def busy() -> None:
                step()
                ends = time.process_time() + 0.02
                while time.process_time() < ends:
                    pass

            return busy

        return slow

    return replace(measure, prepare=prepare)


def test_every_measure_is_measured(tmp_path: Path) -> None:
    # A step that stops working when the core changes must not go unseen.
    assert _main(tmp_path) == 0
    (path,) = tmp_path.iterdir()
    costs = json.loads(path.read_text())["costs"]
    assert [cost["name"] for cost in costs] == [measure.name for measure in MEASURES]
    assert all(cost["ns"] > 0 and cost["repeats"] >= 3 for cost in costs)


def test_assert_fails_what_became_slow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 20 us more a message: the regression that this measure is for.
    encode = next(measure for measure in MEASURES if measure.name == "encode")
    slow = (_slowed(encode),)
    assert _main(tmp_path, "--assert", measures=slow) == 1
    assert "encode: " in capsys.readouterr().err
    assert _main(tmp_path, measures=slow) == 0


def test_assert_passes_what_costs_nothing(tmp_path: Path) -> None:
    # The other half, on any machine: an empty step keeps its bound.
    idle = Measure(name="idle", what="", ops=1_000, prepare=lambda: lambda: int, at_most=0.5)
    assert _main(tmp_path, "--assert", measures=(idle,)) == 0


def test_receiving_checks_that_all_came() -> None:
    # A step that loses its messages would be the fastest.
    steps = next(measure for measure in MEASURES if measure.name == "receive").prepare()
    steps()()
    with (
        patch.object(batches, "payloads_of", lambda batch: ()),
        patch("spot.core.data.inbox.payloads_of", lambda batch: ()),
        pytest.raises((AssertionError, IndexError)),
    ):
        steps()()

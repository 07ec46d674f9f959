import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spot.cli.scenario import command
from spot.cli.scenario_batch import Outcome
from spot.testbed.scenario import Scenario
from spot.testbed.verdict import Verdict


def call(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


Batch = Callable[..., list[Outcome]]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Sequence[Scenario]]:
    """What would have been run. Nothing is; every outcome is unknown."""
    seen: list[Sequence[Scenario]] = []

    def run_batch(scenarios: Sequence[Scenario], backend: str, *rest: Any) -> list[Outcome]:
        seen.append(scenarios)
        return [Outcome(one, backend, None, "not run") for one in scenarios]

    monkeypatch.chdir(tmp_path)  # where results would go
    monkeypatch.setattr("spot.cli.scenario.run_batch", run_batch)
    monkeypatch.setattr("spot.cli.scenario.write_summary", lambda results: tmp_path / "s.html")
    return seen


def test_list_names_all_and_chooses_by_tag() -> None:
    """It is the first thing that a newcomer calls."""
    result = call("list", "--json")
    assert result.exit_code == 0
    scenarios = {one["name"]: one for one in json.loads(result.output)}
    assert scenarios["split-brain"]["nodes"] == 4
    assert "guide" in scenarios["split-brain"]["tags"]
    tagged = json.loads(call("list", "--json", "--tag", "guide").output)
    assert {one["name"] for one in tagged} < set(scenarios)
    shown = call("list").output
    assert "split-brain" in shown
    assert "random" in shown


def test_show_prints_the_file_or_the_drawn_plan() -> None:
    """Reading one is how one learns to write one."""
    assert call("show", "split-brain").output.startswith("# The guide's split brain")
    plans = {call("show", "random", "--seed", "7").output for _ in range(2)}
    assert len(plans) == 1
    assert "seed: 7" in plans.pop()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("run",), "name a scenario"),
        (("run", "split-brian"), "no scenario 'split-brian'"),
        (("run", "nowhere.yaml"), "can't be read"),
        (("run", "split-brain", "--backend", "cloud"), "cloud"),
        (("run", "split-brain", "--seed", "1"), "for 'random'"),
        (("run", "random", "--seed", "1", "--seeds", "1-2"), "not both"),
        (("run", "random", "--seeds", "9-1"), "must rise"),
        (("run", "random", "--seeds", "many"), "not a range"),
        (("run", "--tag", "nothing"), "no scenario has the tag"),
        (("run", "split-brain", "--tag", "guide"), "not both"),
        (("show", "split-brian"), "no scenario 'split-brian'"),
        (("show", "mesh", "--seed", "1"), "for 'random'"),
        (("replay", "nothing"), "no run"),
    ],
)
def test_wrong_usage_is_told_and_exits_with_2(arguments: tuple[str, ...], why: str) -> None:
    """CI must be able to tell a typo from a broken guarantee."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert why in result.output


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("title: t\ntopology: mesh\nnodes: 500\n", "line 3, nodes: 500"),
        ("title: t\ntopology: mesh\ntimeline:\n  - {at: 1, fault: cut a z}\n", "timeline[0].fault"),
    ],
)
def test_error_in_a_file_says_line_and_field(tmp_path: Path, text: str, why: str) -> None:
    """Before anything is started."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    result = call("run", str(file))
    assert result.exit_code == 2
    assert why in result.output
    assert "mine.yaml" in result.output


def test_results_that_cannot_be_written_are_told_before_anything_starts(
    batches: list[Sequence[Scenario]],
) -> None:
    """Not after minutes, and not with the code of a broken guarantee."""
    result = call("run", "mesh", "--backend", "process", "--results", "/proc/results")
    assert result.exit_code == 2
    assert "nothing can be written to --results /proc/results" in result.output
    assert batches == []


def test_file_that_was_not_run_is_not_offered_by_a_name_that_nobody_knows(tmp_path: Path) -> None:
    """A command that is printed works."""
    file = tmp_path / "mine.yaml"
    file.write_text("title: t\ntopology: two-node\nprogram: [no-such-program]\n")
    result = call("run", str(file), "--backend", "process", "--results", str(tmp_path / "results"))
    assert result.exit_code == 3
    assert "no program no-such-program" in result.output
    assert "spot scenario run mine" not in result.output


def test_seeds_and_all_become_scenarios(batches: list[Sequence[Scenario]]) -> None:
    """`--seeds 1-100` is a hundred runs, and `all` is the same everywhere."""
    call("run", "random", "--seeds", "3-5", "--backend", "process")
    call("run", "all", "--backend", "process")
    assert [one.seed for one in batches[0]] == [3, 4, 5]
    assert len(batches[1]) > 20
    assert batches[1][-1].seed == 1


def test_unknown_outcome_exits_with_3_and_says_how_to_run_it_again(
    batches: list[Sequence[Scenario]],
) -> None:
    """The seed of a run that went wrong must not have to be dug out."""
    result = call("run", "random", "--seed", "7", "--backend", "process")
    assert result.exit_code == Verdict.UNKNOWN.exit_code
    assert "spot scenario run random --seed 7 --backend process" in result.output


def test_scenario_of_another_backend_is_left_out(
    batches: list[Sequence[Scenario]], tmp_path: Path
) -> None:
    """Of several the others are run; alone it is an error."""
    file = tmp_path / "images.yaml"
    file.write_text("title: t\ntopology: mesh\nbackends: [docker]\n")
    result = call("run", str(file), "--backend", "process")
    assert result.exit_code == 2
    call("run", str(file), "mesh", "--backend", "process")
    assert [one.name for one in batches[0]] == ["mesh"]

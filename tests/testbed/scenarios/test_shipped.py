import re
from pathlib import Path

import pytest

from spot.testbed.checkers import CHECKERS
from spot.testbed.random_scenario import random_scenario
from spot.testbed.scenario_file import parse_scenario, read_scenario, shipped
from spot.testbed.verdict import Verdict

ROOT = Path(__file__).parents[3]
GUIDE = {
    "network-partition", "node-crash", "node-silence", "recovery", "failover-by-hand",
    "split-brain", "two-node-reconnect", "mesh", "hub-lost", "start-order", "firewall",
}  # fmt: skip
HARD = {
    "flapping-link", "half-open", "one-way-loss", "bridge-partition", "rolling-restart",
    "restart-during-partition", "slow-link-large-messages", "strangers-under-load",
    "cut-in-mid-frame", "backpressure-across-a-cut", "paused-node", "hundred-cuts",
}  # fmt: skip
HEALING = {
    "loss-free-cut", "loss-free-blackhole", "loss-free-flapping", "replay-overrun", "host-restart",
    "lost-tail", "remote-publish-across-a-cut", "relay-hub-cut", "relay-two-hubs",
    "split-brain-quorum", "split-brain-halves", "topic-conflict", "failover-there-and-back",
}  # fmt: skip


def test_every_row_of_the_guide_and_every_hard_case_is_there() -> None:
    """A row that nobody runs is a promise that nobody keeps."""
    assert set(shipped()) >= GUIDE | HARD | HEALING
    tagged = {name for name, path in shipped().items() if "guide" in read_scenario(path).tags}
    assert tagged == GUIDE


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_file_is_whole(name: str) -> None:
    """One that can't be loaded, or that shows nothing, would be found by a user."""
    path = shipped()[name]
    scenario = read_scenario(path)
    assert scenario.name == name
    assert list(scenario.fault_steps)
    assert scenario.expectations or scenario.holds
    assert scenario.length <= (40 if "long" in scenario.tags else 15)
    assert parse_scenario(scenario.to_yaml(), "plan.yaml") == scenario
    text = path.read_text(encoding="utf-8")
    # What it shows, and why that matters, for whoever opens the file.
    assert text.startswith("# ")
    assert len(text.split("title:")[0].splitlines()) >= 3
    assert max(map(len, text.splitlines())) <= 100


def test_guarantees_name_their_checkers_and_scenarios() -> None:
    """Whoever doubts a promise must find what tries to break it, under the name that it has."""
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ")]
    start = [checkers.strip() for checkers, _ in rows].index("checker")
    table = rows[start + 1 :]
    named = {name.strip() for checkers, _ in table for name in checkers.split(",")}
    assert set(CHECKERS) <= named
    assert all(f"\n## {name}\n" in text for name in CHECKERS)
    scenarios = {word for _, names in table for word in re.findall(r"`([a-z-]+)`", names)}
    assert HEALING <= scenarios <= set(shipped())


def test_wheel_brings_the_scenarios() -> None:
    """`pip install` without a clone must find them, too."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"scenarios" = "spot/testbed/scenarios"' in text
    assert {path.stem for path in (ROOT / "scenarios").glob("*.yaml")} == set(shipped())


def test_exit_codes_of_several() -> None:
    """CI reads nothing else: a fail outranks an unknown."""
    codes = {
        (Verdict.PASS, Verdict.PASS): 0,
        (Verdict.PASS, Verdict.FAIL): 1,
        (Verdict.UNKNOWN, Verdict.FAIL): 1,
        (Verdict.PASS, Verdict.UNKNOWN): 3,
        (): 3,
    }
    for verdicts, code in codes.items():
        assert Verdict.of(verdicts).exit_code == code


def test_random_ones_check_out_on_their_topology() -> None:
    """A plan that can't be run says nothing about SPOT."""
    for seed in range(300):
        scenario = random_scenario(seed)
        assert 1 <= len(scenario.timeline) <= 3
        assert scenario.length <= 10
        for step in scenario.fault_steps:
            step.fault.check(scenario.topology)

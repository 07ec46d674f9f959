import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

from spot.testbed.random_scenario import random_scenario
from spot.testbed.scenario_file import parse_scenario

ROOT = Path(__file__).parents[3]

PRINT = """
import hashlib
from spot.testbed.random_scenario import random_scenario
plans = "".join(random_scenario(seed).to_yaml() for seed in range(200))
print(hashlib.sha256(plans.encode()).hexdigest())
"""


def test_same_seed_draws_the_same_plan_in_every_process() -> None:
    """A seed in a CI log is worth nothing if it draws something else at home."""
    said = {
        subprocess.run(
            [sys.executable, "-c", PRINT],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(said) == 1


def test_known_seed_draws_the_known_plan() -> None:
    """The seeds of old reports must go on meaning what they meant."""
    plan = random_scenario(7)
    assert (plan.topology.name, plan.nodes) == ("mesh", 3)
    assert [(step.at, str(step.fault), step.lasts) for step in plan.fault_steps] == [
        (0.8, "cut a b", 0.4),
        (1.2, "crash c", 1.0),
    ]


def test_seeds_draw_different_plans_of_every_kind() -> None:
    """A hundred seeds that never crash a node would be a hundred of the same."""
    plans = [random_scenario(seed) for seed in range(300)]
    kinds = {step.fault.name for plan in plans for step in plan.fault_steps}
    assert kinds >= {
        "cut", "blackhole", "latency", "bandwidth", "reset", "truncate", "flap", "crash", "stop",
        "restart", "pause", "isolate", "partition",
    }  # fmt: skip
    assert {plan.topology.name for plan in plans} == {"two-node", "mesh", "hub-spoke"}
    settings = {item for plan in plans for item in plan.settings.items()}
    assert {("history_bytes", "0"), ("require_quorum", "1"), ("members", "a,b")} <= settings
    assert any("history_bytes" not in plan.settings for plan in plans)
    assert len({plan.to_yaml() for plan in plans}) == len(plans)


def test_plan_is_written_and_read_as_the_same() -> None:
    """plan.yaml is what a replay has."""
    for seed in range(100):
        plan = random_scenario(seed)
        assert parse_scenario(plan.to_yaml(), "plan.yaml") == plan


def test_faults_on_one_link_never_overlap() -> None:
    """A canary that is refused by the other fault proves nothing."""
    for seed in range(300):
        plan = random_scenario(seed)
        for one, other in combinations(plan.fault_steps, 2):
            if one.at < other.end and other.at < one.end:
                pairs = [step.fault.effect(plan.topology).pairs for step in (one, other)]
                assert not pairs[0] & pairs[1], plan.to_yaml()

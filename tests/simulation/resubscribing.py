"""Plans in which subscriptions end and begin anew repeatedly, also within a latency."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.simulation.plan import Action, Plan


def renewed_often(drawn: Callable[[int], Plan], seed: int) -> Plan:
    """The plan that ``drawn`` makes of a seed, with many more subscriptions that begin anew."""
    plan = drawn(seed)
    random = Random(f"subscriptions of {seed} begin anew")
    topics = sorted({topic for node in plan.nodes for topic in node.topics})
    end = max((action.at for action in plan.actions), default=2.0)
    for _ in range(random.randint(5, 40)):
        node = random.choice(plan.nodes)
        name = random.choice([*topics, f"{node.name}:*", "*:2"])
        last = 0 if "*" in name else random.choice((0, 0, 1, 7))
        at = random.uniform(0.03, end)
        for _ in range(random.choice((1, 1, 1, 2))):
            plan.actions.append(Action(at, "resubscribe", (node.name, name, last)))
            at += random.choice((0.0, 0.0005, 0.002, 0.01))
    plan.actions.sort(key=lambda action: action.at)
    return plan

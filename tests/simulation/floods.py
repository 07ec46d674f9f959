"""Plans in which a client sends to a node faster than it can read."""

from __future__ import annotations

from random import Random

from tests.simulation.plan import Action, Plan
from tests.simulation.schedule import draw

FROM_S = 0.5
LASTS_S = (0.1, 1.0)


def draw_floods(seed: int) -> Plan:
    """The plan of a seed, with a flood. The seed alone decides it."""
    plan = draw(seed)
    random = Random(f"floods of {seed}")
    at = random.uniform(FROM_S, plan.heal_at)
    lasts = random.uniform(*LASTS_S)
    node = random.choice(plan.nodes)
    plan.actions.append(Action(at, "flood", (node.name, lasts)))
    plan.actions.sort(key=lambda action: action.at)
    plan.heal_at = max(plan.heal_at, at + 2 * lasts)
    return plan

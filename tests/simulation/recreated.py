"""Plans in which topics end and begin anew while a subscription to them is under way."""

from __future__ import annotations

from random import Random

from tests.simulation.plan import Action, Plan
from tests.simulation.schedule import draw

FROM_S = 0.6
EARLIER_S = (0.0, 0.0005, 0.002, 0.004, 0.01)
CUT_AFTER_S = (0.0005, 0.002, 0.006, 0.02)


def draw_recreated(seed: int) -> Plan:
    """The plan of a seed, with topics that end and begin anew, up to three times in a latency.

    Peers subscribe just before, and lose their link just after. Some of them are slow, so that the
    news waits for credit.
    """
    plan = draw(seed)
    random = Random(f"anew {seed}")
    hosted = [(node.name, topic) for node in plan.nodes for topic in node.topics]
    end = max((action.at for action in plan.actions), default=2.0)
    for _ in range(random.randint(4, 15) if hosted else 0):
        host, topic = random.choice(hosted)
        others = [node.name for node in plan.nodes if node.name != host]
        at = random.uniform(FROM_S, end)
        gap = random.choice((0.0, 0.0005, 0.003))
        found: list[tuple[float, str, tuple[object, ...]]] = []
        if random.random() < 0.6:
            found.append((at - 0.002, "publish", (host, topic, random.choice((3, 50, 300)), 0)))
        for _ in range(random.choice((1, 2, 2, 3))):
            found.append((at, "destroy", (host, topic)))
            found.append((at + gap / 4, "create", (host, topic)))
            if random.random() < 0.7:
                found.append((at + gap / 3, "publish", (host, topic, random.randint(1, 5), 0)))
            at += gap
        for _ in range(2):
            begins = at - random.choice(EARLIER_S)
            peer = random.choice(others)
            found.append((begins, "resubscribe", (peer, topic, random.choice((0, 0, 0, 2)))))
            if random.random() < 0.7:
                found.append((at + random.choice(CUT_AFTER_S), "cut", (peer, host, 0.1)))
        if random.random() < 0.5:
            found.append((at - 0.1, "slow", (random.choice(others), 0.3)))
        plan.actions += [Action(*each) for each in found]
    plan.actions.sort(key=lambda action: action.at)
    plan.heal_at = max(plan.heal_at, end + 0.7)
    return plan

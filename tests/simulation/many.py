"""Hosts of many topics for plans: a few messages to each are published in one flush."""

from __future__ import annotations

from random import Random

from tests.simulation.plan import Action, Plan

BEGIN_S = 0.3


def with_many_topics(plan: Plan, share: float = 0.25) -> Plan:
    """Some plans get a host of more topics, which others want. The seed alone decides it."""
    random = Random(f"many topics of {plan.seed}")
    if random.random() >= share:
        return plan
    host = random.choice(plan.nodes)
    host.topics += [f"{host.name}:{number}" for number in range(3, random.choice((5, 9, 13)))]
    for node in plan.nodes:
        if node is host and random.random() < 0.8:
            # Topics that the host itself wants are not batched with others.
            node.names.clear()
            continue
        if random.random() < 0.5:
            node.names.append(f"{host.name}:*")
        else:
            node.names += [name for name in host.topics if random.random() < 0.6]
        node.names[:] = dict.fromkeys(node.names)
    end = max((action.at for action in plan.actions), default=BEGIN_S)
    at = BEGIN_S
    most = random.choice((1, 1, 4))
    while at < end:
        count = random.randint(1, most)
        size = random.choices((0, 100, 3000), (20, 2, 1))[0]
        plan.actions.append(Action(at, "publish_together", (host.name, count, size)))
        at += random.expovariate(1 / random.choice((0.02, 0.1)))
    for node in plan.nodes:
        # While messages flow, a subscription begins anew.
        name = random.choice([*host.topics, f"{host.name}:*"])
        last = 0 if "*" in name else random.choice((0, 1, 7))
        at = random.uniform(1.0, max(end, 1.0))
        plan.actions.append(Action(at, "resubscribe", (node.name, name, last)))
    plan.actions.sort(key=lambda action: action.at)
    return plan

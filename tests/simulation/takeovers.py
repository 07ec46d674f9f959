"""Plans in which another node takes a topic over: a standby, or one that creates it anew."""

from __future__ import annotations

from random import Random

from tests.simulation.plan import Action, Plan
from tests.simulation.schedule import FAULTS_FROM_S, draw

PUBLISHES = 30


def draw_takeovers(seed: int) -> Plan:
    """The plan of a seed, with topics that change hosts: drawn from the seed, and nothing else."""
    plan = draw(seed)
    random = Random(f"takeovers of {seed}")
    hosted = [(node, topic) for node in plan.nodes for topic in node.topics]
    until = max(plan.heal_at, FAULTS_FROM_S + 2.0)
    for host, topic in random.sample(hosted, min(len(hosted), 2)):
        others = [node for node in plan.nodes if node is not host]
        for other in random.sample(others, random.randint(1, min(2, len(others)))):
            if random.random() < 0.8:
                other.standbys.append(topic)
            else:
                at = random.uniform(FAULTS_FROM_S, until)
                plan.actions.append(Action(at, "create", (other.name, topic)))
            for _ in range(PUBLISHES):
                at = random.uniform(0.1, until)
                plan.actions.append(Action(at, "publish", (other.name, topic, 1, 0)))
        for node in plan.nodes:
            if topic not in node.names and random.random() < 0.7:
                node.names.append(topic)
        for _ in range(random.randint(1, 3)):
            at = random.uniform(FAULTS_FROM_S, until)
            lasts = random.uniform(0.2, 1.5)
            peer = random.choice(others).name
            kind, details = random.choice(
                (
                    ("crash", (host.name, random.random() < 0.5, lasts)),
                    ("leave", (host.name, lasts + 1.2)),
                    ("cut", (host.name, peer, lasts)),
                    ("crash", (peer, False, lasts)),
                )
            )
            plan.actions.append(Action(at, kind, details))
            plan.heal_at = max(plan.heal_at, at + lasts + 1.3)
    plan.actions.sort(key=lambda action: action.at)
    return plan

"""Plans in which relays disagree about which incarnation of a host is the newest.

One relay does not hear that the host is gone, and goes on offering the old incarnation, while the
host is back and other relays offer the new one. Meanwhile a node publishes to the host, and paths
to the host are lost and come back.
"""

from __future__ import annotations

from random import Random

from spot.config import Config
from tests.simulation.plan import Action, NodePlan, Plan

QUICK = Config(
    reconnect_min=0.05, reconnect_max=0.1, heartbeat=0.2, peer_timeout=1.0, stable_after=0.3
)
DARK_S = 0.9
"""Less than ``peer_timeout``. When it ends, the relay learns at once that it was late."""


def star(
    relays: str, *, direct: bool = False, before: bool = False
) -> tuple[list[NodePlan], list[tuple[str, str]]]:
    """Relays, each named by a letter, a host and a publisher that dial them, and their pairs.

    ``direct``: the publisher also has a link to the host. ``before``: another relay, r, stands
    between the publisher and the others.
    """
    dialled = [f"tcp://{relay}:1" for relay in relays]
    nodes = [_node(relay, [], relay=True) for relay in relays]
    host = _node("host", list(dialled))
    host.topics.append("t")
    pairs = [(relay, "host") for relay in relays]
    if before:
        nodes.append(_node("r", list(dialled), relay=True))
        pairs += [*((relay, "r") for relay in relays), ("r", "pub")]
        dialled = ["tcp://r:1"]
    else:
        pairs += [(relay, "pub") for relay in relays]
    publisher = _node("pub", dialled)
    if direct:
        publisher.peers.append("tcp://host:1")
        pairs.append(("host", "pub"))
    return [*nodes, host, publisher], pairs


def _node(name: str, peers: list[str], *, relay: bool = False) -> NodePlan:
    return NodePlan(name, QUICK.with_settings(node_id=name, relay=relay), peers=peers)


def restart(at: float, unaware: str, gone_for: float = 0.03) -> list[Action]:
    """The host restarts, and one relay does not hear of it."""
    return [
        Action(at, "blackhole", ("host", unaware, "both", False, DARK_S)),
        Action(at + 0.02, "crash", ("host", False, gone_for)),
    ]


def publish(at: float, count: int) -> Action:
    return Action(at, "publish", ("pub", "t", count, 0))


def draw_stale_relays(seed: int) -> Plan:
    random = Random(seed)
    relays = random.choice(("ab", "ab", "ba", "b", "abc"))
    direct = relays == "b" or random.random() < 0.3
    nodes, pairs = star(relays, direct=direct, before=not direct and random.random() < 0.3)
    if len(relays) > 1 and random.random() < 0.4:
        next(node for node in nodes if node.name == "b").peers.append("tcp://a:1")
        pairs.append(("a", "b"))
    actions = []
    at = 1.0
    if random.random() < 0.5:
        actions.append(publish(0.8, random.randint(1, 3)))
    for _ in range(random.choice((1, 1, 2))):
        unaware = random.choice(relays)
        actions += restart(at, unaware, random.choice((0.02, 0.03, 0.1)))
        for _ in range(random.randint(2, 7)):
            moment = at + 0.1 + random.randint(0, 24) * 0.05
            kind = random.random()
            if kind < 0.55:
                actions.append(publish(moment, random.randint(1, 3)))
            elif kind < 0.6:
                actions.append(Action(moment, "destroy", ("host", "t")))
                actions.append(Action(moment + 0.05, "create", ("host", "t")))
            else:
                pair = random.choice([pair for pair in pairs if pair != (unaware, "host")])
                lasts = random.choice((0.02, 0.02, 0.1, 0.4))
                actions.append(Action(moment, "cut", (*pair, lasts)))
        at += random.choice((0.6, 1.3))
    if random.random() < 0.3:
        slow = random.choice(pairs)
        actions.append(Action(0.7, "latency", (*slow, random.choice((0.05, 0.15)), 3.0)))
    actions.sort(key=lambda action: action.at)
    return Plan(seed, nodes, pairs, actions, at + 2.5)


def draw_stale_streams(seed: int) -> Plan:
    """The same, with subscribers, and a host that publishes, and may leave in good order."""
    plan = draw_stale_relays(seed)
    random = Random(f"streams of {seed}")
    for node in plan.nodes:
        if node.name != "host" and random.random() < (0.8 if node.name == "pub" else 0.25):
            node.names.append("t")
    for _ in range(random.randint(2, 8)):
        moment = random.uniform(0.7, plan.heal_at - 2.3)
        details = ("host", "t", random.randint(1, 20), random.choice((0, 0, 3000)))
        plan.actions.append(Action(moment, "publish", details))
    if random.random() < 0.4:
        moment = 0.9 + random.randint(0, 30) * 0.05
        plan.actions.append(Action(moment, "leave", ("host", random.choice((0.02, 0.1)))))
    plan.actions.sort(key=lambda action: action.at)
    return plan

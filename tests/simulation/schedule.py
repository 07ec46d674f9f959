"""Draws a plan from a seed: nodes, topology, traffic, and what goes wrong when.

The same seed draws the same plan. A plan is data; tests/simulation/world.py carries it out.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random
from typing import Any

from spot.config import Config
from tests.simulation.many import with_many_topics
from tests.simulation.plan import Action, NodePlan, Plan
from tests.simulation.relays import with_relays
from tests.simulation.views import with_members

FAULTS_FROM_S = 1.0


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    return with_readers(with_many_topics(with_relays(with_members(_Draw(Random(seed)).plan(seed)))))


def with_readers(plan: Plan) -> Plan:
    """In half of the nodes the I/O thread reads. The seed alone decides it."""
    random = Random(f"readers of {plan.seed}")
    for node in plan.nodes:
        node.leads = random.random() < 0.5
    return plan


def draw_many_topics(seed: int) -> Plan:
    """The plan of a seed, with a host of many topics."""
    return with_many_topics(with_relays(with_members(_Draw(Random(seed)).plan(seed))), 1.0)


def draw_relays(seed: int) -> Plan:
    """The plan of a seed, with relays if it has three nodes or more."""
    return with_relays(with_members(_Draw(Random(seed)).plan(seed)), 1.0)


def draw_crowd(seed: int, count: int = 120, degree: int = 8, faults: int = 12) -> Plan:
    """A plan with many nodes, each linked with its next ``degree`` in a ring."""
    return _Draw(Random(seed)).crowd(seed, count, degree, faults)


class _Draw:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.actions: list[Action] = []
        self.heal_at = FAULTS_FROM_S
        self.until = FAULTS_FROM_S + random.uniform(2, 6)
        self.names: list[str] = []
        self.pairs: list[tuple[str, str]] = []
        self.topics: dict[str, str] = {}
        self.timeout = 2.0

    def crowd(self, seed: int, count: int, degree: int, faults: int) -> Plan:
        random = self.random
        self.names = [f"n{number}" for number in range(count)]
        nodes = [NodePlan(name, Config(node_id=name, reconnect_max=1.0)) for name in self.names]
        for at, node in enumerate(nodes):
            for step in range(1, degree // 2 + 1):
                peer = nodes[(at + step) % count]
                node.peers.append(f"tcp://{peer.name}:1")
                if random.random() < 0.5:
                    peer.peers.append(f"tcp://{node.name}:1")
                self.pairs.append((node.name, peer.name))
            node.topics = [f"{node.name}:1"]
            node.names = [f"n{(at + step) % count}:1" for step in (-3, -1, 0, 2)]
        self.topics = {f"{name}:1": name for name in self.names}
        for _ in range(faults):
            self._fault()
        for topic, home in self.topics.items():
            for _ in range(5):
                self._do(random.uniform(0.5, self.until), "publish", home, topic, 5, 0)
        end = max(self.heal_at, self.until) + 0.1
        return Plan(seed, nodes, self.pairs, sorted(self.actions, key=_moment), end)

    def plan(self, seed: int) -> Plan:
        random = self.random
        count = random.choices((2, 3, 4, 5), (4, 5, 2, 1))[0]
        self.names = list("abcde"[:count])
        self.base = self._settings()
        nodes = [NodePlan(name, self._config(name)) for name in self.names]
        self.timeout = min(node.config.peer_timeout for node in nodes)
        self.pairs = self._connect(nodes)
        self.topics = {f"{name}:{number}": name for name in self.names for number in (1, 2)}
        for node in nodes:
            own = [topic for topic, home in self.topics.items() if home == node.name]
            node.topics = own[: random.randint(0, 2)]
            node.names = self._subscriptions()
        for _ in range(random.choices((0, 1, 2, 3, 5), (1, 4, 4, 2, 1))[0]):
            self._fault()
        self._core()
        if random.random() < 0.1:
            self._dual()
        end = max(self.heal_at, self.until) + 0.1
        lag = random.choices((0.0, 0.002, self.timeout / 10), (6, 2, 1))[0]
        for node in nodes:
            node.lag = lag if random.random() < 0.5 else 0.0
        latest = random.choices((0.002, 0.01, self.timeout / 12), (3, 3, 1))[0]
        actions = sorted(self.actions, key=_moment)
        return Plan(seed, nodes, self.pairs, actions, end, (0.0002, latest))

    # Nodes

    def _settings(self) -> dict[str, Any]:
        random = self.random
        return {
            "peer_timeout": random.choices((0.3, 0.6, 1.0, 2.0), (1, 2, 3, 3))[0],
            "heartbeat": random.choice((0.1, 0.2, 0.5)),
            "sndhwm": random.choice((4, 60, 2000)),
            "rcvhwm": random.choice((1, 5, 60, 2000)),
            "history_bytes": random.choices((4 << 20, 40_000, 3000, 300, 0), (6, 2, 2, 1, 2))[0],
            "history_total_bytes": random.choices((64 << 20, 60_000, 5000, 0), (9, 1, 1, 1))[0],
            "overflow": random.choice(("catch-up", "catch-up", "error")),
            "send_timeout": random.choice((0.0, 0.1, 1.0, None)),
            "reconnect_max": random.choice((0.2, 1.0, 2.0, 5.0)),
            "stable_after": random.choice((0.3, 2.0)),
        }

    def _config(self, name: str) -> Config:
        settings = dict(self.base)
        if self.random.random() < 0.2:
            settings |= {"peer_timeout": self.random.choice((0.5, 1.5, 3.0))}
        if self.random.random() < 0.2:
            settings |= {"sndhwm": 100, "rcvhwm": self.random.choice((3, 40))}
        if self.random.random() < 0.1:
            settings |= {"max_message_bytes": 66_000}
        if self.random.random() < 0.1:
            settings |= {"history_bytes": self.random.choice((0, 1000, 1 << 20))}
        return Config(node_id=name, **settings)

    def _connect(self, nodes: list[NodePlan]) -> list[tuple[str, str]]:
        random = self.random
        shape = random.choice(("mesh", "mesh", "hub", "chain"))
        everyone = list(combinations(nodes, 2))
        if shape == "hub":
            everyone = [pair for pair in everyone if pair[0] is nodes[0]]
        elif shape == "chain":
            everyone = list(pairwise(nodes))
        who = random.choice(("both", "first", "second", "any"))
        for one, other in everyone:
            dialler = random.choice(("both", "first", "second")) if who == "any" else who
            if dialler != "second":
                one.peers.append(f"tcp://{other.name}:1")
            if dialler != "first":
                other.peers.append(f"tcp://{one.name}:1")
            if random.random() < 0.08:
                alias = random.choice((f"tcp://{other.name}:2", f"tcp://{other.name}.alias:1"))
                one.peers.append(alias)
        if random.random() < 0.04:
            nodes[0].peers.append(f"tcp://{nodes[0].name}:1")
        return [(one.name, other.name) for one, other in everyone]

    def _subscriptions(self) -> list[str]:
        random = self.random
        chosen = [topic for topic in self.topics if random.random() < 0.5]
        if random.random() < 0.3:
            chosen.append(random.choice(("*", f"{random.choice(self.names)}:*", "*:1")))
        return chosen

    # Faults

    def _do(self, at: float, kind: str, *details: Any, lasts: float = 0.0) -> None:
        self.actions.append(Action(at, kind, details))
        self.heal_at = max(self.heal_at, at + lasts)

    def _lasts(self) -> float:
        """A time from a blink to longer than any node waits."""
        return self.random.choice((0.05, 0.3, 1.0, 1.5)) * self.random.uniform(0.3, 2.2)

    def _fault(self) -> None:
        random = self.random
        at = random.uniform(FAULTS_FROM_S, self.until)
        one, other = random.choice(self.pairs)
        if random.random() < 0.5:
            one, other = other, one
        lasts = self._lasts()
        name = random.choice(self.names)
        kind = random.choice(
            (
                *("cut", "cut", "blackhole", "blackhole", "partition", "flap", "crash", "crash"),
                *("leave", "pause", "pause", "slow", "slow", "sleep", "slowdown", "narrow"),
                *("remove", "restarts", "stranger", "hwm", "stagger", "doom", "stuck"),
            )
        )
        if kind == "cut":
            self._do(at, "cut", one, other, lasts, lasts=lasts)
        elif kind == "flap":
            period = random.choice((0.05, 0.3, 0.8))
            for turn in range(random.randint(3, 10)):
                self._do(at + turn * period, "cut", one, other, period / 2, lasts=period)
        elif kind == "blackhole":
            ways = random.choice(("both", "there", "back"))
            holding = random.random() < 0.4
            lasts *= random.choice((1, 2))
            self._do(at, "blackhole", one, other, ways, holding, lasts, lasts=lasts)
        elif kind == "partition":
            self._partition(at, lasts)
        elif kind == "crash":
            self._do(at, "crash", name, random.random() < 0.3, lasts, lasts=lasts)
        elif kind == "restarts":
            for turn in range(3):
                self._do(at + turn, "crash", name, False, 0.3, lasts=0.5)
        elif kind == "leave":
            lasts += 1.2
            self._do(at, "leave", name, lasts, lasts=lasts)
        elif kind == "pause":
            lasts *= random.choice((1, 3))
            self._do(at, "pause", name, random.random() < 0.5, lasts, lasts=lasts)
        elif kind == "sleep":
            self._do(at, "sleep", lasts * 3, lasts=lasts * 3 + 0.1)
        elif kind == "stagger":
            self._do(at, "lag", name, self.timeout / 8, lasts, lasts=lasts)
        elif kind == "slow":
            self._do(at, "slow", name, lasts * 2, lasts=lasts * 2)
        elif kind == "slowdown":
            self._do(at, "latency", one, other, self.timeout / 8, lasts, lasts=lasts)
        elif kind == "narrow":
            self._do(at, "narrow", one, other, 65536.0, lasts * 3, lasts=lasts * 3)
            self._do(at + 0.1, "publish", name, self._topic(), 2, random.choice((9000, 90_000)))
        elif kind == "remove":
            self._do(at, "remove", one, other, lasts, lasts=lasts)
        elif kind == "stranger":
            self._do(at, "stranger", name, random.getrandbits(32))
        elif kind == "doom":
            # Publishes into a blackhole, to a host that then restarts.
            self._do(at, "blackhole", one, other, "both", False, lasts, lasts=lasts)
            for topic in self._topics_of(other):
                self._do(at + 0.01, "publish", one, topic, random.randint(1, 9), 0)
            if random.random() < 0.7:
                self._do(at + 0.1, "crash", other, False, lasts, lasts=lasts)
        elif kind == "stuck":
            # Publishes that wait at the host for a slow subscriber when the link is cut.
            for topic in self._topics_of(other):
                self._do(at, "slow", name, lasts * 2, lasts=lasts * 2)
                for turn in range(5):
                    self._do(at + turn * 0.01, "publish", one, topic, 50, 0)
            self._do(at + 0.1, "cut", one, other, 0.05, lasts=0.05)
        elif kind == "hwm":
            self._do(at, "hwm", name, random.choice((5, 500)), random.choice((2, 7, 500)))

    def _topics_of(self, name: str) -> list[str]:
        return [topic for topic, home in self.topics.items() if home == name]

    def _partition(self, at: float, lasts: float) -> None:
        random = self.random
        side = {name: random.random() < 0.5 for name in self.names}
        kind = random.choice(("cut", "blackhole"))
        for one, other in self.pairs:
            if side[one] == side[other]:
                continue
            if kind == "cut":
                self._do(at, "cut", one, other, lasts, lasts=lasts)
            else:
                self._do(at, "blackhole", one, other, "both", True, lasts, lasts=lasts)

    # Traffic

    def _topic(self) -> str:
        return self.random.choice(list(self.topics))

    def _core(self) -> None:
        random = self.random
        for topic, home in self.topics.items():
            at = 0.05
            pace = random.choice((0.05, 0.2, 1.0))
            remote = random.random() < 0.3
            most = random.choice((1, 8, 80))
            size = random.choices((0, 2000, 70_000), (20, 4, 1))[0]
            while at < self.until and random.random() < 0.97:
                at += random.expovariate(1 / pace)
                name = random.choice(self.names) if remote else home
                self._do(at, "publish", name, topic, random.randint(1, most), size)
        for _ in range(random.randint(0, 6)):
            at = random.uniform(0.2, self.until)
            topic = self._topic()
            kind = random.choice(("subscribe", "unsubscribe", "resubscribe", "create", "destroy"))
            if kind in ("create", "destroy"):
                self._do(at, kind, self.topics[topic], topic)
                if kind == "destroy" and random.random() < 0.7:
                    again = at + random.choice((0, 0.001, 0.5))
                    self._do(again, "create", self.topics[topic], topic)
            else:
                name = random.choice((topic, topic, "*:2"))
                details: list[Any] = [random.choice(self.names), name]
                if kind != "unsubscribe":
                    details.append(0 if "*" in name else random.choice((0, 0, 1, 7, 1000)))
                self._do(at, kind, *details)

    def _dual(self) -> None:
        """Two nodes try to host one topic, which a split lets them do."""
        topic = self._topic()
        for _ in range(2):
            at = self.random.uniform(0.0, self.until)
            self._do(at, "create", self.random.choice(self.names), topic)


def _moment(action: Action) -> float:
    return action.at

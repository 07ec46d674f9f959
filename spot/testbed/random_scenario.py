"""Random scenarios: a seed determines topology, traffic, settings and faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from spot.config import join_list
from spot.testbed.evidence import Effect
from spot.testbed.faults import Fault, parse_fault
from spot.testbed.scenario import FaultStep, Scenario, TrafficSpec
from spot.testbed.topology import NodePair, Topology, build_topology

__all__ = ["RANDOM", "SEED_MAX", "random_scenario"]

T = TypeVar("T")

RANDOM = "random"
"""The name of every random scenario."""
SEED_MAX = 1 << 31

TOPOLOGIES = (("two-node", None), ("mesh", 3), ("mesh", 4), ("hub-spoke", 2), ("hub-spoke", 3))
FAULTS_MAX = 3
LAST_START_S = 2.5
PAUSE_S = 0.4
"""Seconds between two faults that have a node or a link in common."""


class Draw:
    """Draws from a seed. It uses only ``random()``, whose numbers are the same in every Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  not for secrets

    def whole(self, low: int, high: int) -> int:
        """A whole number, both bounds included."""
        return low + int(self._random.random() * (high - low + 1))

    def tenths(self, low: float, high: float) -> float:
        """A number with one decimal."""
        return self.whole(round(low * 10), round(high * 10)) / 10

    def one(self, choices: Sequence[T]) -> T:
        """One of them."""
        return choices[self.whole(0, len(choices) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items, in an order drawn by the seed."""
        left = list(items)
        return [left.pop(self.whole(0, len(left) - 1)) for _ in items]


def random_scenario(seed: int) -> Scenario:
    """The scenario of this seed (0 or more). It takes about ten seconds to run."""
    draw = Draw(seed)
    name, nodes = draw.one(TOPOLOGIES)
    topology = build_topology(name, nodes)
    peer_timeout = draw.tenths(0.5, 1.0)
    settings = {
        "peer_timeout": str(peer_timeout),
        "heartbeat": str(draw.one((0.1, 0.2, 0.5))),
        "reconnect_max": str(draw.one((0.5, 1.0, 2.0))),
        "stable_after": str(draw.one((0.3, 0.5, 1.0))),
        "overflow": draw.one(("catch-up", "catch-up", "error")),
    }
    traffic = TrafficSpec(
        rate=float(draw.one((10, 20, 50, 100))),
        payload_bytes=draw.one((32, 64, 1024, 16_384)),
        publish=(topology.nodes[0].topics[0],) if draw.one((True, False)) else (),
    )
    steps: list[FaultStep] = []
    for _ in range(draw.whole(1, FAULTS_MAX)):
        fault = parse_fault(draw.one(_KINDS)(draw, topology))
        lasts = _lasts(draw, fault, topology, peer_timeout)
        at = draw.tenths(0.3, LAST_START_S)
        steps.append(FaultStep(_free_from(at, lasts, fault, steps, topology), fault, lasts))
    steps.sort(key=lambda step: step.at)
    # Drawn last, so that older seeds still draw the same faults.
    settings |= draw.one(({}, {}, {"history_bytes": "0"}, {"history_bytes": "65536"}))
    if draw.one((True, False)):
        settings["members"] = join_list("members", topology.names)
        settings["require_quorum"] = draw.one(("0", "1"))
    faults = ", ".join(str(step.fault) for step in steps)
    return Scenario(
        name=RANDOM,
        title=f"Drawn from seed {seed}: {faults}",
        topology=topology,
        nodes=nodes,
        timeline=tuple(steps),
        traffic=traffic,
        settings=settings,
        tags=(RANDOM,),
        seed=seed,
    )


def _lasts(draw: Draw, fault: Fault, topology: Topology, peer_timeout: float) -> float:
    effect = fault.effect(topology)
    silent = effect.notice == "silent" or effect.paused
    # Half of the silent faults last long enough to be noticed.
    longest = peer_timeout * 2 if silent else 1.5
    return draw.tenths(0.3, max(longest, 0.3))


def _free_from(
    at: float, lasts: float, fault: Fault, steps: list[FaultStep], topology: Topology
) -> float:
    """The first moment from ``at`` on when no other fault acts on the same nodes and links.

    Two faults on one link would spoil each other's proofs.
    """
    mine = _parts(fault, topology)
    while True:
        busy = [
            step
            for step in steps
            if mine & _parts(step.fault, topology)
            and at < step.end + PAUSE_S
            and step.at < at + lasts + PAUSE_S
        ]
        if not busy:
            return round(at, 1)
        at = max(step.end for step in busy) + PAUSE_S


def _parts(fault: Fault, topology: Topology) -> set[str | NodePair]:
    """Nodes and links that it acts on; a node with all its links."""
    effect: Effect = fault.effect(topology)
    nodes = effect.down | effect.paused
    slowed = {(min(pair), max(pair)) for pair in effect.slowed}
    links = {link for link in topology.links if nodes & set(link)}
    # A reset or a truncated stream breaks a link for a moment, whatever its effect says.
    words = set(str(fault).replace(",", " ").split())
    links |= {link for link in topology.links if words >= set(link)}
    return {*nodes, *links, *slowed, *effect.pairs}


def _on_link(text: Callable[[Draw, str, str], str]) -> Callable[[Draw, Topology], str]:
    def written(draw: Draw, topology: Topology) -> str:
        a, b = draw.shuffled(draw.one(topology.links))
        return text(draw, a, b)

    return written


def _on_node(name: str) -> Callable[[Draw, Topology], str]:
    return lambda draw, topology: f"{name} {draw.one(topology.names)}"


def _partition(draw: Draw, topology: Topology) -> str:
    names = draw.shuffled(topology.names)
    cut = draw.whole(1, len(names) - 1)
    return f"partition {','.join(sorted(names[:cut]))} {','.join(sorted(names[cut:]))}"


_KINDS: tuple[Callable[[Draw, Topology], str], ...] = (
    _on_link(lambda draw, a, b: f"cut {a} {b}"),
    _on_link(lambda draw, a, b: f"blackhole {a} {b}"),
    _on_link(lambda draw, a, b: f"blackhole {a} {b} towards={a}"),
    _on_link(lambda draw, a, b: f"latency {a} {b} latency={draw.whole(5, 80)}"),
    _on_link(lambda draw, a, b: f"bandwidth {a} {b} rate={draw.whole(64, 512)}"),
    _on_link(lambda draw, a, b: f"reset {a} {b}"),
    _on_link(lambda draw, a, b: f"truncate {a} {b} bytes={draw.whole(100, 5000)}"),
    _on_link(lambda draw, a, b: f"flap {a} {b} period={draw.tenths(0.2, 0.6)}"),
    _on_node("crash"),
    _on_node("stop"),
    _on_node("restart"),
    _on_node("pause"),
    _on_node("isolate"),
    _partition,
)

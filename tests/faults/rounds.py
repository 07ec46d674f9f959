"""Rounds of a fault on a proxied link, timed by what the nodes themselves record."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spot.testbed import Cluster, ProxiedLink

__all__ = ["FAULTS", "Round", "play_round"]

Record = dict[str, Any]

RECONNECT_MIN_S, RECONNECT_MAX_S = 0.1, 5.0  # SPOT's defaults
STABLE_S = 0.6
"""A link is left alone for so long before a round, so that its backoff begins anew."""
WAIT_MAX_S = 30.0
POLL_S = 0.02

FAULTS: dict[str, Callable[[ProxiedLink], None]] = {
    "cut": lambda edge: edge.disable(),
    "blackhole": lambda edge: edge.blackhole(),
    "blackhole towards dialler": lambda edge: edge.blackhole(towards=edge.dialler),
    "blackhole towards listener": lambda edge: edge.blackhole(towards=edge.listener),
}


@dataclass
class Round:
    """What one fault and its heal took, in seconds, by node."""

    told: dict[str, float] = field(default_factory=dict)
    """From the moment before the proxy was asked, until ``recv`` raised HostUnreachable."""
    recovered: dict[str, float] = field(default_factory=dict)
    """From the moment before the proxy was asked to heal, until a message was received."""
    step: float = 0.0
    """The backoff step that the dialler was in when it got through."""


class Tail:
    """The records that are appended to a journal from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size
        self._rest = ""

    def read(self) -> Iterator[Record]:
        """What has come since the last call."""
        with self._path.open(encoding="utf-8") as file:
            file.seek(self._offset)
            text = file.read()
        self._offset += len(text.encode())
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        yield from map(json.loads, lines)


def play_round(cluster: Cluster, fault: str) -> Round:
    """One fault and its heal on the link of ``a`` and ``b``. AssertionError if it never ends."""
    edge = cluster.edge("a", "b")
    nodes = edge.pair
    cluster.wait_ready()
    time.sleep(STABLE_S + random.random() / 2)
    tails = {name: Tail(cluster.journal(name)) for name in nodes}
    records: dict[str, list[Record]] = {name: [] for name in nodes}

    def first(name: str, kind: str, after: float) -> Record | None:
        found = (one for one in records[name] if one["kind"] == kind and one["at"] >= after)
        return next(found, None)

    def wait_for_both(kind: str, after: float) -> dict[str, float]:
        deadline = time.monotonic() + WAIT_MAX_S
        while True:
            for name, tail in tails.items():
                records[name] += tail.read()
            found = {name: one for name in nodes if (one := first(name, kind, after))}
            if len(found) == len(nodes):
                return {name: one["at"] for name, one in found.items()}
            assert time.monotonic() < deadline, f"{fault}: no {kind} at both ends"
            time.sleep(POLL_S)

    result = Round()
    begun = time.monotonic()
    try:
        FAULTS[fault](edge)
        for name, at in wait_for_both("host_unreachable", begun).items():
            result.told[name] = at - begun
        time.sleep(random.uniform(0.0, 2.0))  # so that the heal meets any step of the backoff
    finally:
        healed = time.monotonic()
        edge.heal()
    # Messages that were on their way may still come; the first of a new link counts.
    links = wait_for_both("link_up", healed)
    for name, at in wait_for_both("recv", max(links.values())).items():
        result.recovered[name] = at - healed
    waits = [
        one
        for one in records[edge.dialler]
        if "delay" in one and begun <= one["at"] <= links[edge.dialler]
    ]
    result.step = min(RECONNECT_MIN_S * 2 ** (len(waits) - 1), RECONNECT_MAX_S)
    return result

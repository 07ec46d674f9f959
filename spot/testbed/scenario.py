"""Scenarios as data: a topology, its traffic, what happens to it when, and what must hold.

``scenario_file`` reads them from YAML and finds those that are shipped; ``scenario_run`` runs them;
``docs/scenarios.md`` lists every field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import yaml

from spot.config import join_list
from spot.testbed.backends import BACKENDS
from spot.testbed.collect import bounds_of
from spot.testbed.evidence import Bounds
from spot.testbed.expectation import Expectation
from spot.testbed.faults import Fault
from spot.testbed.topology import Topology, build_topology

__all__ = [
    "COMMANDS",
    "COMMAND_OPTIONS",
    "CommandStep",
    "FaultStep",
    "Scenario",
    "Step",
    "TrafficSpec",
]

DURATION_MIN_S = 1.0
"""Shorter runs publish too little to judge."""

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "remove": ("peer",),
    "add": ("peer",),
    "sync": (),
    "quiet": (),
    "create": ("topic",),
    "destroy": ("topic",),
    "subscribe": ("topic",),
    "unsubscribe": ("topic",),
    "route": ("topic", "peer"),
    "publish": ("topic", "data"),
}
"""The commands that a node takes, and the fields that each needs."""

COMMAND_OPTIONS: Mapping[str, Mapping[str, type]] = {
    "create": {"history_bytes": int, "standby": bool},
    "subscribe": {"last": int},
    "route": {"backups": list, "replace": bool},
}
"""The optional fields of each command and their types. A list holds node names."""


@dataclass(frozen=True)
class TrafficSpec:
    """What every node publishes."""

    rate: float = 20.0
    """Messages a second to each of a node's topics. 0: none."""
    payload_bytes: int = 64
    publish: tuple[str, ...] = ()
    """Topics to which all other nodes publish as well, at the same rate."""


@dataclass(frozen=True)
class FaultStep:
    """A fault that acts for a while, once or several times."""

    at: float
    """Seconds after all nodes were ready."""
    fault: Fault
    lasts: float | None = None
    """Seconds until it is healed. None: at the end, with all other faults that still act."""
    times: int = 1
    every: float | None = None
    """Seconds from one time to the next. None: it acts once."""

    @property
    def starts(self) -> tuple[float, ...]:
        """When it is applied, each time."""
        return tuple(self.at + (self.every or 0.0) * time for time in range(self.times))

    @property
    def end(self) -> float:
        """When the last one is healed, or applied if the run's end heals it."""
        return self.starts[-1] + (self.lasts or 0.0)


@dataclass(frozen=True)
class CommandStep:
    """A command to one node."""

    at: float
    """Seconds after all nodes were ready."""
    node: str
    do: str
    """One of ``COMMANDS``."""
    arguments: Mapping[str, str | bool | int | list[str]] = field(default_factory=dict)
    error: str | None = None
    """The error that it must end with, such as ``EHOSTUNREACH``. None: it must succeed."""

    @property
    def end(self) -> float:
        """When it is told."""
        return self.at

    @property
    def text(self) -> str:
        """In a few words: ``b: remove a``."""
        words = [value for value in self.arguments.values() if isinstance(value, str)]
        return f"{self.node}: {' '.join([self.do, *words])}"


Step = FaultStep | CommandStep


@dataclass(frozen=True)
class Scenario:
    """One scenario. Made by ``read_scenario`` or ``random_scenario``, which check it."""

    name: str
    title: str
    topology: Topology
    timeline: tuple[Step, ...]
    nodes: int | None = None
    """Nodes of a mesh or spokes of a hub-spoke, if the topology is named. None: its default."""
    traffic: TrafficSpec = TrafficSpec()
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of all nodes, by the library's names."""
    duration: float | None = None
    """Seconds from ready until the last fault is healed. None: until the timeline has ended."""
    holds: tuple[str, ...] | None = None
    """Names of the guarantees that are judged. None: all."""
    expectations: tuple[Expectation, ...] = ()
    """What this scenario must show, and what it must not show."""
    tags: tuple[str, ...] = ()
    backends: tuple[str, ...] = BACKENDS
    """The backends that it can run on."""
    alone: bool = False
    """Its time limits are so tight that nothing else should run beside it."""
    program: tuple[str, ...] | None = None
    """The command that runs as each node, on processes. None: SPOT's own node program."""
    image: str | None = None
    """The image that runs as each node, in containers. None: SPOT's own."""
    seed: int | None = None
    """The seed of a random scenario. None: not a random one."""

    @property
    def length(self) -> float:
        """Seconds from ready until everything is healed."""
        last = max((step.end for step in self.timeline), default=0.0)
        return max(DURATION_MIN_S, last) if self.duration is None else self.duration

    @property
    def fault_steps(self) -> Iterator[FaultStep]:
        """The faults of the timeline, as written."""
        return (step for step in self.timeline if isinstance(step, FaultStep))

    @property
    def bounds(self) -> Bounds:
        """The times that these settings promise."""
        return bounds_of(self.variables)

    @property
    def variables(self) -> dict[str, str]:
        """``SPOT_*`` variables of all nodes."""
        return {
            **{f"SPOT_{name.upper()}": value for name, value in self.settings.items()},
            "SPOT_PAYLOAD_BYTES": str(self.traffic.payload_bytes),
            "SPOT_PUBLISH": join_list("publish", self.traffic.publish),
        }

    def to_yaml(self) -> str:
        """The text of a file that ``read_scenario`` reads as the same scenario."""
        return str(
            yaml.safe_dump(dict(self._document()), sort_keys=False, allow_unicode=True, width=100)
        )

    def _document(self) -> Iterator[tuple[str, Any]]:
        yield "name", self.name
        yield "title", self.title
        if self.seed is not None:
            yield "seed", self.seed
        if self.tags:
            yield "tags", list(self.tags)
        yield from self._topology()
        traffic = {"rate": self.traffic.rate, "payload_bytes": self.traffic.payload_bytes}
        publish = {"publish": list(self.traffic.publish)} if self.traffic.publish else {}
        yield "traffic", {**traffic, **publish}
        if self.settings:
            yield "settings", dict(self.settings)
        yield "timeline", [dict(_step(step)) for step in self.timeline]
        if self.duration is not None:
            yield "duration", self.duration
        if self.holds is not None:
            yield "holds", list(self.holds)
        for key, must in (("must", True), ("must_not", False)):
            if chosen := [item for item in self.expectations if item.must is must]:
                yield key, [dict(_expectation(item)) for item in chosen]
        if self.backends != BACKENDS:
            yield "backends", list(self.backends)
        if self.alone:
            yield "alone", True
        if self.program:
            yield "program", list(self.program)
        if self.image:
            yield "image", self.image

    def _topology(self) -> Iterator[tuple[str, Any]]:
        yield "topology", self.topology.name
        if is_built_in(self.topology, self.nodes):
            if self.nodes is not None:
                yield "nodes", self.nodes
            return
        nodes = {}
        for node in self.topology.to_json()["nodes"]:
            said = {key: value for key, value in node.items() if value and key != "name"}
            said = {key: list(value) for key, value in said.items() if not isinstance(value, bool)}
            said |= {} if node["binds"] else {"binds": False}
            nodes[node["name"]] = {**said, **({"relay": True} if node["relay"] else {})}
        yield "nodes", nodes


def is_built_in(topology: Topology, nodes: int | None) -> bool:
    """Whether ``build_topology`` makes this one of its name."""
    try:
        return build_topology(topology.name, nodes) == topology
    except ValueError:
        return False


def _step(step: Step) -> Iterator[tuple[str, Any]]:
    yield "at", step.at
    if isinstance(step, FaultStep):
        yield "fault", str(step.fault)
        if step.lasts is not None:
            yield "for", step.lasts
        if step.every is not None:
            yield "times", step.times
            yield "every", step.every
        return
    yield "node", step.node
    yield "do", step.do
    yield from step.arguments.items()
    if step.error:
        yield "error", step.error


def _expectation(item: Expectation) -> Iterator[tuple[str, Any]]:
    yield "name", item.name
    for key in ("node", "kind", "fields", "during", "after", "within", "at_least", "at_most"):
        value = getattr(item, key)
        default = next(one.default for one in fields(Expectation) if one.name == key)
        if value not in (default, {}):
            yield key, dict(value) if key == "fields" else value

"""Scenario files: reads them from YAML, checks every field, and finds the shipped ones."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from spot.config import Config
from spot.errors import InvalidArgument
from spot.program.settings import variable_text
from spot.testbed.backends import BACKENDS
from spot.testbed.checkers import CHECKERS
from spot.testbed.errors import ClusterError
from spot.testbed.expectation import Expectation
from spot.testbed.faults import Fault, Late, parse_fault
from spot.testbed.faults.overlap import obstacle
from spot.testbed.journal import KINDS
from spot.testbed.node_names import check_name, check_names, check_topology_name
from spot.testbed.scenario import (
    COMMAND_OPTIONS,
    COMMANDS,
    CommandStep,
    FaultStep,
    Scenario,
    Step,
    TrafficSpec,
)
from spot.testbed.topology import NODES_MAX, TOPOLOGIES, NodeSpec, Topology, build_topology
from spot.testbed.variables import OWN_SETTINGS, check_node_lists
from spot.testbed.yaml_reader import (
    BadScenario,
    Place,
    Reader,
    number,
    read_yaml,
    text,
    truth,
    whole,
)

__all__ = ["UnknownScenario", "find_scenario", "parse_scenario", "read_scenario", "shipped"]

T = TypeVar("T")

LENGTH_MAX_S = 3600.0
TIMES_MAX = 1000
RATE_MAX = 1_000_000.0
PAYLOAD_MAX_BYTES = 64 << 20


class UnknownScenario(ClusterError, LookupError):
    """There is no scenario of this name, nor a file."""


def shipped() -> dict[str, Path]:
    """The files of the scenarios that come with SPOT, by their names, in alphabetical order."""
    package = Path(__file__).resolve().parent
    # An installed package has them beside this file, a clone (or editable install) at its root.
    folder = next(
        (
            found
            for found in (package / "scenarios", package.parent.parent / "scenarios")
            if found.is_dir()
        ),
        None,
    )
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))} if folder else {}


def find_scenario(name: str) -> Scenario:
    """The shipped scenario of this name, or the one in this file.

    Raises UnknownScenario, BadScenario.
    """
    known = shipped()
    if name in known:
        return read_scenario(known[name])
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return read_scenario(path)
    raise UnknownScenario(
        f"there is no scenario {name!r}: 'spot scenario list' names those that come with SPOT, and "
        "a file of your own ends in .yaml"
    )


def read_scenario(path: Path) -> Scenario:
    """The scenario in this file. Raises UnknownScenario when it can't be read, BadScenario."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnknownScenario(f"the scenario file {path} can't be read: {error}") from error
    return parse_scenario(content, str(path))


def parse_scenario(content: str, file: str) -> Scenario:
    """The scenario in this text. ``file`` names it in errors, and its stem is the default name.

    Raises BadScenario, which says file, line, field, value and what to do.
    """
    reader = Reader(read_yaml(content, file), "a scenario's fields, such as 'title: ...'")
    topology, nodes = _topology(reader)
    traffic = reader.take("traffic", _traffic, TrafficSpec())
    settings = reader.take("settings", _settings, {})
    timeline = reader.take("timeline", lambda place: _timeline(place, topology), ())
    must = reader.take("must", lambda place: _expectations(place, topology, must=True), ())
    must_not = reader.take("must_not", lambda place: _expectations(place, topology, must=False), ())
    expected = (*must, *must_not)
    program = reader.take("program", _texts, None)
    image = reader.take("image", text, None)
    # The user's own node is a command on processes, and an image in containers.
    own = {"process": program, "docker": image}
    own_backends = tuple(name for name in BACKENDS if own[name]) or BACKENDS
    scenario = Scenario(
        name=reader.take("name", _name, Path(file).stem),
        title=reader.take("title", text),
        topology=topology,
        nodes=nodes,
        timeline=timeline,
        traffic=traffic,
        settings=settings,
        duration=reader.take("duration", number(1, LENGTH_MAX_S), None),
        holds=reader.take("holds", _one_of_each(CHECKERS, "guarantee"), None),
        expectations=tuple(item for item, _ in expected),
        tags=reader.take("tags", _texts, ()),
        backends=reader.take("backends", _one_of_each(BACKENDS, "backend"), own_backends),
        alone=reader.take("alone", truth, False),
        program=program,
        image=image,
        seed=reader.take("seed", whole(0, 1 << 63, "a seed"), None),
    )
    reader.end()
    _check_faults_named(scenario, expected)
    if not (scenario.program or scenario.image):  # which may record kinds and fields of their own
        _check_kinds(expected)
    if scenario.duration is not None:
        for step in timeline:
            if step.end > scenario.duration:
                reader.at("duration").fail(
                    f"{scenario.duration:g} is over before the timeline is: its last step ends at "
                    f"{max(step.end for step in timeline):g} s. Write at least that"
                )
    return scenario


def _name(place: Place) -> str:
    name = text(place)
    if not all(sign.isalnum() or sign in "-_." for sign in name) or name.startswith("."):
        place.fail(f"{name!r} is no name: use letters, digits, '-', '_' and '.'")
    return name


def _texts(place: Place) -> tuple[str, ...]:
    return tuple(text(entry) for entry in place.items("texts"))


def _one_of(known: Mapping[str, Any] | tuple[str, ...], what: str) -> Callable[[Place], str]:
    def read(place: Place) -> str:
        value = text(place)
        if value not in known:
            place.fail(f"there is no {what} {value!r}: take one of {', '.join(known)}")
        return value

    return read


def _one_of_each(
    known: Mapping[str, Any] | tuple[str, ...], what: str
) -> Callable[[Place], tuple[str, ...]]:
    def read(place: Place) -> tuple[str, ...]:
        found = tuple(_one_of(known, what)(entry) for entry in place.items(f"{what}s"))
        if not found:
            place.fail(f"it is empty: name a {what}, or leave the field out to have all")
        return found

    return read


def _checked(place: Place, check: Callable[[], T]) -> T:
    """Returns what ``check`` returns. Its error becomes a BadScenario that names this place."""
    try:
        return check()
    except BadScenario:
        raise
    except (ClusterError, InvalidArgument) as error:
        place.fail(str(error))


def _topology(reader: Reader) -> tuple[Topology, int | None]:
    place = reader.at("nodes")
    if reader.has("nodes") and not isinstance(place.value, int):
        name = reader.take("topology", _name, "own")
        if name in TOPOLOGIES:
            reader.at("topology").fail(
                f"{name} has nodes of its own: write a number of nodes, or another name here"
            )
        specs = reader.take("nodes", _nodes)
        _checked(place, lambda: check_names(spec.name for spec in specs))
        _checked(reader.at("topology"), lambda: check_topology_name(name))
        return _checked(place, lambda: Topology(name, specs)), None
    name = reader.take("topology", _one_of(tuple(TOPOLOGIES), "topology"))
    nodes = reader.take("nodes", whole(1, NODES_MAX, "nodes"), None)
    return _checked(place, lambda: build_topology(name, nodes)), nodes


def _nodes(place: Place) -> tuple[NodeSpec, ...]:
    entries = place.entries("a number, or nodes by their names")
    if not 1 <= len(entries) <= NODES_MAX:
        place.fail(f"{len(entries)} nodes won't do: write 1 to {NODES_MAX}")
    return tuple(_node(name, entry) for name, entry in entries.items())


def _node(name: str, place: Place) -> NodeSpec:
    reader = Reader(place, "its fields, such as 'peers: [a]'")
    spec = NodeSpec(
        name,
        peers=reader.take("peers", _texts, ()),
        topics=reader.take("topics", _texts, ()),
        subscribe=reader.take("subscribe", _texts, ()),
        publish=reader.take("publish", _texts, ()),
        binds=reader.take("binds", truth, True),
        relay=reader.take("relay", truth, False),
    )
    reader.end()
    _checked(place, lambda: check_name(name))
    _checked(place, lambda: check_node_lists(spec))
    return spec


def _traffic(place: Place) -> TrafficSpec:
    reader = Reader(place, "its fields, such as 'rate: 20'")
    traffic = TrafficSpec(
        rate=reader.take("rate", number(0, RATE_MAX, "messages a second"), TrafficSpec.rate),
        payload_bytes=reader.take(
            "payload_bytes", whole(1, PAYLOAD_MAX_BYTES, "bytes"), TrafficSpec.payload_bytes
        ),
        publish=reader.take("publish", _texts, ()),
    )
    _checked(reader.at("publish"), lambda: variable_text("publish", traffic.publish))
    reader.end()
    return traffic


def _settings(place: Place) -> dict[str, str]:
    known = tuple(item.name for item in fields(Config) if item.name not in OWN_SETTINGS)
    entries = place.entries("settings of the library, such as 'peer_timeout: 0.6'")
    found = {}
    for name, entry in entries.items():
        if name not in known:
            entry.fail(f"there is no setting {name}: take one of {', '.join(known)}")
        value = entry.value
        if isinstance(value, bool) or not isinstance(value, str | int | float | list):
            entry.fail(f"{value!r} is neither a number nor text, nor a list of texts")
        found[name] = _checked(entry, partial(variable_text, name, value))
    variables = {f"SPOT_{name.upper()}": value for name, value in found.items()}
    try:
        Config.from_env(variables)
    except InvalidArgument as error:
        # Two settings contradict each other: report the one that the error names first.
        guilty = min((at, name) for name in found if (at := str(error).lower().find(name)) >= 0)[1]
        entries[guilty].fail(str(error))
    return found


def _timeline(place: Place, topology: Topology) -> tuple[Step, ...]:
    entries = [(entry, _step(entry, topology)) for entry in place.items("steps")]
    faults = [(entry, step) for entry, step in entries if isinstance(step, FaultStep)]
    for (at_first, (where, first)), (at_second, (entry, second)) in itertools.permutations(
        enumerate(faults), 2
    ):
        met = _met(first, second, tie=at_first < at_second)
        why = obstacle(first.fault, second.fault, topology) if met is not None else None
        if why is not None:
            Reader(entry, "a step's fields").at("fault").fail(
                f"'{second.fault}' at {met:g} s can't be applied while '{first.fault}' of line "
                f"{where.line} acts, as {why}: let that end before, or this begin later"
            )
    return tuple(step for _, step in entries)


def _met(first: FaultStep, second: FaultStep, *, tie: bool) -> float | None:
    """When the second fault first begins while the first one acts. None: never.

    ``tie``: if both begin at the same moment, the first counts as the earlier one. A fault that
    ends at the moment when the second begins still acts.
    """
    if first.fault.is_momentary:
        return None
    begins = bisect.bisect_right if tie else bisect.bisect_left
    for at in second.starts:
        place = begins(first.starts, at) - 1
        # Each time of a repeated fault is over before the next.
        if place >= 0 and (first.lasts is None or at <= first.starts[place] + first.lasts):
            return at
    return None


def _step(place: Place, topology: Topology) -> Step:
    reader = Reader(place, "a step's fields, such as 'at: 1'")
    at = reader.take("at", number(0, LENGTH_MAX_S))
    step: Step
    if reader.has("fault") == reader.has("do"):
        place.fail("write either 'fault: ...' or 'node: ...' with 'do: ...'")
    if reader.has("fault"):
        step = FaultStep(
            at,
            reader.take("fault", lambda place: _fault(place, topology)),
            lasts=reader.take("for", number(0, LENGTH_MAX_S), None),
            times=reader.take("times", whole(1, TIMES_MAX, "times"), 1),
            every=reader.take("every", number(0.01, LENGTH_MAX_S), None),
        )
        _check_repeated(reader, step)
        if isinstance(step.fault, Late) and (at, step.times) != (0, 1):
            reader.at("at").fail("a node is late from the start, once: write 'at: 0'")
    else:
        do = reader.take("do", _one_of(COMMANDS, "command"))
        step = CommandStep(
            at,
            reader.take("node", _one_of(topology.names, "node")),
            do,
            {
                **{name: reader.take(name, _argument(name, topology)) for name in COMMANDS[do]},
                **{
                    name: reader.take(name, _option(name, kind, topology))
                    for name, kind in COMMAND_OPTIONS.get(do, {}).items()
                    if reader.has(name)
                },
            },
            error=reader.take("error", text, None),
        )
    reader.end()
    return step


def _check_repeated(reader: Reader, step: FaultStep) -> None:
    if (step.times > 1) != (step.every is not None):
        reader.place.fail("'times: 10' needs 'every: 0.5' (seconds from one to the next), and back")
    if step.every is not None and not (step.lasts is not None and step.lasts < step.every):
        reader.at("for").fail("a fault that comes again must end before: write 'for: ' < 'every: '")


def _fault(place: Place, topology: Topology) -> Fault:
    written = text(place)

    def parsed() -> Fault:
        fault = parse_fault(written)
        fault.check(topology)
        return fault

    return _checked(place, parsed)


def _argument(name: str, topology: Topology) -> Callable[[Place], str]:
    return _one_of(topology.names, "node") if name == "peer" else text


def _option(name: str, kind: type, topology: Topology) -> Callable[[Place], bool | int | list[str]]:
    if kind is bool:
        return truth
    if kind is int:
        return whole(0, 1 << 40, "bytes" if name.endswith("bytes") else "messages")
    return lambda place: [_one_of(topology.names, "node")(entry) for entry in place.items("nodes")]


def _expectations(
    place: Place, topology: Topology, *, must: bool
) -> tuple[tuple[Expectation, Reader], ...]:
    """The expectations, each with the place of its fields."""
    return tuple(
        _expectation(entry, topology, must=must) for entry in place.items("what is expected")
    )


def _expectation(place: Place, topology: Topology, *, must: bool) -> tuple[Expectation, Reader]:
    reader = Reader(place, "its fields, such as 'kind: host_unreachable'")
    when: dict[str, int | str | None] = {
        name: reader.take(name, _fault_named, None) for name in ("during", "after")
    }
    if when["during"] is not None and when["after"] is not None:
        reader.at("after").fail("write either 'during: ...' or 'after: ...'")
    expectation = Expectation(
        name=reader.take("name", text),
        kind=reader.take("kind", text),
        node=reader.take("node", _one_of(topology.names, "node"), None),
        fields=reader.take("fields", _fields, {}),
        during=when["during"],
        after=when["after"],
        within=reader.take("within", number(0, LENGTH_MAX_S), None),
        at_least=reader.take("at_least", whole(0, 1 << 31, "records"), 1),
        at_most=reader.take("at_most", whole(0, 1 << 31, "records"), None),
        must=must,
    )
    reader.end()
    return expectation, reader


def _fields(place: Place) -> dict[str, Any]:
    return {name: entry.value for name, entry in place.entries("fields of the record").items()}


def _fault_named(place: Place) -> int | str:
    value = place.value
    if isinstance(value, bool) or not isinstance(value, int | str):
        place.fail(f"{value!r} names no fault: write its number in the timeline, or its text")
    return value


def _check_kinds(expected: Iterable[tuple[Expectation, Reader]]) -> None:
    """Checks kinds and fields, as a misspelt one would never match, and so pass a ``must_not``."""
    for item, reader in expected:
        if item.kind not in KINDS:
            reader.at("kind").fail(
                f"{item.name}: there is no kind of record {item.kind!r}: take one of "
                f"{', '.join(KINDS)}"
            )
        for name in item.fields:
            if name not in KINDS[item.kind]:
                reader.at("fields").entries("fields of the record")[name].fail(
                    f"{item.name}: a record of kind {item.kind!r} has no field {name!r}: take one "
                    f"of {', '.join(KINDS[item.kind]) or 'none'}"
                )


def _check_faults_named(scenario: Scenario, expected: Iterable[tuple[Expectation, Reader]]) -> None:
    """Checks that every fault that an expectation names is in the timeline."""
    faults = [str(step.fault) for step in scenario.fault_steps for _ in step.starts]
    known = {*faults, *(fault.split()[0] for fault in faults)}
    for item, reader in expected:
        for field, name in (("during", item.during), ("after", item.after)):
            if name is None or name in known:
                continue
            if isinstance(name, int) and 1 <= name <= len(faults):
                continue
            reader.at(field).fail(
                f"{item.name}: there is no fault {name!r} in the timeline: it has "
                f"{', '.join(dict.fromkeys(faults)) or 'none'}"
            )

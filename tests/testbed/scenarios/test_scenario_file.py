import pytest

from spot.testbed.scenario import CommandStep, FaultStep, Scenario
from spot.testbed.scenario_file import UnknownScenario, find_scenario, parse_scenario
from spot.testbed.yaml_reader import BadScenario

WHOLE = """\
name: whole
title: Everything that a file can say
topology: own
nodes:
  a: {topics: [a:data], subscribe: ["b:*"]}
  b: {peers: [a], topics: [b:data], publish: [a:data], binds: false}
traffic: {rate: 5, payload_bytes: 100, publish: [a:data]}
settings: {peer_timeout: 0.6, overflow: error, reconnect_min: 0.02, reconnect_max: 0.04}
timeline:
  - {at: 0, fault: late a, for: 1}
  - {at: 1, fault: latency a b latency=20, for: 0.5, times: 2, every: 1}
  - {at: 1.5, node: b, do: route, topic: a:data, peer: a, replace: true, error: EHOSTUNREACH}
  - {at: 2, fault: cut a b}
duration: 9
holds: [order, no-duplicate]
must:
  - {name: one, node: a, kind: recv, fields: {topic: [x, y]}, during: cut, within: 1, at_most: 0}
must_not:
  - {name: two, kind: link_down, after: 2, at_least: 3}
tags: [x]
backends: [process]
alone: true
program: [python, node.py]
image: mine
seed: 4
"""


def test_whole_file_is_read() -> None:
    """Each field has to reach the run that it was written for."""
    read = parse_scenario(WHOLE, "x.yaml")
    assert read.topology.names == ("a", "b")
    assert not read.topology.node("b").binds
    assert read.topology.node("b").publish == ("a:data",)
    assert read.traffic.publish == ("a:data",)
    late, latency, route, cut = read.timeline
    assert isinstance(late, FaultStep)
    assert isinstance(latency, FaultStep)
    assert isinstance(cut, FaultStep)
    assert (str(late.fault), late.lasts) == ("late a", 1.0)
    assert (latency.starts, latency.end) == ((1.0, 2.0), 2.5)
    assert cut.lasts is None
    assert route == CommandStep(
        1.5, "b", "route", {"topic": "a:data", "peer": "a", "replace": True}, "EHOSTUNREACH"
    )
    assert read.length == 9
    assert read.holds == ("order", "no-duplicate")
    one, two = read.expectations
    assert (one.must, one.at_most, two.must, two.after) == (True, 0, False, 2)
    assert (read.bounds.peer_timeout, read.bounds.reconnect_max) == (0.6, 0.04)
    assert (read.alone, read.backends, read.seed) == (True, ("process",), 4)
    assert (read.program, read.image) == (("python", "node.py"), "mine")


def test_file_that_is_written_is_read_as_the_same_scenario() -> None:
    """A plan that came back otherwise could not be run again."""
    read = parse_scenario(WHOLE, "x.yaml")
    assert parse_scenario(read.to_yaml(), "other.yaml") == read


def test_short_file_has_defaults() -> None:
    """Most files say three things."""
    read = parse_scenario("title: t\ntopology: mesh", "folder/short.yaml")
    assert read == Scenario("short", "t", read.topology, (), None)
    assert len(read.topology.names) == 3
    assert read.length == 1


def test_own_program_chooses_its_backend() -> None:
    """A command is no image: a run on containers would judge SPOT's node in its place."""
    head = "title: t\ntopology: mesh\n"
    assert parse_scenario(head + "program: [x]", "x.yaml").backends == ("process",)
    assert parse_scenario(head + "image: x", "x.yaml").backends == ("docker",)


MESH = "title: t\ntopology: mesh\n"
STEP = MESH + "timeline:\n  - "


@pytest.mark.parametrize(
    ("text", "line", "field", "why"),
    [
        ("", None, "", "empty"),
        ("title: [", 1, "", "no YAML"),
        ("- a", 1, "", "no mapping"),
        ("title: t", 1, "", "topology is missing"),
        ("topology: mesh", 1, "", "title is missing"),
        (MESH + "titel: x", 3, "titel", "no field titel: take one of"),
        (MESH + "title: x", 3, "", "title is written twice"),
        (MESH + "7: x", 3, "", "7 is no text"),
        ("title: 5\ntopology: mesh", 1, "title", "5 is no text"),
        ("title: t\ntopology: ring", 2, "topology", "two-node, mesh, hub-spoke"),
        (MESH + "nodes: 500", 3, "nodes", "from 1 to 200"),
        (MESH + "nodes: 1", 3, "nodes", "mesh can have 2 to 200"),
        (MESH + "nodes: true", 3, "nodes", "True"),
        (MESH + "nodes: {a: {}}", 2, "topology", "another name"),
        ("title: t\nnodes: {a: {peers: [z]}}", 2, "nodes", "adds z"),
        ("title: t\nnodes:\n  a:\n    topic: x", 4, "nodes.a.topic", "no field topic"),
        ("title: t\nnodes: {}", 2, "nodes", "0 nodes"),
        ("title: t\nnodes: {a: {topics: ['*']}}", 2, "nodes.a", "topics"),
        (MESH + "traffic: {rate: fast}", 3, "traffic.rate", "'fast' is no number"),
        (MESH + "traffic: {rate: 1e9}", 3, "traffic.rate", "1e+09 is out of bounds"),
        (MESH + "traffic: {rate: -1}", 3, "traffic.rate", "-1 is out of bounds"),
        (MESH + "traffic: {payload_bytes: 0}", 3, "traffic.payload_bytes", "0 won't do"),
        (MESH + "settings: {peer_time: 1}", 3, "settings.peer_time", "peer_timeout"),
        (MESH + "settings:\n  peer_timeout: 0.1", 4, "settings.peer_timeout", "at least 0.3"),
        (
            MESH + "settings: {peer_timeout: 0}",
            3,
            "settings.peer_timeout",
            "settings.peer_timeout: peer_timeout must be a number of seconds, at least 0.3, not 0",
        ),
        (MESH + "settings: {reconnect_min: 9}", 3, "settings.reconnect_min", "9.0 is larger than"),
        (MESH + "settings: {bind: x}", 3, "settings.bind", "no setting bind"),
        (MESH + "settings: {sndhwm: yes}", 3, "settings.sndhwm", "neither a number nor text"),
        (MESH + "timeline: cut a b", 3, "timeline", "no list"),
        (STEP + "{fault: cut a b}", 4, "timeline[0]", "at is missing"),
        (STEP + "{at: 1}", 4, "timeline[0]", "either 'fault"),
        (STEP + "{at: 1, fault: cut a b, node: a, do: sync}", 4, "timeline[0]", "either 'fault"),
        (STEP + "{at: 1, fault: bite a b}", 4, "timeline[0].fault", "no fault 'bite'"),
        (STEP + "{at: 1, fault: cut a z}", 4, "timeline[0].fault", "'z'"),
        (STEP + "{at: 1, fault: cut a}", 4, "timeline[0].fault", "cut A B"),
        (STEP + "{at: .nan, fault: cut a b}", 4, "timeline[0].at", "nan is out of bounds"),
        (STEP + "{at: 1, fault: cut a b, for: x}", 4, "timeline[0].for", "'x' is no number"),
        (STEP + "{at: 1, fault: cut a b, times: 3}", 4, "timeline[0]", "every"),
        (
            STEP + "{at: 1, fault: cut a b, times: 3, every: 1, for: 1}",
            4,
            "timeline[0].for",
            "must end before",
        ),
        (STEP + "{at: 1, fault: late a}", 4, "timeline[0].at", "write 'at: 0'"),
        (STEP + "{at: 1, node: z, do: sync}", 4, "timeline[0].node", "no node 'z'"),
        (STEP + "{at: 1, node: a, do: dance}", 4, "timeline[0].do", "no command 'dance'"),
        (STEP + "{at: 1, node: a, do: remove}", 4, "timeline[0]", "peer is missing"),
        (STEP + "{at: 1, node: a, do: sync, peer: b}", 4, "timeline[0].peer", "no field peer"),
        (
            "title: t\ntopology: mesh\ntimeline:\n  - {at: 3, fault: cut a b, for: 2}\nduration: 4",
            5,
            "duration",
            "Write at least that",
        ),
        (MESH + "holds: [luck]", 3, "holds[0]", "no guarantee 'luck'"),
        (MESH + "holds: []", 3, "holds", "empty"),
        (MESH + "backends: [cloud]", 3, "backends[0]", "no backend 'cloud'"),
        (MESH + "alone: 1", 3, "alone", "neither true nor false"),
        (MESH + "must: [{kind: recv}]", 3, "must[0]", "name is missing"),
        (
            MESH + "must_not:\n  - name: n\n    kind: recieve",
            5,
            "must_not[0].kind",
            "no kind of record 'recieve'",
        ),
        (
            MESH + "must_not: [{name: n, kind: recv, fields: {topics: t}}]",
            3,
            "must_not[0].fields.topics",
            "a record of kind 'recv' has no field 'topics': take one of topic, seq",
        ),
        (MESH + "must: [{name: n, kind: recv, node: z}]", 3, "must[0].node", "no node 'z'"),
        (
            MESH + "must: [{name: n, kind: recv, during: cut}]",
            3,
            "must[0].during",
            "no fault 'cut'",
        ),
        (MESH + "must: [{name: n, kind: recv, during: 1, after: 1}]", 3, "must[0].after", "either"),
        (MESH + "name: a/b", 3, "name", "no name"),
    ],
)
def test_error_says_file_line_field_and_what_to_do(
    text: str, line: int | None, field: str, why: str
) -> None:
    """Whoever writes a scenario at night must not have to search."""
    with pytest.raises(BadScenario) as caught:
        parse_scenario(text, "mine.yaml")
    error = caught.value
    assert (error.file, error.line, error.field) == ("mine.yaml", line, field)
    assert why in str(error)
    assert str(error).startswith("mine.yaml")
    assert line is None or f"line {line}" in str(error)


TWICE = (
    MESH
    + """\
timeline:
  - {{at: 1, fault: "{first}", for: 2}}
  - {{at: {at}, fault: "{second}", for: 1}}
"""
)


@pytest.mark.parametrize(
    ("first", "second", "at", "why"),
    [
        ("cut a b", "cut b a", 2, "the link a - b is cut then"),
        ("cut a b", "cut a b", 1, "the link a - b is cut then"),
        ("cut a b", "cut a b", 3, "the link a - b is cut then"),
        ("cut a b", "blackhole a b towards=a", 2, "the link a - b is cut then"),
        ("partition a,b c", "flap c a", 2, "the link a - c is cut then"),
        ("latency a b latency=9", "latency a b latency=5", 2, "a latency on the link a - b then"),
        ("blackhole a b", "blackhole a b towards=a", 2, "a blackhole on the link a - b then"),
        ("crash a", "crash a", 2, "a does not run then"),
        ("pause a", "garbage a", 2, "a is held still then"),
        ("stop a", "readdress a", 2, "a does not run then"),
    ],
)
def test_fault_that_can_not_begin_while_another_acts_is_told(
    first: str, second: str, at: int, why: str
) -> None:
    """It would be refused in the middle of the run, which then says nothing about SPOT."""
    for text, line in (
        (TWICE.format(first=first, second=second, at=at), 5),
        (
            MESH
            + f'timeline:\n  - {{at: {at}, fault: "{second}"}}\n  - {{at: 0.5, fault: "{first}"}}',
            4,
        ),
    ):
        with pytest.raises(BadScenario) as caught:
            parse_scenario(text, "mine.yaml")
        assert (caught.value.line, caught.value.field) == (line, f"timeline[{line - 4}].fault")
        assert why in str(caught.value)
        assert f"of line {9 - line} acts" in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "at"),
    [
        ("cut a b", "cut a b", 3.1),
        ("cut a b", "cut b c", 2),
        ("bandwidth a b rate=256", "cut a b", 2),
        ("blackhole a b towards=a", "blackhole a b towards=b", 2),
        ("latency a b latency=9", "bandwidth a b rate=256", 2),
        ("crash a", "crash b", 2),
        ("partition a,b c", "crash c", 2),
        ("restart a", "crash a", 1),
    ],
)
def test_faults_that_can_act_together_are_read(first: str, second: str, at: float) -> None:
    """Trouble seldom comes alone."""
    assert len(parse_scenario(TWICE.format(first=first, second=second, at=at), "x").timeline) == 2


def test_fault_that_comes_again_is_told_where_it_meets_another() -> None:
    """The third time may be the one that can't be."""
    step = STEP + "{at: 1, fault: cut a b, for: 0.2, times: 5, every: 1}\n  - "
    assert parse_scenario(step + "{at: 3.5, fault: crash a, for: 0.1}", "x").timeline
    with pytest.raises(BadScenario, match=r"line 5, .*'cut a b' at 3.1 s .* of line 4 acts"):
        parse_scenario(step + "{at: 3.1, fault: cut a b, for: 0.1}", "x")


def test_number_with_an_exponent_is_one() -> None:
    """YAML 1.1 has text there, unless there is a point and a sign."""
    assert parse_scenario(MESH + "traffic: {rate: 1e3}", "x").traffic.rate == 1000
    assert parse_scenario(MESH + "traffic: {rate: 2.5e-1}", "x").traffic.rate == 0.25


def test_unknown_scenario_says_where_to_look() -> None:
    """A typo must not look like an empty run."""
    with pytest.raises(UnknownScenario, match="spot scenario list"):
        find_scenario("split-brian")
    with pytest.raises(UnknownScenario, match="can't be read"):
        find_scenario("nowhere.yaml")

"""Faults as values: how they are written, what they do to a topology, what can't be done."""

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.testbed import BadFault, NodeSpec, Topology, UnknownNode, build_topology
from spot.testbed.faults import FAULTS, Fault, parse_fault

MESH = build_topology("mesh", 4)
HUB = build_topology("hub-spoke", 3)


def both(one: str, other: str) -> set[tuple[str, str]]:
    return {(one, other), (other, one)}


A_AND_B = both("a", "b")
ALL_OF_A = A_AND_B | both("a", "c") | both("a", "d")

NODE = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=6)
SHARE = st.floats(0.05, 0.9)
WRITTEN = {
    "cut": st.builds("{} {}".format, NODE, NODE),
    "blackhole": st.builds("{} {} towards={}".format, NODE, NODE, NODE),
    "latency": st.builds(
        "{} {} latency={} jitter={}".format, NODE, NODE, st.integers(9, 9999), st.integers(0, 9)
    ),
    "bandwidth": st.builds("{} {} rate={}".format, NODE, NODE, st.integers(1, 10**6)),
    "reset": st.builds("{} {}".format, NODE, NODE),
    "truncate": st.builds("{} {} bytes={}".format, NODE, NODE, st.integers(1, 400_000)),
    "flap": st.builds("{} {} period={!r} duty={!r}".format, NODE, NODE, st.floats(0.1, 99), SHARE),
    "partition": st.lists(st.lists(NODE, min_size=1).map(",".join), min_size=1).map(" ".join),
    "bridge": st.builds("{} {},{} {}".format, NODE, NODE, NODE, NODE),
    "starve": st.builds("{} cpu={!r}".format, NODE, SHARE),
    "garbage": st.builds("{} rate={!r}".format, NODE, st.floats(1, 1000)),
    **dict.fromkeys(("isolate", "crash", "stop", "restart", "pause", "readdress", "late"), NODE),
    **dict.fromkeys(("halves", "ring", "hub-lost"), st.just("")),
}


@given(st.data())
def test_text_of_a_fault_is_read_as_the_same_fault(data: st.DataObject) -> None:
    """Scenarios, records and reports keep faults as text."""
    name = data.draw(st.sampled_from(list(FAULTS)))
    fault = parse_fault(f"{name} {data.draw(WRITTEN[name])}")
    assert fault.name == name
    assert parse_fault(str(fault)) == fault


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """A scenario file may hold anything; the error must be one that names what is wrong."""
    for beginning in ("", *(f"{name} " for name in FAULTS)):
        with contextlib.suppress(BadFault):
            parse_fault(beginning + text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no fault '': take one of cut, blackhole"),
        ("cutt a b", "there is no fault 'cutt'"),
        ("cut a", "a node is missing. It is written: cut A B"),
        ("cut a b c", "what is 'c' for?"),
        ("cut a b towards=a", "what is 'towards=a' for?"),
        ("cut a,b c", "'a,b' is a group where one node should stand"),
        ("latency a b", "latency= is missing"),
        ("latency a b latency=soon", "latency=soon is no number"),
        ("latency a b latency=1.5", "latency=1.5 is no whole number"),
        ("latency a b latency=10 jitter=20", "jitter=20 is more than the latency"),
        ("latency a b latency=1 latency=2", "latency is given twice"),
        ("bandwidth a b rate=0", "rate=0 is out of bounds"),
        ("truncate a b bytes=400001", "can't be proved"),
        ("flap a b duty=1", "duty=1 is out of bounds: take a number from 0.05 to 0.95"),
        ("flap a b period=nan", "period=nan is out of bounds"),
        ("flap a b period=inf", "period=inf is out of bounds"),
        ("partition", "a group is missing"),
        ("partition a,,b", "lacks a name beside a comma"),
        ("bridge a b", "give the node between, then two sides"),
    ],
)
def test_mistake_is_named_with_how_it_should_be(text: str, said: str) -> None:
    """The text stands in a file or was typed: the reader needs to know which word is wrong."""
    with pytest.raises(BadFault, match=re.escape(said)):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cut a b", {"severed": A_AND_B, "notice": "closed"}),
        ("reset b a", {"severed": A_AND_B, "notice": "closed"}),
        ("truncate a b bytes=9", {"severed": A_AND_B, "notice": "maybe"}),
        ("flap a b", {"severed": A_AND_B, "notice": "maybe"}),
        ("blackhole a b", {"severed": A_AND_B, "notice": "silent"}),
        ("blackhole a b towards=a", {"severed": {("b", "a")}, "notice": "silent"}),
        ("latency a b latency=9", {"slowed": A_AND_B}),
        ("latency a b latency=9 towards=b", {"slowed": {("a", "b")}}),
        ("bandwidth b a rate=9 towards=a", {"slowed": {("b", "a")}}),
        ("isolate a", {"severed": ALL_OF_A, "notice": "closed"}),
        ("partition a", {"severed": ALL_OF_A, "notice": "closed"}),
        ("partition b,c,d", {"severed": ALL_OF_A, "notice": "closed"}),
        ("bridge b a,c d", {"severed": {*both("a", "d"), *both("c", "d")}, "notice": "closed"}),
        ("bridge", {"severed": {*both("a", "d"), *both("b", "d")}, "notice": "closed"}),
        ("ring", {"severed": {*both("a", "c"), *both("b", "d")}, "notice": "closed"}),
        ("crash a", {"severed": ALL_OF_A, "notice": "closed", "down": {"a"}}),
        ("stop a", {"severed": ALL_OF_A, "notice": "left", "down": {"a"}}),
        ("restart a", {"severed": ALL_OF_A, "notice": "left", "down": {"a"}}),
        ("readdress a", {"severed": ALL_OF_A, "notice": "closed", "down": {"a"}}),
        ("late a", {"severed": ALL_OF_A, "notice": "none", "down": {"a"}}),
        ("pause a", {"severed": ALL_OF_A, "notice": "silent", "paused": {"a"}}),
        ("starve a", {"slowed": ALL_OF_A, "notice": "maybe"}),
    ],
)  # fmt: skip
def test_effect_on_a_mesh_of_four(text: str, expected: dict[str, Any]) -> None:
    """Checkers excuse losses by what this says, and demand notices by it."""
    fault = parse_fault(text)
    fault.check(MESH)
    effect = fault.effect(MESH)
    assert effect.severed == expected.get("severed", set())
    assert effect.slowed == expected.get("slowed", set())
    assert effect.notice == expected.get("notice", "none")
    assert effect.down == expected.get("down", set())
    assert effect.paused == expected.get("paused", set())


def test_halves_and_hub_go_by_the_topology() -> None:
    """Two of four on each side; the hub is found by its links, not by its name."""
    apart = parse_fault("halves").effect(MESH).pairs
    assert apart == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}
    star = Topology(
        "star", (NodeSpec("x", peers=("m",)), NodeSpec("m"), NodeSpec("y", peers=("m",)))
    )
    assert parse_fault("hub-lost").effect(star).down == {"m"}


@pytest.mark.parametrize(
    ("text", "topology", "said"),
    [
        ("cut a z", MESH, "no node 'z'"),
        ("cut spoke-1 spoke-2", HUB, "no link between spoke-1 and spoke-2"),
        ("crash z", MESH, "no node 'z'"),
        ("partition a,z", MESH, "no node 'z'"),
        ("partition a,b b,c", MESH, "names b twice"),
        ("partition a,b,c,d", MESH, "would cut no link of mesh"),
        ("bridge a b,z c", MESH, "no node 'z'"),
        ("ring", build_topology("mesh", 3), "would cut no link of mesh"),
        ("blackhole a b towards=c", MESH, "towards must be a or b, not c"),
        ("hub-lost", MESH, "mesh has no hub"),
        ("hub-lost", build_topology("two-node"), "two-node has no hub"),
        (
            "readdress b",
            Topology("nat", (NodeSpec("a"), NodeSpec("b", peers=("a",), binds=False))),
            "only dials",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(
    text: str, topology: Topology, said: str
) -> None:
    """A scenario that fails after a minute of set-up wastes that minute."""
    with pytest.raises((BadFault, UnknownNode), match=said):
        parse_fault(text).check(topology)


@pytest.mark.parametrize("kind", FAULTS.values(), ids=lambda kind: kind.name)
def test_catalogue_says_all_of_each_kind(kind: type[Fault]) -> None:
    """The documentation and 'spot fault list --kinds' are made of it."""
    assert kind.usage.startswith(kind.name)
    assert kind.summary
    assert kind.proof
    assert kind.watch

"""Whatever happens to correct nodes, no checker fails them: a false alarm would cost all trust."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.testbed.checkers import CHECKERS, check_all, fault_results
from spot.testbed.topology import Topology, build_topology
from spot.testbed.verdict import Verdict
from tests.testbed.checkers.made import MadeRun, Planned

LINKED = ("cut", "blackhole", "flap", "latency")
ONE_NODE = ("crash", "stop", "pause", "partition")
TOPOLOGIES = (("two-node", None), ("mesh", 3), ("mesh", 4), ("hub-spoke", 2))

ONE_FAULT_EACH = {
    "nothing": (),
    "cut": (Planned("cut", ("a", "b"), 4, 3),),
    "a cut of a moment": (Planned("cut", ("a", "b"), 4, 0.05),),
    "a blackhole": (Planned("blackhole", ("a", "b"), 4, 6),),
    "a blackhole that is over before it is noticed": (Planned("blackhole", ("a", "b"), 4, 1),),
    "a crash": (Planned("crash", ("b",), 4, 3),),
    "a stop": (Planned("stop", ("b",), 4, 3),),
    "a long pause": (Planned("pause", ("b",), 4, 6),),
    "a short pause": (Planned("pause", ("b",), 4, 0.5),),
    "a partition": (Planned("partition", ("a",), 4, 3),),
    "flapping": (Planned("flap", ("a", "b"), 4, 4),),
    "a late node": (Planned("late", ("c",), -0.5, 5),),
    "a slow link": (Planned("latency", ("a", "c"), 4, 3),),
    "a cut within a blackhole": (
        Planned("blackhole", ("a", "b"), 4, 4),
        Planned("cut", ("a", "b"), 5, 1),
    ),
    "a crash of a node that is cut off": (
        Planned("cut", ("a", "b"), 4, 6),
        Planned("crash", ("b",), 6, 2),
    ),
    "two cuts in a row": (
        Planned("cut", ("a", "b"), 4, 0.5),
        Planned("cut", ("a", "b"), 4.6, 0.5),
    ),
    "all restarted in turn": (
        Planned("stop", ("a",), 2, 1),
        Planned("stop", ("b",), 6, 1),
        Planned("stop", ("c",), 10, 1),
    ),
}


def complaints(run: MadeRun) -> list[str]:
    return [
        f"{finding.guarantee}: {finding.verdict} {finding.summary} {finding.details}"
        for finding in check_all(run.evidence())
        if finding.verdict is not Verdict.PASS
    ]


@pytest.mark.parametrize("name", ONE_FAULT_EACH)
@pytest.mark.parametrize("history_bytes", [0, 4 << 20], ids=["no buffer", "buffer"])
def test_correct_run_passes_what_it_exercises(name: str, history_bytes: int) -> None:
    """By name, so that a checker that alarms falsely says of what."""
    run = MadeRun(ONE_FAULT_EACH[name], raising=0.01, history_bytes=history_bytes)

    assert complaints(run) == []


@pytest.mark.parametrize(
    ("name", "exercised"),
    [
        ("nothing", set()),
        ("cut", {"host-unreachable-told", "detection-time", "reconnect", "backoff"}),
        ("cut", {"healed-without-loss", "view-stable"}),
        ("a partition", {"both-halves-serve", "reconnect", "quorum"}),
        ("a long pause", {"detection-time", "reconnect"}),
        ("a slow link", set()),
    ],
)
def test_run_exercises_what_its_faults_could_break(name: str, exercised: set[str]) -> None:
    """A checker that always says "not exercised" would never fail anything."""
    run = MadeRun(ONE_FAULT_EACH[name], history_bytes=4 << 20)
    found = {finding.guarantee for finding in check_all(run.evidence())}

    of_messages = {"no-duplicate", "no-invention", "order", "no-silent-gap", "loss-only-in-faults"}
    assert of_messages | {"no-false-alarm"} | exercised <= found
    if not exercised:
        assert not {"detection-time", "host-unreachable-told", "both-halves-serve"} & found


@st.composite
def plans(draw: st.DrawFn) -> tuple[Topology, list[Planned]]:
    topology = build_topology(*draw(st.sampled_from(TOPOLOGIES)))
    names = st.sampled_from(topology.names)
    spans = (st.floats(0.1, 12.0), st.floats(0.02, 6.0))
    on_links = st.builds(Planned, st.sampled_from(LINKED), st.sampled_from(topology.links), *spans)
    on_nodes = st.builds(Planned, st.sampled_from(ONE_NODE), st.tuples(names), *spans)
    faults = draw(st.lists(st.one_of(on_links, on_nodes), max_size=3))
    return topology, [fault for fault in faults if not _dies_twice(fault, faults)]


def _dies_twice(fault: Planned, faults: list[Planned]) -> bool:
    """A node that is down can't be taken down, nor held still."""
    return any(
        other is not fault
        and other.name in ("crash", "stop", "pause")
        and fault.name in ("crash", "stop", "pause")
        and other.target == fault.target
        and other.at < fault.at + fault.lasts + 1.0
        and fault.at < other.at + other.lasts + 1.0
        for other in faults
    )


@pytest.mark.timeout(240)
@settings(max_examples=100)
@given(
    plans(),
    st.integers(0, 1 << 30),
    st.sampled_from([0.0, 0.05]),
    st.booleans(),
    st.sampled_from([0, 4 << 20]),
)
def test_no_correct_run_is_failed(
    plan: tuple[Topology, list[Planned]], seed: int, raising: float, quiet: bool, history_bytes: int
) -> None:
    """Any faults, at any times, one over the other: nodes that keep their word are not failed."""
    topology, faults = plan
    run = MadeRun(
        faults,
        topology=topology,
        length=24.0,
        rate=10.0,
        raising=raising,
        seed=seed,
        quiet=quiet,
        history_bytes=history_bytes,
    )
    evidence = run.evidence()

    failed = [
        (name, finding.details)
        for name, checker in CHECKERS.items()
        if (finding := checker(evidence)).verdict is Verdict.FAIL
    ]
    assert failed == []
    assert len(fault_results(evidence)) == len(faults)

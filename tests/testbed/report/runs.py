"""Results made by hand: what a run leaves, without a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from spot.testbed.evidence import Bounds, Effect, Evidence, FaultWindow, Phases, Proof
from spot.testbed.journal import IncarnationRecords, Journal, Record
from spot.testbed.results import FaultResult, Result
from spot.testbed.topology import NodeSpec, Topology, build_topology
from spot.testbed.verdict import Finding, Verdict

ZERO = 1_000.0
"""When runs begin, in seconds of CLOCK_MONOTONIC."""

REFUSED = Proof("connections to the edge b-to-a are refused", True, "refused after 0.3 ms")


def record(at: float, kind: str, **fields: Any) -> Record:
    """A record, ``at`` in seconds from the beginning of the run."""
    return Record(kind, ZERO + at, fields)


def incarnation(records: list[Record]) -> IncarnationRecords:
    return IncarnationRecords(tuple(sorted(records, key=lambda one: one.at)))


def window(
    name: str = "cut",
    target: str = "a b",
    began: float = 5.0,
    healed: float | None = 9.0,
    proofs: tuple[Proof, ...] = (REFUSED,),
    effect: Effect | None = None,
) -> FaultWindow:
    a, b, *_ = (*target.split(), "a", "b")
    return FaultWindow(
        name=name,
        target=target,
        effect=effect or Effect(severed=frozenset({(a, b), (b, a)}), notice="closed"),
        began=ZERO + began,
        acted=ZERO + began + 0.002,
        healing=None if healed is None else ZERO + healed,
        healed=None if healed is None else ZERO + healed + 0.002,
        proofs=proofs,
    )


def fault(window: FaultWindow, detect_s: float | None = 0.004) -> FaultResult:
    end = None if window.healing is None else window.healing - ZERO
    return FaultResult(
        window=window,
        start_s=window.began - ZERO,
        end_s=end,
        proof=window.proofs,
        detect_s=detect_s,
        recover_s=None if end is None else 0.347,
        missed=None if end is None else 41,
    )


def journal(
    name: str, topology: Topology, cut: tuple[str, str] | None, *, rate: float, length: float
) -> Journal:
    """An incarnation of ``length`` seconds, in which the link of ``cut`` is down from 5 to 9.3."""
    others = [one for one in topology.names if one != name]
    records = [record(0.1, "start", version=1, node=name, pid=100, config={})]
    records += [record(0.4, "link_up", node=other) for other in others]
    far = None
    if cut is not None and name in cut:
        far = cut[0] if name == cut[1] else cut[1]
        records += [
            record(5.003, "link_down", node=far, reason="closed", delay=0.07),
            record(5.004, "host_unreachable", node=far, topics=[f"{far}:data"], reason="closed"),
            *(record(5.1 + 2**n / 10, "dial", node=far) for n in range(5)),
            record(9.3, "link_up", node=far),
        ]
    records += _traffic(name, others, far, rate, length)
    records += [record(length, "stop", reason="SIGTERM"), record(length + 0.1, "closed")]
    return Journal((incarnation(records),))


def _traffic(
    name: str, others: list[str], far: str | None, rate: float, length: float
) -> Iterator[Record]:
    cut_off = False
    for number in range(1, int((length - 1) * rate)):
        at = 0.6 + number / rate
        yield record(at, "publish", topic=f"{name}:data", counter=number)
        for other in others:
            if other == far and 5 < at < 9.3:
                cut_off = True
                continue
            missed = 41 if other == far and cut_off else 0
            cut_off = cut_off and other != far
            yield record(
                at + 0.002, "recv", topic=f"{other}:data", node=other, seq=number, missed=missed
            )


def evidence(
    topology: Topology | None = None,
    *,
    faults: tuple[FaultWindow, ...] = (),
    cut: tuple[str, str] | None = ("a", "b"),
    rate: float = 10.0,
    length: float = 15.0,
    trouble: tuple[str, ...] = (),
) -> Evidence:
    topology = topology or build_topology("mesh", 3)
    return Evidence(
        topology=topology,
        journals={
            name: journal(name, topology, cut, rate=rate, length=length) for name in topology.names
        },
        faults=faults,
        phases=Phases(ZERO, ZERO + 0.6, ZERO + 9.0, ZERO + 9.4, ZERO + length - 1, ZERO + length),
        bounds=Bounds(),
        trouble=trouble,
    )


HELD = (
    Finding("no-duplicate", Verdict.PASS, "1,740 messages received once, 0 twice"),
    Finding("order", Verdict.PASS, "1,740 messages of 6 streams in order"),
    Finding("no-silent-gap", Verdict.PASS, "82 messages missed, 82 of them told"),
    Finding("host-unreachable-told", Verdict.PASS, "2 of 2 due, 0 others"),
    Finding("detection-time", Verdict.PASS, "1 closed link noticed within 0.004 s (0.1 allowed)"),
)
BROKEN = Finding(
    "reconnect",
    Verdict.FAIL,
    "1 of 1 broken links did not come back",
    ("a: no message of b after 9.000 s", "b: no message of a after 9.000 s"),
)
UNCLEAR = Finding("backoff", Verdict.UNKNOWN, "no dial was observed", ("a: 0 records of dials",))


def passing(directory: Path) -> Result:
    """A mesh in which a link was cut and came back."""
    cut = window()
    return Result(
        scenario="cut",
        title="A link of a mesh is cut for four seconds",
        backend="process",
        seed=None,
        wall=1_750_000_000.0,
        duration_s=15.2,
        verdict=Verdict.PASS,
        guarantees=HELD,
        faults=(fault(cut),),
        evidence=evidence(faults=(cut,)),
        directory=directory,
    )


def failing(directory: Path) -> Result:
    """A link that never came back."""
    return replace(
        passing(directory), verdict=Verdict.FAIL, guarantees=(*HELD[:3], BROKEN, UNCLEAR)
    )


def unproved(directory: Path) -> Result:
    """All guarantees held, but nothing shows that the fault acted."""
    proof = Proof("connections to the edge b-to-a are refused", False, "accepted after 0.2 ms")
    cut = window(proofs=(proof,))
    return replace(passing(directory), verdict=Verdict.UNKNOWN, faults=(fault(cut, None),))


def empty(directory: Path) -> Result:
    """A run that broke before anything happened."""
    nothing = Evidence(
        topology=build_topology("two-node"),
        journals={"a": Journal(), "b": Journal()},
        faults=(),
        phases=Phases(ZERO, None, None, None, None, None),
        bounds=Bounds(),
        trouble=("the proxy ended with exit code 2",),
    )
    return replace(
        passing(directory),
        verdict=Verdict.UNKNOWN,
        guarantees=(),
        faults=(),
        evidence=nothing,
    )


HOSTILE = '<script>alert("x")</script>&{{ 7*7 }}'


def hostile(directory: Path) -> Result:
    """Names as an enemy, or a careless user, would choose them."""
    topology = Topology(
        HOSTILE,
        (
            NodeSpec("a", peers=(HOSTILE,), topics=(HOSTILE,), subscribe=("*",)),
            NodeSpec(HOSTILE, peers=("a",), topics=("a:data",), subscribe=("*",)),
        ),
    )
    cut = window(target=HOSTILE, proofs=(Proof(HOSTILE, True, HOSTILE),))
    return replace(
        passing(directory),
        scenario=HOSTILE,
        title=HOSTILE,
        backend=HOSTILE,
        verdict=Verdict.FAIL,
        guarantees=(Finding(HOSTILE, Verdict.FAIL, HOSTILE, (HOSTILE + "\x00\x1b[31m\ud800",)),),
        faults=(fault(cut),),
        evidence=evidence(topology, faults=(cut,), cut=("a", HOSTILE), trouble=(HOSTILE,)),
    )

"""Runs with several publishers or hosts of one topic, by hand: each with one thing wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from spot.testbed.checkers import CHECKERS
from spot.testbed.evidence import Effect, Evidence, FaultWindow, Phases, Proof
from spot.testbed.journal import IncarnationRecords, Journal, Record
from spot.testbed.topology import NodeSpec, Topology
from spot.testbed.verdict import Verdict
from tests.testbed.checkers.made import BOUNDS

WALL = 1_718_000_000.0
CREATED = 9.9
ENDS = 60.0
TOPOLOGY = Topology(
    "own",
    (
        NodeSpec("a", topics=("t",)),
        NodeSpec("b", peers=("a",)),
        NodeSpec("c", peers=("a", "b"), subscribe=("t",)),
    ),
)
CONFIG = {"topics": [], "subscribe": [], "history_bytes": 1 << 20}


def rec(at: float, kind: str, **fields: Any) -> Record:
    return Record(kind, at, fields)


def incarnation(
    name: str, began: float, records: Sequence[Record], *, quorum: bool = False, **start: Any
) -> IncarnationRecords:
    spec = TOPOLOGY.node(name)
    config = {**CONFIG, "topics": list(spec.topics), "subscribe": list(spec.subscribe)}
    config["require_quorum"] = quorum
    begin = rec(
        began, "start", version=1, node=name, wall=WALL + began, rate=1.0, config=config, **start
    )
    end = (rec(ENDS, "stop"), rec(ENDS, "closed"))
    return IncarnationRecords((begin, *sorted(records, key=lambda one: one.at), *end))


def recv(at: float, seq: int, counter: int, host: str = "a", **more: Any) -> Record:
    epoch = int((WALL + CREATED) * 1e9)
    fields = {"topic": "t", "node": host, "seq": seq, "missed": 0, "epoch": epoch}
    return rec(at, "recv", **{**fields, "counter": counter, **more})


def up(at: float, *peers: str) -> list[Record]:
    return [rec(at, kind, node=peer) for peer in peers for kind in ("link_up", "synced")]


def fault(name: str, target: str, effect: Effect, began: float, healed: float) -> FaultWindow:
    proof = (Proof("it acts", True, "it does"),)
    return FaultWindow(name, target, effect, began, began + 0.01, healed - 0.01, healed, proof)


def judge(
    name: str, faults: Sequence[FaultWindow], **incarnations: list[IncarnationRecords]
) -> tuple[Verdict, str]:
    journals = {node: Journal(tuple(incarnations.get(node, ()))) for node in TOPOLOGY.names}
    phases = Phases(0, 11, 40, 41, 50, 55)
    finding = CHECKERS[name](Evidence(TOPOLOGY, journals, tuple(faults), phases, BOUNDS))
    return finding.verdict, " ".join(finding.details)


APART = fault("blackhole", "a b", Effect(frozenset({("a", "b"), ("b", "a")}), "silent"), 20.0, 25.0)


def published(*arrivals: Record) -> dict[str, list[IncarnationRecords]]:
    """b publishes three messages to a's topic, the second and third into a blackhole."""
    sent = [rec(at, "publish", topic="t", counter=n) for n, at in ((1, 15), (2, 20.5), (3, 21))]
    return {
        "a": [incarnation("a", 10, up(10.2, "b", "c"))],
        "b": [incarnation("b", 10, [*up(10.2, "a", "c"), *sent], incarnation="1a")],
        "c": [incarnation("c", 10, [*up(10.2, "a", "b"), *arrivals])],
    }


ME = {"from": "b", "incarnation": "1a"}


@pytest.mark.parametrize(
    ("arrivals", "verdict", "said"),
    [
        ([recv(15.1, 1, 1, **ME), recv(26, 2, 2, **ME), recv(26.1, 3, 3, **ME)], "pass", ""),
        (
            [recv(15.1, 1, 1, **ME), *(recv(26, n, 2, **ME) for n in (2, 3)), recv(27, 4, 3, **ME)],
            "fail",
            "message 2 to t was ordered 2 times by a: as 2 and 3",
        ),
        (
            [recv(15.1, 1, 1, **ME), recv(26, 2, 3, **ME), recv(26.1, 3, 2, **ME)],
            "fail",
            "before its message 2",
        ),
        ([recv(15.1, 1, 1, **ME), recv(26, 2, 2, **ME)], "fail", "a never ordered it"),
    ],
    ids=["once", "twice", "out-of-order", "never"],
)
def test_publish_to_another_host_is_ordered_once(
    arrivals: list[Record], verdict: str, said: str
) -> None:
    """What is sent again after a cut may have been ordered before it."""
    found, details = judge("remote-once", [APART], **published(*arrivals))
    assert (found.value, said in details) == (verdict, True), details


@pytest.mark.parametrize(("lost", "back", "verdict"), [(24, 28, "pass"), (21.9, 22.5, "fail")])
def test_publish_that_comes_to_a_host_without_a_quorum_is_refused(
    lost: float, back: float, verdict: str
) -> None:
    """It was accepted while there was one, and waited for the way. Where the quorum is back by
    then, it is owed.
    """
    incarnations = published(recv(15.1, 1, 1, **ME), recv(26, 2, 2, **ME))
    views = [rec(10.3, "view", quorum=True), rec(lost, "view", quorum=False)]
    records = [*up(10.2, "b", "c"), *views, rec(back, "view", quorum=True)]
    incarnations["a"] = [incarnation("a", 10, records, quorum=True)]
    assert judge("remote-once", [APART], **incarnations)[0].value == verdict


def test_message_of_an_earlier_incarnation_is_told_from_one_of_the_next() -> None:
    """Both count from 1, and a host may order what the first one sent when the other has begun."""
    new = {"from": "b", "incarnation": "2b"}
    incarnations = published(
        recv(15.1, 1, 1, **ME),
        recv(33, 2, 3, **ME),
        *(recv(33 + n, 2 + n, n, **new) for n in (1, 2, 3)),
    )
    sent = [rec(30.5 + counter / 2, "publish", topic="t", counter=counter) for counter in (1, 2, 3)]
    incarnations["b"].append(incarnation("b", 30, sent, incarnation="2b"))

    assert judge("no-duplicate", [], **incarnations)[0] is not Verdict.FAIL
    assert judge("no-invention", [], **incarnations)[0] is not Verdict.FAIL


CRASH = fault("crash", "a", Effect(notice="closed", down=frozenset("a")), 20.0, 25.0)


def routed(*more: Record) -> dict[str, list[IncarnationRecords]]:
    """c has a route to a with the backup b, and a is killed."""
    route = rec(12, "command", do="route", topic="t", peer="a", backups=["b"], ok=True)
    lost = rec(20.02, "link_down", node="a", reason="closed")
    return {
        "a": [
            IncarnationRecords(
                (*incarnation("a", 10, up(10.2, "b", "c")).records[:-2], rec(20, "sync", ok=True))
            )
        ],
        "b": [
            incarnation(
                "b",
                10,
                [
                    *up(10.2, "a", "c"),
                    rec(11, "command", do="create", topic="t", standby=True, ok=True),
                ],
            )
        ],
        "c": [incarnation("c", 10, [*up(10.2, "a", "b"), route, lost, *more])],
    }


@pytest.mark.parametrize(
    ("more", "verdict", "said"),
    [
        ([rec(20.03, "route", node="b", topics=["t"])], "pass", ""),
        ([], "fail", "no other of a, b had taken over"),
        ([rec(22, "route", node="b", topics=["t"])], "fail", "no other of a, b had taken over"),
        (
            [
                rec(20.03, "route", node="b", topics=["t"]),
                rec(20.04, "host_unreachable", node="a", topics=["t"], reason="closed"),
            ],
            "fail",
            "though another was left",
        ),
        (
            [
                rec(20.03, "route", node="b", topics=["t"]),
                *up(26, "a"),
                rec(26.1, "route", node="a", topics=["t"]),
            ],
            "fail",
            "b had not been lost",
        ),
    ],
    ids=["at-once", "never", "late", "told-all-the-same", "back-without-need"],
)
def test_backup_takes_over_and_is_kept(more: list[Record], verdict: str, said: str) -> None:
    """Failover that comes late, or flaps back, is what users build by hand today."""
    found, details = judge("failover", [CRASH], **routed(*more))
    assert (found.value, said in details) == (verdict, True), details


def taken_over(
    *more: Record, missed: int | None, reason: str = "closed"
) -> dict[str, list[IncarnationRecords]]:
    """The same, and c receives a message of a, and then one of b that says what was missed."""
    received = [recv(18, 7, 7), recv(21, 1, 1, "b", missed=missed)]
    incarnations = routed(*more, *received)
    for node, at, counter in (("a", 18, 7), ("b", 20.9, 1)):
        first, *records = incarnations[node][0].records
        sent = rec(at - 0.1, "publish", topic="t", counter=counter)
        incarnations[node] = [IncarnationRecords((first, sent, *records))]
    (c,) = incarnations["c"]
    records = [
        rec(one.at, one.kind, **{**one.fields, "reason": reason})
        if one.kind == "link_down"
        else one
        for one in c.records
    ]
    return {**incarnations, "c": [IncarnationRecords(tuple(records))]}


def turned(host: str) -> list[Record]:
    return [rec(20.03, "route", node=host, topics=["t"])]


@pytest.mark.parametrize(
    ("reason", "missed", "more", "verdict", "said"),
    [
        ("closed", None, turned("b"), "pass", ""),
        ("closed", 0, turned("b"), "fail", "nobody can know"),
        ("closed", 3, turned("b"), "fail", "nobody can know"),
        ("left", 0, turned("b"), "pass", ""),
        ("closed", 0, [rec(19, "route", node="b", topics=["t"])], "pass", ""),
    ],
    ids=["none", "false-zero", "made-up", "goodbye", "routed-before"],
)
def test_message_of_the_next_host_says_that_nobody_knows(
    reason: str, missed: int | None, more: list[Record], verdict: str, said: str
) -> None:
    """What the lost host had accepted and not sent is lost: a 0 would hide that."""
    incarnations = taken_over(*more, missed=missed, reason=reason)
    found, details = judge("no-silent-gap", [CRASH], **incarnations)
    assert (found.value, said in details) == (verdict, True), details


def test_next_host_knows_what_was_missed_if_nobody_was_lost() -> None:
    """None alarms the user: without a loss it is wrong."""
    incarnations = taken_over(*turned("b"), missed=None)
    sent = rec(17.9, "publish", topic="t", counter=7)
    incarnations["a"] = [incarnation("a", 10, [*up(10.2, "b", "c"), sent])]
    found, details = judge("no-silent-gap", [], **incarnations)
    assert (found.value, "was lost in between" in details) == ("fail", True), details


def view(at: float, version: int, **conflicts: list[str]) -> Record:
    return rec(at, "view", version=version, reachable=["a", "b", "c"], conflicts=conflicts)


@pytest.mark.parametrize(
    ("views", "verdict", "said"),
    [
        ([view(14.1, 3, t=["a", "b"]), view(30.1, 4)], "pass", ""),
        ([], "fail", "its view did not show it"),
        ([view(12, 3, t=["a", "b"]), view(30.1, 4)], "fail", "it had no two hosts"),
        ([view(14.1, 3, t=["a", "b"])], "fail", "went on to show the conflict"),
    ],
    ids=["shown", "hidden", "too-early", "for-ever"],
)
def test_conflict_of_two_hosts_is_shown_while_it_lasts(
    views: list[Record], verdict: str, said: str
) -> None:
    """Two streams under one name, and nobody told, is the silent half of split brain."""
    create = rec(14, "command", do="create", topic="t", ok=True)
    destroy = rec(30, "command", do="destroy", topic="t", ok=True)
    met = view(10.3, 2)
    found, details = judge(
        "conflict-visible",
        [],
        a=[incarnation("a", 10, up(10.2, "b", "c"))],
        b=[incarnation("b", 10, [*up(10.2, "a", "c"), create, destroy])],
        c=[incarnation("c", 10, [*up(10.2, "a", "b"), met, *views])],
    )
    assert (found.value, said in details) == (verdict, True), details


@pytest.mark.parametrize("lost", [None, 16.0, 21.0, 33.0], ids=["none", "before", "back", "after"])
def test_a_host_owes_nothing_while_the_route_names_another(lost: float | None) -> None:
    """Two hosts are two streams: what one orders while the other is heard is passed by."""
    times = dict(enumerate((16.0, 18.5, 19.9, 21.0, 33.0, 36.0), 1))
    sent = [rec(at, "publish", topic="t", counter=counter) for counter, at in times.items()]
    heard = [
        recv(at + 0.1, counter, counter)
        for counter, at in times.items()
        if at not in (18.5, 19.9, lost)
    ]
    routes = [rec(at, "route", node=to, topics=["t"]) for at, to in ((17.0, "b"), (20.0, "a"))]
    incarnations = {
        "a": [incarnation("a", 10, [*up(10.2, "b", "c"), *sent])],
        "b": [incarnation("b", 10, up(10.2, "a", "c"))],
        "c": [incarnation("c", 10, [*up(10.2, "a", "b"), *routes, *heard])],
    }

    found, details = judge("loss-only-in-faults", [], **incarnations)

    assert found is (Verdict.PASS if lost is None else Verdict.FAIL), details

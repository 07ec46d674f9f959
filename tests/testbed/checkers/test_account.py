"""Messages are told apart by publisher, incarnation and counter, without SPOT's numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.topics.patterns import Pattern
from spot.testbed.checkers import CHECKERS
from spot.testbed.checkers.account import Account, account_of, matches
from spot.testbed.evidence import Evidence, Phases
from spot.testbed.journal import IncarnationRecords, Journal, Record
from spot.testbed.topology import NodeSpec, Topology, build_topology
from spot.testbed.verdict import Verdict
from tests.testbed.checkers.made import BOUNDS, MadeRun, Planned

WALL = 1_718_000_000.0
Line = tuple[Any, ...]


def incarnation(
    node: str, began: float, *records: Record, ends: float | None = None
) -> IncarnationRecords:
    start = Record("start", began, {"version": 1, "node": node, "wall": WALL + began, "rate": 10.0})
    end = [] if ends is None else [Record("stop", ends, {}), Record("closed", ends, {})]
    return IncarnationRecords((start, *records, *end))


def publish(at: float, topic: str, counter: int) -> Record:
    return Record("publish", at, {"topic": topic, "counter": counter})


def recv(at: float, topic: str, node: str, counter: int, created: float, **more: Any) -> Record:
    fields = {
        "topic": topic, "node": node, "counter": counter, "seq": None, "missed": 0,
        "epoch": int((WALL + created) * 1e9), **more,
    }  # fmt: skip
    return Record("recv", at, fields)


def evidence(
    topology: Topology | None = None, **incarnations: list[IncarnationRecords]
) -> Evidence:
    topology = topology or build_topology("two-node")
    journals = {name: Journal(tuple(incarnations.get(name, ()))) for name in topology.names}
    return Evidence(topology, journals, (), Phases(0, 1, 1, 1, 90, 100), BOUNDS)


def sources(account: Account) -> list[tuple[str, int, int | None] | None]:
    return [
        None if one.source is None else (one.source.span.node, one.source.span.number, one.counter)
        for stream in account.streams
        for one in stream.arrivals
    ]


@pytest.mark.parametrize(
    ("created", "number"),
    [
        (9.9, 0),  # just before the first incarnation was recorded
        (12.0, 0),  # by a command
        (29.9, 1),  # just before the second incarnation was recorded
        (35.0, 1),
        (99.0, 1),  # later than anything that is recorded
    ],
)
def test_epoch_tells_the_incarnation_of_its_host(created: float, number: int) -> None:
    """Counters begin anew in each incarnation: by the wrong one, every message would look lost."""
    b = [
        incarnation("b", 10, publish(11, "b:data", 1), ends=20),
        incarnation("b", 30, publish(31, "b:data", 1), ends=40),
    ]
    a = [incarnation("a", 5, recv(50, "b:data", "b", 1, created))]

    assert sources(account_of(evidence(a=a, b=b))) == [("b", number, 1)]


def test_without_an_epoch_the_newest_incarnation_is_meant() -> None:
    """A program of another library may have none."""
    b = [
        incarnation("b", 10, publish(11, "b:data", 1), ends=20),
        incarnation("b", 30, publish(31, "b:data", 1), ends=40),
    ]
    a = [
        incarnation(
            "a",
            5,
            recv(12, "b:data", "b", 1, 0, epoch=None),
            recv(32, "b:data", "b", 1, 0, epoch=None),
        )
    ]

    assert sources(account_of(evidence(a=a, b=b))) == [("b", 0, 1), ("b", 1, 1)]


def remote_topology() -> Topology:
    return Topology(
        "remote",
        (
            NodeSpec("a", ("b",), ("jobs",), ()),
            NodeSpec("b", ("a",), (), ("jobs",)),
            NodeSpec("c", ("a",), (), ()),
        ),
    )


def test_message_from_elsewhere_is_its_publishers() -> None:
    """Several nodes publish to one topic, with counters of their own that are the same numbers."""
    account = account_of(
        evidence(
            remote_topology(),
            a=[incarnation("a", 1, publish(5, "jobs", 1))],
            c=[incarnation("c", 1, publish(6, "jobs", 1), publish(7, "jobs", 2))],
            b=[
                incarnation(
                    "b",
                    1,
                    recv(6, "jobs", "a", 1, 0.9, seq=1),
                    recv(7, "jobs", "a", 1, 0.9, seq=2, **{"from": "c"}),
                    recv(8, "jobs", "a", 2, 0.9, seq=3, **{"from": "c"}),
                )
            ],
        )
    )

    assert sources(account) == [("a", 0, 1), ("c", 0, 1), ("c", 0, 2)]


def test_restarted_publisher_begins_at_one_again() -> None:
    """The host's epoch says nothing about the incarnations of those who publish from elsewhere."""
    account = account_of(
        evidence(
            remote_topology(),
            a=[incarnation("a", 1)],
            c=[
                incarnation("c", 1, *(publish(2 + n, "jobs", n) for n in (1, 2, 3)), ends=8),
                incarnation("c", 10, *(publish(10 + n, "jobs", n) for n in (1, 2))),
            ],
            b=[
                incarnation(
                    "b",
                    1,
                    *(
                        recv(at, "jobs", "a", n, 0.9, seq=seq, **{"from": "c"})
                        for seq, (at, n) in enumerate([(4, 1), (5, 2), (6, 3), (12, 1), (13, 2)], 1)
                    ),
                )
            ],
        )
    )

    assert sources(account) == [("c", 0, 1), ("c", 0, 2), ("c", 0, 3), ("c", 1, 1), ("c", 1, 2)]


@pytest.mark.parametrize("name", ["no-duplicate", "no-invention", "order", "no-silent-gap"])
def test_topic_with_several_publishers_is_judged(name: str) -> None:
    """The same counters of two publishers are no repetition, nor out of order."""
    records = []
    jobs: dict[str, list[Record]] = {"a": [], "c": []}
    for seq in range(1, 41):
        publisher = "ac"[seq % 2]
        counter = (seq + 1) // 2
        jobs[publisher].append(publish(2 + seq, "jobs", counter))
        more = {"from": "c"} if publisher == "c" else {}
        records.append(recv(2.01 + seq, "jobs", "a", counter, 0.9, seq=seq, **more))
    made = evidence(
        remote_topology(),
        a=[incarnation("a", 1, *jobs["a"], ends=100.1)],
        c=[incarnation("c", 1, *jobs["c"], ends=100.1)],
        b=[incarnation("b", 1, *records, ends=100.1)],
    )

    assert CHECKERS[name](made).verdict is Verdict.PASS


def test_invented_publisher_is_an_invention() -> None:
    """Whom nobody knows has published nothing."""
    made = evidence(
        remote_topology(),
        a=[incarnation("a", 1)],
        b=[incarnation("b", 1, recv(5, "jobs", "a", 1, 0.9, **{"from": "x"}))],
    )

    assert CHECKERS["no-invention"](made).verdict is Verdict.FAIL


def test_message_published_as_its_node_was_killed_is_no_invention() -> None:
    """What a killed node did last does not stand in its journal; far more than that is made up."""
    b = [incarnation("b", 1, *(publish(2 + n / 10, "b:data", n) for n in range(1, 11)))]

    def verdict(*counters: int) -> Verdict:
        records = [recv(3.1 + n / 100, "b:data", "b", n, 0.9) for n in counters]
        a = [incarnation("a", 1, *records, ends=100.1)]
        return CHECKERS["no-invention"](evidence(a=a, b=b)).verdict

    assert verdict(9, 10, 11, 12) is Verdict.PASS
    assert verdict(9, 10, 31) is Verdict.FAIL


def command(at: float, do: str, **fields: Any) -> Record:
    return Record("command", at, {"do": do, "ok": True, **fields})


def test_subscriptions_follow_commands() -> None:
    """What nobody was subscribed to can't be missed."""
    account = account_of(
        evidence(
            a=[
                incarnation(
                    "a",
                    1,
                    command(10, "unsubscribe", topic="b:data"),
                    command(20, "subscribe", topic="b:*"),
                    Record("command", 25, {"do": "unsubscribe", "topic": "b:*", "ok": False}),
                    ends=30,
                )
            ],
            b=[incarnation("b", 1, ends=30)],
        )
    )

    assert account.subscribed("a", "b:data") == [(1, 10), (20, 30)]
    assert account.subscribed("a", "c:data") == []


def test_hosts_follow_commands_and_incarnations() -> None:
    """Failover: the topic of the primary is created at the backup."""
    account = account_of(
        evidence(
            a=[incarnation("a", 1, ends=5), incarnation("a", 8, ends=30)],
            b=[incarnation("b", 1, command(6, "create", topic="a:data"), ends=30)],
        )
    )

    assert sorted(account.hosts["a:data"]) == [("a", 1, 5), ("a", 8, 30), ("b", 6, 30)]
    assert set(account.topics_of("b")) == {"a:data", "b:data"}
    assert not account.only_host("a:data", "a")
    assert account.only_host("b:data", "b")


def test_account_is_made_once_for_all_checkers() -> None:
    """A run may leave a million records."""
    made = MadeRun([Planned("cut", ("a", "b"), 4, 3)]).evidence()

    assert account_of(made) is account_of(made)
    assert account_of(MadeRun().evidence()) is not account_of(made)


@given(st.text("ab*.\n", max_size=8), st.text("ab.\n", max_size=8))
def test_patterns_match_what_the_library_matches(pattern: str, topic: str) -> None:
    """The checkers have a matching of their own. Where it differs, a verdict is wrong."""
    assert matches(pattern, topic) == Pattern(pattern).matches(topic)

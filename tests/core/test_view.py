"""Who counts as reachable, what a majority is, and which topics are in conflict."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.membership.view import LOST_MAX, ViewKeeper, changed_conflicts, majority
from spot.message import View
from tests.core.fixed import examples

STABLE_S = 2.0


def keeper(members: str = "", node: str = "a", stable_after: float = STABLE_S) -> ViewKeeper:
    return ViewKeeper(node, members, stable_after, 0.0)


def renewed(views: ViewKeeper, now: float) -> View:
    views.renew(now)
    return views.view


@pytest.mark.parametrize(
    ("node", "members", "reached", "quorum"),
    [
        ("a", "", "bcd", None),
        ("a", "a", "", True),
        ("a", "a", "b", True),
        ("a", "ab", "", False),
        ("a", "ab", "b", True),
        ("a", "abc", "b", True),
        ("a", "abc", "xyz", False),
        ("a", "abcd", "b", False),
        ("a", "abcd", "bc", True),
        ("a", "abcde", "b", False),
        ("a", "abcde", "bc", True),
        ("o", "abc", "a", False),
        ("o", "abc", "ab", True),
        ("o", "a", "", False),
        ("a", "xyz", "bc", False),
    ],
)
def test_quorum_is_more_than_half_of_the_members(
    node: str, members: str, reached: str, quorum: bool | None
) -> None:
    # Half is no majority, strangers don't count, and who observes does not count itself.
    views = keeper(members, node)
    for other in reached:
        views.up(other, 1.0)
    assert renewed(views, 1.0).quorum is quorum


@examples(200)
@given(st.sets(st.integers(0, 9), min_size=1), st.sets(st.integers(0, 9)))
def test_two_sides_without_a_node_in_common_have_one_quorum_at_most(
    members: set[int], side: set[int]
) -> None:
    # It is what a majority is for.
    def has(nodes: set[int]) -> bool:
        return len(members & nodes) >= majority(len(members))

    assert not (has(side) and has(set(range(10)) - side))


def test_first_link_counts_at_once_and_a_lost_one_when_it_was_stable() -> None:
    # A cluster that starts must not wait; a link that flaps must not flap the view.
    views = keeper("ab")
    views.up("b", 1.0)
    assert renewed(views, 1.0).quorum
    views.down("b")
    assert not renewed(views, 5.0).quorum
    views.up("b", 6.0)
    assert renewed(views, 6.0) == renewed(views, 7.9)
    assert not views.view.quorum
    assert views.due == 8.0
    views.down("b")
    views.up("b", 7.0)
    assert not renewed(views, 8.0).quorum, "it was down in between"
    view = renewed(views, 9.0)
    assert (view.quorum, view.since) == (True, 9.0)
    assert view.reachable == {"b"}
    assert views.due == inf


def test_a_view_that_is_the_same_is_no_new_one() -> None:
    # Who waits for a change must not be woken by none.
    views = keeper("ab")
    assert views.renew(1.0) is None
    views.up("b", 1.0)
    before, now = views.renew(1.0) or (None, None)
    assert before is not None
    assert now is not None
    assert (before.version, now.version) == (1, 2)
    assert views.renew(2.0) is None
    views.up("b", 2.0)
    views.down("stranger")
    assert views.renew(2.0) is None


def test_strangers_cost_a_bounded_memory() -> None:
    # A node id costs its sender nothing; those of members are never forgotten.
    views = keeper("ab")
    for number in range(2 * LOST_MAX):
        views.up(str(number), 1.0)
        views.down(str(number))
    views.up("b", 2.0)
    views.down("b")
    assert len(views._lost) <= LOST_MAX + 1
    views.up("b", 3.0)
    assert renewed(views, 3.0).reachable == set()


def test_conflict_begins_with_two_hosts_that_are_up_and_ends_with_one() -> None:
    # It has to be seen for as long as somebody could read two streams under one name.
    views = keeper()
    views.hosted("t", ["b"], ["b", "c"], 1.0)
    assert renewed(views, 1.0).conflicts == {}
    views.hosted("t", ["b", "c"], ["b", "c"], 2.0)
    assert renewed(views, 2.0).conflicts == {"t": ("b", "c")}
    views.hosted("t", ["b"], ["b"], 3.0)
    assert renewed(views, 3.0).conflicts == {}


def test_conflict_outlives_a_lost_host_by_stable_after() -> None:
    # Two hosts and a link that flaps are one conflict, not one a second.
    views = keeper()
    views.hosted("t", ["b", "c"], ["b", "c"], 1.0)
    began = renewed(views, 1.0)
    for turn in range(5):
        views.hosted("t", ["b"], ["b", "c"], 2.0 + turn)
        views.hosted("t", ["b"], ["b", "c"], 2.5 + turn)
        assert views.due == 4.0 + turn
        views.hosted("t", ["b", "c"], ["b", "c"], 2.7 + turn)
    assert renewed(views, 9.0) == began
    views.hosted("t", ["b"], ["b", "c"], 10.0)
    assert renewed(views, 11.9) == began
    assert renewed(views, 12.0).conflicts == {}
    assert views.due == inf


def test_changed_conflicts_are_told_together_where_the_hosts_are_the_same() -> None:
    # A thousand topics of two nodes are one sentence in a log.
    views = keeper()
    before = views.view
    for topic in ("t", "u"):
        views.hosted(topic, ["b", "c"], ["b", "c"], 1.0)
    views.hosted("v", ["b", "d"], ["b", "d"], 1.0)
    now = renewed(views, 1.0)
    assert list(changed_conflicts(before, now)) == [(("b", "c"), ("t", "u")), (("b", "d"), ("v",))]
    assert list(changed_conflicts(now, before)) == [((), ("t", "u", "v"))]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("up", "down", "wait", "host", "withdraw")),
        st.sampled_from("bcde"),
        st.floats(0, 3),
    ),
    max_size=40,
)


@examples(300)
@given(steps=STEPS, members=st.sampled_from(["", "a", "abc", "abcd", "bcde"]))
def test_view_over_any_history(steps: list[tuple[str, str, float]], members: str) -> None:
    # Versions only grow, nobody is reachable without a link, nobody is back before its time.
    views = keeper(members)
    now = 0.0
    linked: dict[str, float] = {}
    lost: set[str] = set()
    hosts: set[str] = set()
    for what, node, wait in steps:
        before = views.view
        if what == "up" and node not in linked:
            linked[node] = now
            views.up(node, now)
        elif what == "down" and linked.pop(node, None) is not None:
            lost.add(node)
            views.down(node)
        elif what == "wait":
            now += wait
        elif what == "host":
            hosts.add(node)
        elif what == "withdraw":
            hosts.discard(node)
        views.hosted("t", [host for host in sorted(hosts) if host in linked], sorted(hosts), now)
        changed = views.renew(now) is not None
        view = views.view
        assert view.version == before.version + changed
        assert view.since == (now if changed else before.since)
        assert view.reachable == {
            node
            for node, since in linked.items()
            if node not in lost or since + STABLE_S <= now or node in before.reachable
        }
        reached = set(members) & (view.reachable | {"a"})
        assert view.quorum is (2 * len(reached) > len(members) if members else None)
        assert set(view.conflicts.get("t", ())) <= hosts
        if len(hosts & set(linked)) > 1:
            assert set(view.conflicts["t"]) >= hosts & set(linked)
        assert views.due > now

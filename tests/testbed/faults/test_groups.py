"""Partitions as sets of pairs: what a wrong one cuts, or leaves, would be blamed on SPOT."""

from hypothesis import given
from hypothesis import strategies as st

from spot.testbed.faults.groups import (
    bridge,
    groups_apart,
    halves,
    linked_only,
    one_against_rest,
    ring,
)

NAMES = st.lists(
    st.text("abcdefgh0123456789-", min_size=1, max_size=4), min_size=2, max_size=12, unique=True
)


@given(NAMES, st.data())
def test_groups_hear_their_own_and_nobody_else(names: list[str], data: st.DataObject) -> None:
    """The definition, for any number of groups, in both directions."""
    group_of = {name: data.draw(st.integers(0, 3)) for name in names}
    groups = [[name for name in names if group_of[name] == number] for number in range(4)]
    apart = groups_apart(groups)
    for one in names:
        for other in names:
            assert ((one, other) in apart) == (group_of[one] != group_of[other])


@given(NAMES)
def test_halves_differ_by_one_node_at_most(names: list[str]) -> None:
    """A split-brain test with an empty side would split nothing."""
    first, second = halves(names)
    assert [*first, *second] == names
    assert len(first) <= len(second) <= len(first) + 1
    assert first


@given(NAMES, st.data())
def test_one_against_the_rest_leaves_the_rest_alone(names: list[str], data: st.DataObject) -> None:
    """Both directions of each of its links, and nothing else."""
    one = data.draw(st.sampled_from(names))
    apart = one_against_rest(names, one)
    assert len(apart) == 2 * (len(names) - 1)
    assert all(one in pair for pair in apart)


@given(NAMES)
def test_bridge_hears_both_sides(names: list[str]) -> None:
    """The node between is in neither side, and all others are in one."""
    node, left, right = bridge(names)
    assert sorted([node, *left, *right]) == sorted(names)
    apart = groups_apart([left, right])
    assert not any(node in pair for pair in apart)
    assert len(apart) == 2 * len(left) * len(right)


@given(NAMES)
def test_ring_leaves_each_node_its_two_neighbours(names: list[str]) -> None:
    """Everyone is reachable for everyone by way of others, and by no shortcut."""
    apart = ring(names)
    for one in names:
        heard = [other for other in names if other != one and (other, one) not in apart]
        assert len(heard) == min(2, len(names) - 1)
    assert all((b, a) in apart for a, b in apart)


def test_pairs_without_a_link_are_left_out() -> None:
    """A severed link that never was would be waited for."""
    apart = groups_apart([["hub", "x"], ["y"]])
    assert linked_only(apart, [("hub", "x"), ("hub", "y")]) == {("hub", "y"), ("y", "hub")}

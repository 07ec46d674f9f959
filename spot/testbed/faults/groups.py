"""Partitions as pure functions over node names: which nodes can't hear which others.

Each returns ordered pairs (from, to): bytes of the first node do not reach the second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import permutations

__all__ = ["Pairs", "bridge", "groups_apart", "halves", "linked_only", "one_against_rest", "ring"]

Pairs = frozenset[tuple[str, str]]


def groups_apart(groups: Iterable[Collection[str]]) -> Pairs:
    """Each node hears only the nodes of its own group."""
    return frozenset(
        (sender, receiver)
        for one, other in permutations(list(groups), 2)
        for sender in one
        for receiver in other
    )


def halves(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first half and the second. The second has one more if the number is odd."""
    middle = len(names) // 2
    return tuple(names[:middle]), tuple(names[middle:])


def one_against_rest(names: Sequence[str], one: str) -> Pairs:
    """``one`` hears no other node, and no other node hears it."""
    return groups_apart([(one,), [name for name in names if name != one]])


def bridge(names: Sequence[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The node in the middle and two halves: both halves hear the node, but not each other."""
    middle = len(names) // 2
    return names[middle], tuple(names[:middle]), tuple(names[middle + 1 :])


def ring(names: Sequence[str]) -> Pairs:
    """Each node hears the node before and after it. The last and the first are neighbours."""
    count = len(names)
    return frozenset(
        (names[one], names[other])
        for one, other in permutations(range(count), 2)
        if (one - other) % count not in (1, count - 1)
    )


def linked_only(pairs: Pairs, links: Iterable[tuple[str, str]]) -> Pairs:
    """Those of the pairs that have a link, in either order."""
    linked = {frozenset(link) for link in links}
    return frozenset(pair for pair in pairs if frozenset(pair) in linked)

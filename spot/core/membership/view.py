"""The view of a node: which nodes it reaches, whether they are a majority, which topics have two
hosts.

A loss counts at once. A node that was lost counts again only when its link has held for
``stable_after``, so that the view does not flap with a link that flaps. A node that is met for the
first time counts at once, so that a starting cluster need not wait. (Hysteresis of this kind is
route flap damping, RFC 2439, with a fixed time in place of a penalty.)

The keeper does not know what a link is. Its caller reports every path to a node by ``up`` and
``down``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from spot.message import View

LOST_MAX = 1024
"""How many lost nodes that are no members are remembered. An attacker can invent ids at no cost."""


def majority(members: int) -> int:
    """How many members are more than half of all members."""
    return members // 2 + 1


class ViewKeeper:
    """Makes the views of one node. ``now`` is monotonic seconds."""

    def __init__(self, node: str, members: Iterable[str], stable_after: float, now: float) -> None:
        self._stable_after = stable_after
        self._reachable: set[str] = set()
        self._lost: set[str] = set()
        self._stable_at: dict[str, float] = {}
        # Topic and host to the moment when a lost host leaves the conflict (inf while it is up).
        self._conflicts: dict[str, dict[str, float]] = {}
        everyone = frozenset(members)
        self.view = View(
            version=1,
            node=node,
            members=everyone,
            reachable=frozenset(),
            since=now,
            conflicts={},
            quorum=_has_quorum(node, everyone, frozenset()),
        )

    @property
    def due(self) -> float:
        """When ``renew`` will find a change that comes by time alone. inf if never."""
        leaving = (until for hosts in self._conflicts.values() for until in hosts.values())
        return min((*self._stable_at.values(), *leaving), default=inf)

    def up(self, node: str, now: float) -> None:
        """Notes that there is a path to a node."""
        if node in self._lost:
            self._stable_at[node] = now + self._stable_after
        else:
            self._reachable.add(node)

    def down(self, node: str) -> None:
        """Notes that the last path to a node is gone."""
        self._reachable.discard(node)
        self._stable_at.pop(node, None)
        if node in self.view.members or len(self._lost) < LOST_MAX:
            self._lost.add(node)

    def hosted(self, topic: str, up: Iterable[str], known: Iterable[str], now: float) -> None:
        """Notes which nodes host a topic: those that are ``up``, and those that did when last heard
        of.

        A conflict begins with two hosts that are up. A host that is lost stays in it for
        ``stable_after``.
        """
        hosts = dict.fromkeys(up, inf)
        before = self._conflicts.pop(topic, {})
        for host in known:
            until = min(before.get(host, now), now + self._stable_after)
            if host not in hosts and until > now:
                hosts[host] = until
        if len(hosts) > 1:
            self._conflicts[topic] = hosts

    def conflicts_of(self, node: str) -> list[str]:
        """The topics in conflict that a node hosts."""
        return [topic for topic, hosts in self._conflicts.items() if node in hosts]

    def renew(self, now: float) -> tuple[View, View] | None:
        """The view before and the view now, if something has changed."""
        for node in [node for node, at in self._stable_at.items() if at <= now]:
            del self._stable_at[node]
            self._lost.discard(node)
            self._reachable.add(node)
        for topic, hosts in list(self._conflicts.items()):
            for host in [host for host, until in hosts.items() if until <= now]:
                del hosts[host]
            if len(hosts) < 2:
                del self._conflicts[topic]
        before = self.view
        reachable = frozenset(self._reachable)
        conflicts = {topic: tuple(sorted(hosts)) for topic, hosts in self._conflicts.items()}
        if reachable == before.reachable and conflicts == before.conflicts:
            return None
        self.view = View(
            version=before.version + 1,
            node=before.node,
            members=before.members,
            reachable=reachable,
            since=now,
            conflicts=conflicts,
            quorum=_has_quorum(before.node, before.members, reachable),
        )
        return before, self.view


def _has_quorum(node: str, members: frozenset[str], reachable: frozenset[str]) -> bool | None:
    if not members:
        return None
    return len(members & (reachable | {node})) >= majority(len(members))


def changed_conflicts(before: View, now: View) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The topics whose conflict began, changed or ended, with their hosts (none: it ended)."""
    found: dict[tuple[str, ...], list[str]] = {}
    for topic in sorted({*before.conflicts, *now.conflicts}):
        hosts = now.conflicts.get(topic, ())
        if hosts != before.conflicts.get(topic, ()):
            found.setdefault(hosts, []).append(topic)
    for hosts, topics in found.items():
        yield hosts, tuple(topics)

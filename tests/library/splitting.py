"""A mesh of nodes whose every link runs over a proxy of its own, so that it can be split."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

from spot import Spot
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, endpoint_of
from tests.library.proxy import Proxy
from tests.library.waiting import wait_until

WAYS = {"up", "down"}
QUICK: dict[str, Any] = {
    "peer_timeout": 0.5,
    "heartbeat": 0.1,
    "stable_after": 0.4,
    "reconnect_max": 0.2,
    "linger": 0.0,
}
"""Splits are noticed within 0.6 s; greetings that nobody answers end after a second."""


class Mesh:
    """Nodes by name. Where a pair is apart, bytes vanish in both directions."""

    def __init__(
        self, make_node: MakeNode, make_proxy: MakeProxy, names: Iterable[str], **settings: Any
    ) -> None:
        self.nodes: dict[str, Spot] = {}
        self._proxies: dict[frozenset[str], Proxy] = {}
        for name in names:
            node = make_node(node_id=name, bind=[ANY_PORT], **(QUICK | settings))
            for other, peer in self.nodes.items():
                proxy = make_proxy(port_of(endpoint_of(peer)))
                self._proxies[frozenset((name, other))] = proxy
                node.cluster_add(proxy.endpoint)
            self.nodes[name] = node
        self.wait_for(*[[self.reach(name), name] for name in self.nodes])

    def reach(self, name: str) -> str:
        """All the others, in order."""
        return "".join(sorted(set(self.nodes) - {name}))

    def split(self, *sides: str) -> None:
        """Who is not on the same side can't be reached; a side is the names of its nodes."""
        side_of = {name: side for side in sides for name in side}
        self.part(
            *[
                one + other
                for one, other in combinations(self.nodes, 2)
                if side_of[one] != side_of[other]
            ]
        )

    def part(self, *pairs: str) -> None:
        """Cuts some pairs off from one another, in silence."""
        for pair in pairs:
            self._proxies[frozenset(pair)].swallow |= WAYS

    def cut(self, one: str, other: str) -> None:
        """Ends the connection of a pair; the next one works."""
        self._proxies[frozenset((one, other))].cut()

    def heal(self) -> None:
        for proxy in self._proxies.values():
            if proxy.swallow:
                proxy.swallow.clear()
                # Streams that lack some bytes are no use to anybody.
                proxy.cut()

    def wait_for(self, *views: Iterable[str]) -> None:
        """Until the view of each named node reaches these, exactly: (whom, who)."""
        for whom, who in views:
            node = self.nodes[who]
            wait_until(
                lambda: node.view().reachable == set(whom),  # noqa: B023
                15,
                what=f"that {who} reaches {whom or 'nobody'}",
            )

    def wait_for_sides(self, *sides: str) -> None:
        """Until all views are those of a split into these sides."""
        self.wait_for(*[(side.replace(name, ""), name) for side in sides for name in side])

    def quorate(self) -> str:
        """The names of those that have a quorum."""
        return "".join(name for name, node in sorted(self.nodes.items()) if node.view().quorum)

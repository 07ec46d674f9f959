"""The common parts of faults on edges: their targets, and actions on one edge or many at once."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.edges import edge_between, edges
from spot.testbed.errors import BadFault, ClusterError
from spot.testbed.faults.edge_proofs import (
    at_once,
    edge_text,
    passes,
    passes_again,
    refuses,
    route,
    summed,
)
from spot.testbed.faults.fault import Action, Fault, Proofs
from spot.testbed.faults.groups import Pairs
from spot.testbed.faults.wording import options_text

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.evidence import Proof
    from spot.testbed.proxied_link import ProxiedLink
    from spot.testbed.topology import Topology

__all__ = ["CutEdges", "OneEdge", "TargetEdge", "ToxicOnEdge"]


@dataclass(frozen=True)
class TargetEdge:
    """The link that a fault acts on: its two nodes, in either order, and one direction or both."""

    a: str
    b: str
    towards: str | None = None
    """The fault acts only on bytes on their way to this node. None: on both directions."""

    @property
    def both_ways(self) -> Pairs:
        """Both directions, as an ``Effect`` has them."""
        return frozenset({(self.a, self.b), (self.b, self.a)})

    @property
    def directions(self) -> Pairs:
        """The directions that the fault acts on, as an ``Effect`` has them."""
        return frozenset(pair for pair in self.both_ways if self.towards in (None, pair[1]))


@dataclass(frozen=True)
class OneEdge(Fault):
    """A fault on the link of one pair of nodes."""

    edge: TargetEdge

    needs_proxies: ClassVar[bool] = True

    @property
    def options(self) -> Mapping[str, float | None]:
        """What follows the nodes where the fault is written. None: left out."""
        return {}

    @property
    def target(self) -> str:
        """Both nodes, then the options."""
        options = options_text({**self.options, "towards": self.edge.towards})
        return f"{self.edge.a} {self.edge.b} {options}".strip()

    def check(self, topology: Topology) -> None:
        """Raises UnknownNode or BadFault if the nodes share no link, or ``towards`` is neither."""
        a, b, towards = self.edge.a, self.edge.b, self.edge.towards
        edge_between(topology, a, b)
        if towards not in (None, a, b):
            raise BadFault(f"'{self}': towards must be {a} or {b}, not {towards}")


class CutEdges(Action):
    """Closes edges: their connections end at once, and new ones are refused."""

    def __init__(self, cluster: Cluster, pairs: Pairs) -> None:
        self._cluster = cluster
        self._pairs = {frozenset(pair) for pair in pairs}
        self._found: list[ProxiedLink] | None = None

    @property
    def links(self) -> list[ProxiedLink]:
        """The edges that it acts on."""
        if self._found is None:
            wanted = [
                edge
                for edge in edges(self._cluster.topology)
                if frozenset((edge.dialler, edge.listener)) in self._pairs
            ]
            self._found = at_once(
                lambda edge: self._cluster.edge(edge.dialler, edge.listener), wanted
            )
        return self._found

    def prepare(self) -> Proofs:
        """Checks that no edge is cut yet, and proves that every pair dials its edge."""
        for link, is_enabled in zip(
            self.links, at_once(lambda link: link.is_enabled, self.links), strict=True
        ):
            if not is_enabled:
                raise ClusterError(f"{edge_text(link)} is cut already: heal that first")
        return self._of_all("every pair dials its edge", lambda link: route(self._cluster, link))

    def apply(self) -> None:
        """Disables the proxies of all edges at once."""
        at_once(lambda link: link.disable(), self.links)

    def prove(self) -> Proofs:
        """Proves that every proxy refuses connections."""
        return self._of_all("connections to every edge are refused", refuses)

    def undo(self) -> None:
        """Enables the proxies of all edges at once."""
        at_once(lambda link: link.enable(), self.links)

    def prove_undone(self) -> Proofs:
        """Proves that a canary passes every edge again."""
        return self._of_all(
            "a canary passes every edge again", lambda link: passes_again(self._cluster, link)
        )

    def _of_all(self, wanted: str, look: Callable[[ProxiedLink], Proof]) -> Proofs:
        return summed(f"{wanted} ({len(self.links)})", at_once(look, self.links))


class ToxicOnEdge(Action):
    """Adds a toxic to one edge, in its direction or both, and removes it."""

    def __init__(self, cluster: Cluster, edge: TargetEdge, toxic: str, **attributes: int) -> None:
        self._cluster = cluster
        self._edge = edge
        self._towards = edge.towards
        self._toxic = toxic
        self._attributes = attributes
        self._found: ProxiedLink | None = None

    @property
    def link(self) -> ProxiedLink:
        """The edge that it acts on."""
        if self._found is None:
            self._found = self._cluster.edge(self._edge.a, self._edge.b)
        return self._found

    @property
    def streams(self) -> tuple[str, ...]:
        """The proxy's names of the directions."""
        return self.link.streams(self._towards)

    def prepare(self) -> Proofs:
        """Checks that the edge is whole, and proves that the pair dials it."""
        names = {f"{self._toxic}_{stream}" for stream in self.streams}
        if taken := names & self.link.toxics().keys():
            raise ClusterError(
                f"{edge_text(self.link)} has a toxic {min(taken)} already: heal that first"
            )
        if not self.link.is_enabled:
            raise ClusterError(f"{edge_text(self.link)} is cut: heal that first")
        return route(self._cluster, self.link), passes(self.link)

    def apply(self) -> None:
        """Adds the toxic."""
        self.link.add_toxic(self._toxic, towards=self._towards, **self._attributes)

    @abstractmethod
    def prove(self) -> Proofs:
        """Proves that the toxic acts."""

    def undo(self) -> None:
        """Removes the toxic from each direction that still has it."""
        from spot.testbed.proxy import ProxyNotFound  # brings requests, which is slow to import

        for stream in self.streams:
            with contextlib.suppress(ProxyNotFound):
                self.link.proxy.destroy_toxic(f"{self._toxic}_{stream}")

    def prove_undone(self) -> Proofs:
        """Proves that a canary passes the edge again."""
        return (passes_again(self._cluster, self.link),)

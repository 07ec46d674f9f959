"""The state of a cluster: its nodes, its links, and what it lacks to be ready."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spot.testbed.backends import NodeState
from spot.testbed.topology import NodePair, Topology

__all__ = ["ClusterStatus", "LinkStatus", "NodeStatus", "Rates", "rates_between"]


_WORDS: dict[NodeState | None, str] = {"exited": "not running", "paused": "paused"}


@dataclass(frozen=True)
class NodeStatus:
    """The state of one node, as the backend sees it (``state``) and by itself (``document``)."""

    name: str
    state: NodeState
    address: str | None
    document: dict[str, Any] | None
    """The node's status document (``docs/journal.md``). None: it doesn't answer."""

    @property
    def is_synced(self) -> bool:
        """Whether the node says that all its peers have answered it."""
        return self.document is not None and bool(self.document["synced"])

    def is_ready_in(self, topology: Topology) -> bool:
        """Whether this node says that it is synchronised and has all of its links."""
        others = {name for link in topology.links if self.name in link for name in link}
        ends = [self.peer(name) for name in others - {self.name}]
        return self.is_synced and all(end is not None and end["state"] == "up" for end in ends)

    def peer(self, name: str) -> dict[str, Any] | None:
        """This node's entry for a peer, preferring a link that is up. None: there is none."""
        peers = [] if self.document is None else self.document["peers"]
        said = [peer for peer in peers if peer["node"] == name]
        return min(said, key=lambda peer: peer["state"] != "up", default=None)


@dataclass(frozen=True)
class LinkStatus:
    """One pair of nodes. It is up when both ends say so."""

    link: NodePair
    is_up: bool
    rtt: float | None
    """The shorter of the round trips that the ends measured, in seconds. None: not known."""


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster at one moment."""

    topology: Topology
    nodes: dict[str, NodeStatus]
    proxy: NodeState | None = None
    """The server of the proxies between the nodes. None: there is none."""
    links: tuple[LinkStatus, ...] = field(init=False)

    def __post_init__(self) -> None:
        links = tuple(self._link(link) for link in self.topology.links)
        object.__setattr__(self, "links", links)

    @property
    def is_ready(self) -> bool:
        """Whether every node runs and has synchronised, and every link is up."""
        return not self.lacking()

    def lacking(self) -> list[str]:
        """What is missing, each in a few words. Empty: the cluster is ready."""
        lacking = []
        if self.proxy not in (None, "running"):
            lacking.append(f"proxy: {_WORDS[self.proxy]}, and every link goes through it")
        for node in self.nodes.values():
            if node.state != "running":
                lacking.append(f"{node.name}: {_WORDS[node.state]}")
            elif node.document is None:
                lacking.append(f"{node.name}: does not answer")
            elif node.document["failure"]:
                lacking.append(f"{node.name}: {node.document['failure']}")
            elif not node.is_synced:
                lacking.append(f"{node.name}: not synchronised")
        down = [link.link for link in self.links if not link.is_up]
        return lacking + [f"link {a} - {b}: down" for a, b in down]

    def _link(self, link: NodePair) -> LinkStatus:
        a, b = link
        ends = [self.nodes[a].peer(b), self.nodes[b].peer(a)]
        running = all(self.nodes[name].state == "running" for name in link)
        is_up = running and all(end is not None and end["state"] == "up" for end in ends)
        measured = [end["rtt"] for end in ends if end is not None and end["rtt"] is not None]
        return LinkStatus(link, is_up, min(measured) if is_up and measured else None)


@dataclass(frozen=True)
class Rates:
    """Messages a second of one node."""

    published: float
    received: float


def rates_between(before: ClusterStatus, after: ClusterStatus) -> dict[str, Rates]:
    """The rates of each node between two moments. Leaves out restarted and silent nodes."""
    rates = {}
    for name, node in after.nodes.items():
        then = before.nodes[name].document
        now = node.document
        if then is None or now is None or now["at"] <= then["at"]:
            continue
        seconds = now["at"] - then["at"]
        if now["uptime"] < seconds:  # restarted meanwhile; in a container the pid is always 1
            continue
        published, received = (
            (now["metrics"][counter] - then["metrics"][counter]) / seconds
            for counter in ("publishes", "recv_msgs")
        )
        rates[name] = Rates(published, received)
    return rates

"""The application's requests about peers: to add them, to remove them, to describe them."""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.link import Link, LinkState
from spot.core.membership.dials import Dial, Dials
from spot.core.membership.failover import Failover
from spot.core.membership.handshake import Handshake
from spot.core.membership.lifecycle import Lifecycle
from spot.core.membership.links import GONE_REMOVED, Links
from spot.core.membership.lost_hosts import LostHosts
from spot.core.topics.announced import Announced
from spot.core.topics.registry import Registry
from spot.message import Peer


class Peers:
    """The configured endpoints of a node, and the nodes that have dialled it."""

    def __init__(
        self,
        context: NodeContext,
        links: Links,
        dials: Dials,
        handshake: Handshake,
        lifecycle: Lifecycle,
        announced: dict[Link, Announced],
        registry: Registry,
        failover: Failover,
        lost_hosts: LostHosts,
    ) -> None:
        self._context = context
        self._links = links
        self._dials = dials
        self._handshake = handshake
        self._lifecycle = lifecycle
        self._announced = announced
        self._registry = registry
        self._failover = failover
        self._lost_hosts = lost_hosts

    def add(self, endpoint: str, now: float) -> Dial:
        """Adds an endpoint. It is dialled until it is removed."""
        return self._dials.add(endpoint, now)

    def remove(self, endpoint: str, now: float) -> None:
        """Drops a configured endpoint, or the node with that id, with its link and its topics."""
        dial = self._dials.by_endpoint.get(endpoint)
        node = dial.node if dial is not None else endpoint
        for other in list(self._dials.by_endpoint.values()):
            if other is dial or (node is not None and other.node == node):
                self._dials.remove(other)
        if node is None:
            return
        self._handshake.removed.add(node)
        link = self._links.by_node.get(node)
        if link is not None:
            self._links.farewell(link, GONE_REMOVED)
            self._lifecycle.down(link, GONE_REMOVED, now, notice=False)
        names = [name for name, hosts in self._registry.remote.items() if node in hosts]
        for name in names:
            self._registry.withdraw(name, node)
        self._failover.hosts_changed(names, now)
        self._lost_hosts.forget(node)

    def is_removed(self, node: str) -> bool:
        """Whether the application has removed a node."""
        return node in self._handshake.removed

    def readmit(self, node: str) -> None:
        """Accepts dials of a removed node again."""
        self._handshake.removed.discard(node)

    def linked(self, endpoint: str) -> Link | None:
        """The link of a configured endpoint or node id, if it is up."""
        dial = self._dials.by_endpoint.get(endpoint)
        if dial is not None:
            return dial.link if dial.is_linked else None
        return self._links.by_node.get(endpoint)

    def knows(self, endpoint: str) -> bool:
        """Whether an endpoint was added, or a node of that id is linked or was behind one."""
        dials = self._dials.by_endpoint
        return (
            endpoint in dials
            or endpoint in self._links.by_node
            or any(dial.node == endpoint for dial in dials.values())
        )

    @property
    def any(self) -> bool:
        """Whether there is any peer."""
        return bool(self._dials.by_endpoint or self._links.by_node)

    # Dials

    def made(self, conn: bytes) -> None:
        """A dial has begun. The greeting goes out as soon as there is a connection."""
        link = self._links.by_conn.get(conn)
        if link is not None and link.state is LinkState.DIALLING:
            self._handshake.greet(link)

    def same(self, conn: bytes, other: bytes, now: float) -> None:
        """A dial leads to an address that another dial leads to already. No second one is made."""
        link = self._links.by_conn.pop(conn, None)
        dial = self._dials.of(link) if link is not None else None
        if dial is None:
            return
        linked = self._links.by_conn.get(other)
        if linked is not None and linked.is_up:
            dial.node = linked.node
            dial.link = linked
            self._context.effects.progress = True
        else:
            dial.wait(now, "another endpoint leads to the same address")

    # What is known

    def describe(self) -> tuple[Peer, ...]:
        """The configured endpoints, then the nodes that dialled and are not configured."""
        found = []
        covered: set[str] = set()
        for dial in self._dials.by_endpoint.values():
            link = dial.link if dial.is_linked else None
            if link is not None:
                covered.add(link.node)
            found.append(self._describe(dial.endpoint, dial, link))
        for node, link in self._links.by_node.items():
            if node not in covered:
                found.append(self._describe(node, None, link))
        return tuple(found)

    def _describe(self, endpoint: str, dial: Dial | None, link: Link | None) -> Peer:
        flows = link.flows if link is not None else ()
        return Peer(
            endpoint=endpoint,
            node=link.node if link is not None else dial.node if dial is not None else None,
            state="up" if link is not None else dial.state if dial is not None else "waiting",
            rtt=link.rtt if link is not None else None,
            dialled=link is not None and link.is_dialled,
            sent_bytes=sum(flow.sent_bytes for flow in flows),
            recv_bytes=sum(flow.recv_bytes for flow in flows),
            sent_msgs=sum(flow.sent_msgs for flow in flows),
            recv_msgs=sum(flow.recv_msgs for flow in flows),
            queued_msgs=sum(flow.out_msgs for flow in flows),
            topics=len(self._announced[link].topics) if link is not None else 0,
            dials=dial.attempts if dial is not None else 0,
            last_error=dial.last_error if dial is not None else None,
        )

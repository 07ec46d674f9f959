"""Binding, and keeping peers."""

from __future__ import annotations

import time

from spot.calls.base import Calls
from spot.core.membership.barriers import Sync
from spot.endpoint import parse_endpoint
from spot.errors import HostUnreachable, PeerExists, PeerNotFound, TimedOut
from spot.message import Peer
from spot.timeout import deadline


class PeeringCalls(Calls):
    """The endpoints of this node, and its peers."""

    def bind(self, endpoint: str) -> str:
        """Listens on an endpoint. A node may listen on several.

        Args:
            endpoint: ``tcp://host:port``, ``ipc:///path`` or ``inproc://name``. As the host, ``*``
                stands for every interface; port 0 stands for any free port.

        Returns:
            The endpoint with its port resolved, for others to add.

        Raises:
            AddressInUse: Another socket listens there.
            EndpointExists: This node listens there already.
            InvalidArgument: The endpoint is not valid, or this machine does not have its
                address.
            TooManyOpenFiles: The process may open no more descriptors.
        """
        parsed = parse_endpoint(endpoint, binding=True)
        with self._driver.lock:
            self._driver.check_open()
            bound = self._driver.transport.bind(parsed)
            self._driver.loop.serve(monitor=True)
            return bound

    def cluster_add(self, endpoint: str, *, timeout: float | None = None) -> None:
        """Adds a peer, and keeps a link to it from then on.

        A lost link is dialled again and again, until ``cluster_remove``. If the peer is a node that
        ``cluster_remove`` has dropped, its dials are accepted again.

        A name is looked up at each dial. If it has several addresses, of IPv4 and IPv6, a dial goes
        to one of them: the first in the system's order, and after a failed dial the next.

        Args:
            endpoint: The endpoint of the peer; or the node id of one that ``cluster_remove`` has
                dropped.
            timeout: Seconds to wait for the peer's greeting. None (the default): don't wait. 0:
                raise HostUnreachable at once, as no greeting can have come yet.

        Raises:
            PeerExists: The endpoint was added before, or is the id of a node that has dialled this
                one.
            HostUnreachable: No greeting came within ``timeout``, or the peer refused. The peer
                stays added, and the node goes on trying.
            InvalidArgument: The endpoint or ``timeout`` is not valid.
        """
        driver = self._driver
        until = deadline(timeout)
        with driver.lock:
            driver.check_open()
            if endpoint in self._core.handshake.removed:
                self._core.peers.readmit(endpoint)
                return
            if self._core.peers.knows(endpoint):
                dials = self._core.dials.by_endpoint.values()
                added = any(endpoint in (dial.endpoint, dial.node) for dial in dials)
                how = "was added before" if added else "has dialled this node"
                raise PeerExists(
                    f"peer {endpoint} {how}, and its link is kept without another call: go on, or "
                    "cluster_remove it first to begin anew",
                    endpoint=endpoint,
                )
            parse_endpoint(endpoint)
            dial = self._core.peers.add(endpoint, time.monotonic())
            driver.wakeups.wake()
            if timeout is None:
                return
            self._wait(lambda: dial.is_linked or dial.refused is not None, until)
            if not dial.is_linked:
                raise HostUnreachable(
                    f"peer {endpoint} did not greet within {timeout} s: "
                    f"{dial.last_error or 'no answer yet'}. The node goes on trying",
                    endpoint=endpoint,
                    reason=dial.refused or dial.last_error or "no greeting came",
                )

    def cluster_remove(self, endpoint: str) -> None:
        """Drops a peer and its REMOTE topics, and refuses its dials until it is added again.

        Subscriptions keep their positions, and messages that have arrived still come out of
        ``recv``.

        Args:
            endpoint: The endpoint of the peer as it was added, or its node id.

        Raises:
            PeerNotFound: There is no such peer.
        """
        driver = self._driver
        with driver.lock:
            driver.check_open()
            self._check_peer(endpoint)
            self._core.peers.remove(endpoint, time.monotonic())
            driver.loop.act()

    def _check_peer(self, endpoint: str) -> None:
        if not self._core.peers.knows(endpoint):
            raise PeerNotFound(f"no peer {endpoint!r}: see peers()", endpoint=endpoint)

    def cluster_sync(self, timeout: float | None = 1.0) -> dict[str, frozenset[str]]:
        """Asks every peer for its topics, and waits for the answers.

        It is a barrier for subscriptions: when it returns, earlier subscriptions of both sides are
        in force, also those to topics of nodes behind relays, as far as the relays know them.

        Args:
            timeout: Seconds to wait. Default 1. None: as long as it takes. 0: don't wait.

        Returns:
            The topics of each peer, including those that it relays. A key is the peer's endpoint as
            it was added, or its node id if it dialled this node without being added.

        Raises:
            TimedOut: A peer had not answered when ``timeout`` was over. ``answers`` holds the
                topics of the peers that answered, and ``missing`` names the other peers. The node
                goes on trying.
            InvalidArgument: ``timeout`` is negative or not a number.
        """
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            sync = self._core.barriers.start_sync()
            try:
                driver.loop.act()
                self._wait(
                    lambda: (
                        not self._core.barriers.answers(sync)[1]
                        and not self._core.barriers.is_awaiting()
                    ),
                    until,
                )
                return self._sync_result(sync, timeout)
            finally:
                self._core.barriers.end_sync(sync)

    def _sync_result(self, sync: Sync, timeout: float | None) -> dict[str, frozenset[str]]:
        answers, missing = self._core.barriers.answers(sync)
        if missing:
            why = {
                dial.endpoint: dial.last_error
                for dial in self._core.dials.by_endpoint.values()
                if not dial.is_linked
            }
            named = (f"{who} ({why[who]})" if why.get(who) else who for who in missing)
            raise TimedOut(
                f"no answer within {timeout} s from {', '.join(named)}: start it, or allow more "
                "time. The node goes on trying, and peers() says how far it got",
                answers=answers,
                missing=missing,
            )
        return answers

    def is_healthy(self, endpoint: str, timeout: float | None = 0.1) -> bool:
        """Asks a peer for a sign of life.

        Args:
            endpoint: The endpoint of the peer as it was added, or its node id.
            timeout: Seconds to wait for the answer. Default 0.1. None: as long as the link lasts.
                0: don't wait.

        Returns:
            True if the peer has answered; False if it has not, or there is no link.

        Raises:
            PeerNotFound: There is no such peer.
            InvalidArgument: ``timeout`` is negative or not a number.
        """
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            self._check_peer(endpoint)
            link = self._core.peers.linked(endpoint)
            if link is None:
                return False
            nonce = self._core.barriers.ping(link)
            driver.loop.act()
            self._wait(lambda: nonce not in self._core.barriers.pings, until)
            return (
                nonce not in self._core.barriers.pings
                and link.is_up
                and (self._core.links.by_node.get(link.node) is link)
            )

    def peers(self) -> tuple[Peer, ...]:
        """Describes the peers and the links to them.

        Returns:
            A Peer for each endpoint that was added, then one for each node that has dialled this
            one without being added.
        """
        with self._driver.lock:
            self._driver.check_open()
            return self._core.peers.describe()

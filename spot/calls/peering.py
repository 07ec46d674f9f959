"""Binding, and keeping peers."""

from __future__ import annotations

import time

from spot.calls.base import Calls, deadline
from spot.core.membership.sync import Sync
from spot.endpoint import parse_endpoint
from spot.errors import HostUnreachable, PeerExists, PeerNotFound, TimedOut
from spot.message import Peer


class PeeringCalls(Calls):
    """The endpoints of this node, and its peers."""

    def bind(self, endpoint: str) -> str:
        """Binds an endpoint, and returns it with its port resolved. Several may be bound.

        Raises AddressInUse, EndpointExists, InvalidArgument.
        """
        parsed = parse_endpoint(endpoint, binding=True)
        with self._driver.lock:
            self._driver.check_open()
            return self._driver.transport.bind(parsed)

    def cluster_add(self, endpoint: str, *, timeout: float | None = None) -> None:
        """Adds a peer, and keeps a link to it from then on.

        Returns at once. With ``timeout``, waits for the peer's greeting, and raises HostUnreachable
        if none came or it was a refusal; the node goes on trying all the same. Raises PeerExists
        for an endpoint that was added before.
        """
        driver = self._driver
        until = deadline(timeout)
        with driver.lock:
            driver.check_open()
            if endpoint in self._core.removed:
                self._core.readmit(endpoint)
                return
            if self._core.knows_peer(endpoint):
                dials = self._core.dials.values()
                added = any(endpoint in (dial.endpoint, dial.node) for dial in dials)
                how = "was added before" if added else "has dialled this node"
                raise PeerExists(
                    f"peer {endpoint} {how}, and its link is kept without another call: go on, or "
                    "cluster_remove it first to begin anew",
                    endpoint=endpoint,
                )
            parse_endpoint(endpoint)
            dial = self._core.add_peer(endpoint, time.monotonic())
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

        Subscriptions keep their positions, and what had arrived still comes out of ``recv``.
        PeerNotFound if there is no such peer.
        """
        driver = self._driver
        with driver.lock:
            driver.check_open()
            self._check_peer(endpoint)
            self._core.remove_peer(endpoint, time.monotonic())
            driver.loop.act()

    def _check_peer(self, endpoint: str) -> None:
        if not self._core.knows_peer(endpoint):
            raise PeerNotFound(f"no peer {endpoint!r}: see peers()", endpoint=endpoint)

    def cluster_sync(self, timeout: float | None = 1.0) -> dict[str, frozenset[str]]:
        """Asks every peer for its topics, and waits for the answers.

        On return, earlier subscriptions of both sides are in force, also those to topics of nodes
        behind relays, as far as the relays know them. Returns the topics by endpoint (node id, for
        a peer that dialled us), with those that a relay passes on; TimedOut names who did not
        answer.
        """
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            sync = self._core.start_sync()
            try:
                driver.loop.act()
                self._wait(
                    lambda: not self._core.sync_answers(sync)[1] and not self._core.is_awaiting(),
                    until,
                )
                return self._sync_result(sync, timeout)
            finally:
                self._core.end_sync(sync)

    def _sync_result(self, sync: Sync, timeout: float | None) -> dict[str, frozenset[str]]:
        answers, missing = self._core.sync_answers(sync)
        if missing:
            why = {
                dial.endpoint: dial.last_error
                for dial in self._core.dials.values()
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
        """Whether a peer answers within ``timeout``. PeerNotFound if there is no such peer."""
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            self._check_peer(endpoint)
            link = self._core.linked_peer(endpoint)
            if link is None:
                return False
            nonce = self._core.ping(link)
            driver.loop.act()
            self._wait(lambda: nonce not in self._core.pings, until)
            return (
                nonce not in self._core.pings
                and link.is_up
                and (self._core.nodes.get(link.node) is link)
            )

    def peers(self) -> tuple[Peer, ...]:
        """The configured endpoints, then the nodes that dialled us without being configured."""
        with self._driver.lock:
            self._driver.check_open()
            return self._core.peers()

"""Barriers: a call may wait until peers have handled all that was sent before."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spot.core.context import NodeContext
from spot.core.link import Link
from spot.core.membership.dials import Dials
from spot.core.membership.links import Links
from spot.core.topics.announced import Announced
from spot.core.wire import codec
from spot.core.wire.greeting import REFUSED_SELF


class Sync:
    """One ``cluster_sync`` in progress: which nodes have answered, with which topics."""

    __slots__ = ("answers", "nonce")

    def __init__(self, nonce: int) -> None:
        self.nonce = nonce
        self.answers: dict[str, frozenset[str]] = {}


class Barriers:
    """Pings of single peers, and syncs with all of them. ``token`` gives unguessable numbers."""

    def __init__(
        self,
        context: NodeContext,
        links: Links,
        dials: Dials,
        announced: dict[Link, Announced],
        token: Callable[[], int],
    ) -> None:
        self._context = context
        self._links = links
        self._dials = dials
        self._announced = announced
        self._token = token
        # Nonces of pings that were not answered yet.
        self.pings: dict[int, Link] = {}
        self._syncs: list[Sync] = []

    def ping(self, link: Link) -> int:
        """Asks for a PONG. When it comes, the peer has handled all that was sent before."""
        nonce = self._token()
        self.pings[nonce] = link
        self._context.effects.control(link, codec.encode_nonce(codec.PING, nonce))
        return nonce

    def on_pong(self, nonce: int) -> None:
        """A peer answers a ping."""
        self.pings.pop(nonce, None)
        self._context.effects.progress = True

    def start_sync(self) -> Sync:
        """Asks all peers for their topics."""
        sync = Sync(self._token())
        self._syncs.append(sync)
        for link in self._links.by_node.values():
            self._query(link, sync)
        return sync

    def end_sync(self, sync: Sync) -> None:
        """No call waits for the answers any more."""
        self._syncs.remove(sync)

    def _query(self, link: Link, sync: Sync) -> None:
        self._context.effects.control(link, codec.encode_nonce(codec.QUERY, sync.nonce))

    def on_query_resp(self, link: Link, nonce: int) -> None:
        """A peer has announced all its topics, and says so."""
        topics = frozenset(topic.name for topic in self._announced[link].topics.values())
        for sync in self._syncs:
            if sync.nonce == nonce:
                sync.answers[link.node] = topics
        self._context.effects.progress = True

    def link_up(self, link: Link) -> None:
        """Syncs that are in progress ask a new peer, too."""
        for sync in self._syncs:
            self._query(link, sync)

    def link_down(self, link: Link) -> None:
        """A link has ended: its peer will not answer pings."""
        for nonce in [nonce for nonce, pinged in self.pings.items() if pinged is link]:
            del self.pings[nonce]

    def answers(self, sync: Sync) -> tuple[dict[str, frozenset[str]], list[str]]:
        """The answers, by endpoint or node id, and the peers that have not answered."""
        answers: dict[str, frozenset[str]] = {}
        missing: list[str] = []
        named: set[str] = set()
        for dial in self._dials.by_endpoint.values():
            if dial.refused == REFUSED_SELF:
                continue
            if dial.node is not None:
                named.add(dial.node)
            if dial.node is not None and dial.node in sync.answers:
                answers[dial.endpoint] = sync.answers[dial.node]
            else:
                missing.append(dial.endpoint)
        for node in self._links.by_node.keys() - named:
            if node in sync.answers:
                answers[node] = sync.answers[node]
            else:
                missing.append(node)
        return answers, missing

    def is_awaiting(self, links: Iterable[Link] | None = None) -> bool:
        """Whether a relay has not yet told where a stream begins that this node follows there.

        Looks at the relays at these links, or at all relays.
        """
        known = self._announced
        return any(known[link].awaiting for link in links or known if link in known)

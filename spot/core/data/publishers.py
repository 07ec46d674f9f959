"""How far this host has dealt with what other nodes published to its topics.

A host counts by the pair of incarnations, its own and the publisher's. If an incarnation seemed to
be over and is not, the count goes on where it was. The news that an incarnation is over may be
late. If the numbers began anew, new messages would be taken for those that were dealt with.
"""

from __future__ import annotations

from collections import OrderedDict

from spot.core.context import NodeContext
from spot.core.link import Link
from spot.core.wire import codec
from spot.core.wire.codec import Sender
from spot.core.wire.greeting import Incarnation

PUBLISHERS_MAX = 4096
"""Publishers that a host remembers, each incarnation on its own. If the host forgets a publisher
that has no link, and that publisher sends something again, the host may order that twice."""
UNTOLD = -1
"""The peer is to be told what was dealt with, even if that is nothing or was told before."""


class RemotePublisher:
    """How far this host has dealt with what one incarnation of a node published to its topics.

    ``refused`` counts messages that came after their topic had ended.
    """

    __slots__ = ("incarnation", "node", "refused", "settled")

    def __init__(self, node: str, incarnation: Incarnation) -> None:
        self.node = node
        self.incarnation = incarnation
        self.settled = 0
        self.refused = 0


class _OnLink:
    """The publishers whose messages come by a link: the peer, and publishers behind it.

    ``told`` is the number up to which the peer was told that its messages were dealt with;
    ``forwarded`` has the same for each publisher behind the peer.
    """

    __slots__ = ("forwarded", "peer", "told")

    def __init__(self, peer: RemotePublisher) -> None:
        self.peer = peer
        self.told = 0
        self.forwarded: dict[RemotePublisher, int] = {}


class Publishers:
    """The newest publishers to the topics of this node, and what each link was told about them."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._by_incarnation: OrderedDict[tuple[str, Incarnation], RemotePublisher] = OrderedDict()
        self._on_link: dict[Link, _OnLink] = {}

    def find(self, node: str, incarnation: Incarnation) -> RemotePublisher:
        """The record of an incarnation of a node. It is made if there is none."""
        key = (node, incarnation)
        known = self._by_incarnation
        publisher = known.get(key)
        if publisher is None:
            publisher = known[key] = RemotePublisher(node, incarnation)
        known.move_to_end(key)
        if len(known) > PUBLISHERS_MAX:
            known.popitem(last=False)
        return publisher

    def link_up(self, link: Link) -> None:
        """A peer was greeted: what it published before is known."""
        self._on_link[link] = _OnLink(self.find(link.node, link.incarnation))

    def link_down(self, link: Link) -> None:
        """The link has ended."""
        self._on_link.pop(link, None)

    def of(self, link: Link, sender: Sender | None) -> RemotePublisher:
        """The publisher whose messages came: ``sender``, or the peer itself.

        A publisher is told on all links that its messages come by, because the messages that come
        last may have been under way for long, on a path that is lost.
        """
        on_link = self._on_link[link]
        if sender is None:
            return on_link.peer
        publisher = self.find(sender.node, Incarnation(sender.started, sender.random))
        forwarded = on_link.forwarded
        if publisher not in forwarded:
            forwarded[publisher] = UNTOLD
            if len(forwarded) > PUBLISHERS_MAX:
                del forwarded[next(iter(forwarded))]
        return publisher

    def tell_again(self, link: Link, publisher: RemotePublisher, sender: Sender | None) -> None:
        """A publisher that sends messages again has not heard what became of them."""
        if sender is None:
            self._on_link[link].told = UNTOLD
        else:
            self._on_link[link].forwarded[publisher] = UNTOLD

    def news(self, link: Link) -> bytes:
        """SETTLED, and CONFIRMED to publishers behind the peer, if there is news."""
        on_link = self._on_link.get(link)
        if on_link is None:
            return b""
        news = b""
        peer = on_link.peer
        if on_link.told != peer.settled:
            on_link.told = peer.settled
            news = codec.encode_settled(peer.settled, peer.refused)
        for each, told in on_link.forwarded.items():
            if told != each.settled:
                on_link.forwarded[each] = each.settled
                me = self._context.incarnation
                own = each.incarnation
                sender = Sender(
                    self._context.node,
                    each.node,
                    own.started,
                    own.random,
                    me.started,
                    me.random,
                )
                news += codec.encode_confirmed(sender, each.settled, each.refused)
        return news

"""The connections of a node: links, and accepted connections that were refused."""

from __future__ import annotations

from collections import OrderedDict

from spot.core.context import NodeContext
from spot.core.link import Link
from spot.core.topics.hosted_topic import Subscriber
from spot.core.wire.greeting import REFUSED_LINKED, Refusal, encode_goodbye
from spot.message import Event

REFUSED_MAX = 1024
"""Refused connections that a node remembers."""

GONE_LEFT = "left"
GONE_SILENT = "silent"
GONE_REMOVED = "removed"
GONE_REPLACED = "replaced"


class Links:
    """The links by connection (``by_conn``), and those that are up by node (``by_node``).

    ``subscribers`` has, for each link that is up, the peer as a subscriber.
    """

    def __init__(self, context: NodeContext, subscribers: dict[Link, Subscriber]) -> None:
        self._context = context
        self._subscribers = subscribers
        self.by_conn: dict[bytes, Link] = {}
        self.by_node: dict[str, Link] = {}
        # Connections that were refused or given up, and when their peers were last told so.
        self._told: OrderedDict[bytes, float] = OrderedDict()

    def send_now(self, conn: bytes, record: bytes) -> None:
        """Sends a record in its own frame, before anything that waits."""
        self._context.effects.sends.append((conn, (record,)))

    def end(self, link: Link) -> None:
        """Forgets a connection. One that this node dialled is closed. Only the dialler can close
        the other kind.
        """
        self.by_conn.pop(link.conn, None)
        self.remember_told(link.conn, 0.0)
        if link.is_dialled:
            self._context.effects.hangups.append(link.conn)

    def withdraw(self, link: Link) -> None:
        """Ends a connection that is one too many."""
        self.send_now(link.conn, encode_goodbye(REFUSED_LINKED, {}))
        self.end(link)

    def farewell(self, link: Link, reason: str) -> None:
        """Says goodbye, with the heads of the topics that the peer gets."""
        subscriber = self._subscribers.get(link)
        feeds = subscriber.feeds if subscriber is not None else ()
        heads = {topic.topic_id: topic.head for topic in feeds}
        self.send_now(link.conn, encode_goodbye(reason, heads))

    def refuse(self, conn: bytes, refusal: Refusal, node: str | None, now: float) -> None:
        """Refuses a connection, or ends a link after a violation."""
        effects = self._context.effects
        self._context.counters.refused += 1
        self.send_now(conn, refusal.encode())
        why = f"{refusal.reason}: {refusal.text}"
        if node is None:
            effects.unnamed_refusals.append((conn, why))
        else:
            effects.events.append(Event("refused", now, node=node, reason=why))

    def told_at(self, conn: bytes) -> float | None:
        """When the peer was last told that the connection is no link. None: never."""
        return self._told.get(conn)

    def remember_told(self, conn: bytes, now: float) -> None:
        """The peer was told that the connection is no link."""
        self._told[conn] = now
        self._told.move_to_end(conn)
        while len(self._told) > REFUSED_MAX:
            self._told.popitem(last=False)

"""The greeting of a new connection: which nodes are refused, and which link of a pair remains.

Both nodes of a pair may dial at once, by any endpoints. The node that answers names the link that
it already has with the dialler. So both recognise a second link. If two dials cross, the dial of
the node with the lower node id stays. A link is up when the dialler has confirmed.
"""

from __future__ import annotations

from dataclasses import replace

from spot.core.context import NodeContext
from spot.core.effects import Frame
from spot.core.link import Link, LinkState
from spot.core.membership.dials import Dial, Dials
from spot.core.membership.lifecycle import Lifecycle
from spot.core.membership.links import GONE_LEFT, Links
from spot.core.membership.timing import beat_interval, greeting_timeout
from spot.core.wire import codec
from spot.core.wire.codec import ProtocolError
from spot.core.wire.greeting import (
    REFUSED_DUPLICATE,
    REFUSED_PROTOCOL,
    REFUSED_REMOVED,
    REFUSED_SELF,
    Hello,
    Refusal,
    decode_hello,
    encode_goodbye,
    judge,
    judged_self,
)

GIVEN_UP_PAUSE_S = 1.0
"""The least seconds between two replies that tell a peer that its connection was given up."""
UNCONFIRMED_MAX = 1024


class Handshake:
    """Turns connections into links. ``me`` is what this node says about itself.

    ``removed`` are ids of nodes whose dials are refused, as the application removed them.
    """

    def __init__(
        self,
        context: NodeContext,
        me: Hello,
        links: Links,
        dials: Dials,
        lifecycle: Lifecycle,
    ) -> None:
        self._context = context
        self.me = me
        self._links = links
        self._dials = dials
        self._lifecycle = lifecycle
        self.removed: set[str] = set()

    def first_frame(self, conn: bytes, parts: Frame, now: float) -> None:
        """The first frame of an accepted connection, or one on a link that was given up."""
        told = self._links.told_at(conn)
        try:
            hello = self._first_hello(parts)
            if hello is None:
                return
        except ProtocolError as error:
            if told is None:
                self._links.refuse(conn, Refusal(REFUSED_PROTOCOL, str(error)), None, now)
            elif now - told >= GIVEN_UP_PAUSE_S:
                self._links.send_now(conn, encode_goodbye("this link was given up", {}))
            else:
                return
            self._links.remember_told(conn, now)
            return
        if told is None:
            # A connection is judged once.
            self._on_hello(conn, hello, now)

    @staticmethod
    def _first_hello(parts: Frame) -> Hello | None:
        """None if a former peer says that it has given up the link, too."""
        for kind, start, end, _ in codec.records(parts):
            if kind in (codec.GOODBYE, codec.REFUSE):
                return None
            if kind != codec.HELLO:
                raise ProtocolError(f"record type {kind} stands where a greeting should be")
            return decode_hello(parts[0][start:end])
        raise ProtocolError("an empty frame stands where a greeting should be")

    def _on_hello(self, conn: bytes, hello: Hello, now: float) -> None:
        """A node dialled us."""
        if self._context.leaving:
            self._links.send_now(conn, encode_goodbye(GONE_LEFT, {}))
            self._links.remember_told(conn, now)
            return
        refusal = judge(hello, self.me)
        existing = self._links.by_node.get(hello.node)
        if refusal is None and hello.node in self.removed:
            refusal = Refusal(
                REFUSED_REMOVED, f"node {self._context.node} has removed node {hello.node}"
            )
        if refusal is None and existing is not None:
            refusal = self._judge_duplicate(hello, existing)
        if (
            refusal is None
            and len(self._links.by_conn) - len(self._links.by_node) >= UNCONFIRMED_MAX
        ):
            refusal = Refusal(REFUSED_PROTOCOL, "too many greetings are under way: try again later")
        if refusal is not None:
            self._links.refuse(conn, refusal, hello.node, now)
            self._links.remember_told(conn, now)
            return
        other = next(
            (
                link.link_id
                for link in (existing, *self._links.by_conn.values())
                if link is not None
                and link.state is not LinkState.DIALLING
                and link.incarnation == hello.incarnation
            ),
            0,
        )
        link = Link(
            conn,
            LinkState.ANSWERED,
            hello.link,
            now,
            now + greeting_timeout(self._context.config.peer_timeout),
        )
        self._adopt(link, hello)
        self._links.by_conn[conn] = link
        self._context.due(link.answer_by)
        self.greet(link, other)

    def _judge_duplicate(self, hello: Hello, existing: Link) -> Refusal | None:
        if existing.incarnation == hello.incarnation:
            return None
        return Refusal(
            REFUSED_DUPLICATE,
            f"another node with the id {hello.node!r} is linked with {self._context.node}",
        )

    def _adopt(self, link: Link, hello: Hello) -> None:
        link.node = hello.node
        link.incarnation = hello.incarnation
        link.window_msgs = hello.window_msgs
        link.bytes_max = hello.bytes_max
        for flow in link.flows:
            flow.limit_msgs = hello.window_msgs
            flow.limit_bytes = hello.window_bytes
        link.interval = beat_interval(
            (self._context.config.heartbeat, hello.heartbeat),
            (self._context.config.peer_timeout, hello.peer_timeout),
        )

    def on_answer(self, link: Link, hello: Hello, now: float) -> None:
        """The node that we dialled has answered. Exactly one link with it is to remain."""
        dial = self._dial_of(link)
        refusal = judge(hello, self.me)
        existing = self._links.by_node.get(hello.node)
        if refusal is None and existing is not None:
            refusal = self._judge_duplicate(hello, existing)
        if refusal is not None:
            if refusal.reason != REFUSED_SELF:
                self._links.refuse(link.conn, refusal, hello.node, now)
            dial.refused = refusal.reason
            self._dials.failed(link, f"{refusal.reason}: {refusal.text}", now)
            return
        dial.node = hello.node
        dial.refused = None
        self.removed.discard(hello.node)
        dialled_at = link.answer_by - greeting_timeout(self._context.config.peer_timeout)
        if existing is not None and (
            # The peer may not have had a link that came up meanwhile when it answered.
            hello.existing == existing.link_id or existing.up_since >= dialled_at
        ):
            self._links.withdraw(link)
            dial.link = existing
            self._context.effects.progress = True
            return
        waiting = [
            other
            for other in self._links.by_conn.values()
            if other.state is LinkState.ANSWERED and other.node == hello.node
        ]
        theirs = any(other.link_id == hello.existing for other in waiting)
        if theirs or (waiting and hello.node < self._context.node):
            self._links.withdraw(link)
            dial.link = None
            dial.due = now + greeting_timeout(self._context.config.peer_timeout)
            self._context.due(dial.due)
            return
        self._adopt(link, hello)
        self._links.send_now(link.conn, codec.record(codec.CONFIRM))
        self._lifecycle.up(link, now)

    def itself(self, conn: bytes, now: float) -> None:
        """A dial leads to an address to which this node is bound. The dial is not made."""
        link = self._links.by_conn.get(conn)
        if link is not None:
            self.on_refusal(link, judged_self(self.me), now)

    def on_refusal(self, link: Link, refusal: Refusal, now: float) -> None:
        dial = self._dial_of(link)
        dial.refused = refusal.reason
        self._context.counters.refused += 1
        self._dials.failed(link, f"{refusal.reason}: {refusal.text}", now)

    def on_confirm(self, link: Link, now: float) -> None:
        """The node that dialled us has confirmed."""
        self._lifecycle.up(link, now)

    def greet(self, link: Link, existing: int = 0) -> None:
        """Sends HELLO, and notes what credit it gives."""
        link.first_grant(self.me.window_msgs)
        hello = replace(self.me, link=link.link_id, existing=existing)
        self._links.send_now(link.conn, hello.encode())

    def _dial_of(self, link: Link) -> Dial:
        dial = self._dials.of(link)
        # When a dial is removed, its unfinished link ends with it.
        assert dial is not None
        return dial

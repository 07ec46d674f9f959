"""The greeting of a new connection: who is refused, and which one link of a pair remains.

Both nodes of a pair may dial at once, by any endpoints. Who answers names the link that it has
with the dialler already; so a second link is recognised, and of two dials that cross, that of
the lower node id stays. A link is up when the dialler has confirmed.
"""

from __future__ import annotations

from spot.core.effects import Frame
from spot.core.link import Link, LinkState
from spot.core.membership.liveness import beat_interval, greeting_timeout
from spot.core.membership.peers import GONE_LEFT, Membership
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

STRANGER_PAUSE_S = 1.0
UNCONFIRMED_MAX = 1024


class Handshake(Membership):
    """Turns connections into links."""

    def _stranger(self, conn: bytes, parts: Frame, now: float) -> None:
        """The first frame of an accepted connection, or one on a link that was given up."""
        told = self._strangers.get(conn)
        try:
            hello = self._first_hello(parts)
            if hello is None:
                return
        except ProtocolError as error:
            if told is None:
                self._refuse(conn, Refusal(REFUSED_PROTOCOL, str(error)), None, now)
            elif now - told >= STRANGER_PAUSE_S:
                self._send_now(conn, encode_goodbye("this link was given up", {}))
            else:
                return
            self._remember_stranger(conn, now)
            return
        if told is None:
            # A connection is judged once.
            self._on_hello(conn, hello, now)

    @staticmethod
    def _first_hello(parts: Frame) -> Hello | None:
        """None where a former peer says that it gave up the link, too."""
        for kind, start, end, _ in codec.records(parts):
            if kind in (codec.GOODBYE, codec.REFUSE):
                return None
            if kind != codec.HELLO:
                raise ProtocolError(f"record type {kind} stands where a greeting should be")
            return decode_hello(parts[0][start:end])
        raise ProtocolError("an empty frame stands where a greeting should be")

    def _on_hello(self, conn: bytes, hello: Hello, now: float) -> None:
        """Somebody dialled us."""
        if self.leaving:
            self._send_now(conn, encode_goodbye(GONE_LEFT, {}))
            self._remember_stranger(conn, now)
            return
        refusal = judge(hello, self.me)
        existing = self.nodes.get(hello.node)
        if refusal is None and hello.node in self.removed:
            refusal = Refusal(REFUSED_REMOVED, f"node {self.node} has removed node {hello.node}")
        if refusal is None and existing is not None:
            refusal = self._judge_duplicate(hello, existing)
        if refusal is None and len(self.links) - len(self.nodes) >= UNCONFIRMED_MAX:
            refusal = Refusal(REFUSED_PROTOCOL, "too many greetings are under way: try again later")
        if refusal is not None:
            self._refuse(conn, refusal, hello.node, now)
            self._remember_stranger(conn, now)
            return
        other = next(
            (
                link.link_id
                for link in (existing, *self.links.values())
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
            now + greeting_timeout(self.config.peer_timeout),
        )
        self._adopt(link, hello)
        self.links[conn] = link
        self.deadline = min(self.deadline, link.answer_by)
        self._greet(link, other)

    def _judge_duplicate(self, hello: Hello, existing: Link) -> Refusal | None:
        if existing.incarnation == hello.incarnation:
            return None
        return Refusal(
            REFUSED_DUPLICATE, f"another node with the id {hello.node!r} is linked with {self.node}"
        )

    def _adopt(self, link: Link, hello: Hello) -> None:
        link.node = hello.node
        link.incarnation = hello.incarnation
        link.window_msgs = hello.window_msgs
        link.bytes_max = hello.bytes_max
        for flow in (link, link.publishes):
            flow.limit_msgs = hello.window_msgs
            flow.limit_bytes = hello.window_bytes
        link.interval = beat_interval(
            (self.config.heartbeat, hello.heartbeat),
            (self.config.peer_timeout, hello.peer_timeout),
        )

    def _on_answer(self, link: Link, hello: Hello, now: float) -> None:
        """The node that we dialled has answered: exactly one link with it is to remain."""
        dial = link.dial
        assert dial is not None
        refusal = judge(hello, self.me)
        existing = self.nodes.get(hello.node)
        if refusal is None and existing is not None:
            refusal = self._judge_duplicate(hello, existing)
        if refusal is not None:
            if refusal.reason != REFUSED_SELF:
                self._refuse(link.conn, refusal, hello.node, now)
            dial.refused = refusal.reason
            self._dial_failed(link, f"{refusal.reason}: {refusal.text}", now)
            return
        dial.node = hello.node
        dial.refused = None
        self.removed.discard(hello.node)
        dialled_at = link.answer_by - greeting_timeout(self.config.peer_timeout)
        if existing is not None and (
            # A link that came up meanwhile is one that the peer may not have had when it answered.
            hello.existing == existing.link_id or existing.up_since >= dialled_at
        ):
            self._withdraw(link, now)
            dial.link = existing
            self.effects.progress = True
            return
        waiting = [
            other
            for other in self.links.values()
            if other.state is LinkState.ANSWERED and other.node == hello.node
        ]
        theirs = any(other.link_id == hello.existing for other in waiting)
        if theirs or (waiting and hello.node < self.node):
            self._withdraw(link, now)
            dial.link = None
            dial.due = now + greeting_timeout(self.config.peer_timeout)
            self.deadline = min(self.deadline, dial.due)
            return
        self._adopt(link, hello)
        self._send_now(link.conn, codec.record(codec.CONFIRM))
        self._link_up(link, now)

    def itself(self, conn: bytes, now: float) -> None:
        """A dial leads to an address to which this node is bound: it is not made."""
        link = self.links.get(conn)
        if link is not None:
            self._on_refusal(link, judged_self(self.me), now)

    def _on_refusal(self, link: Link, refusal: Refusal, now: float) -> None:
        dial = link.dial
        assert dial is not None
        dial.refused = refusal.reason
        self.traffic.counters.refused += 1
        self._dial_failed(link, f"{refusal.reason}: {refusal.text}", now)

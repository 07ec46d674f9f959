"""A node of the cluster without sockets, clocks or threads: what the simulated network runs too.

Calls take ``now`` (seconds, monotonic) and change state; what is to be done about it
stands in ``effects``. The driver calls, in any order and under one lock:

- ``frame(conn, parts, now)`` for what arrived on a connection, known or not;
- ``made(conn, now)`` when a dial that was asked for has begun, ``lost(conn, why, now)`` when a
  connection ended, ``same(conn, other, now)`` when a dial leads to an address that has one,
  ``itself(conn, now)`` when it leads to one of this node's own;
- ``alive(conn, now)`` when bytes arrived of a frame that is not complete;
- ``tick(now)`` at ``deadline`` or later;

and sends ``take_sends()``, makes ``effects.dials`` and ends ``effects.hangups`` after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spot.core.data.receive import FRAME_BYTES
from spot.core.effects import Frame
from spot.core.link import Link, LinkState
from spot.core.membership.announcements import Announcements
from spot.core.membership.dial import Dial
from spot.core.membership.peers import GONE_LEFT, GONE_REPLACED
from spot.core.membership.sync import Sync
from spot.core.topics.interest import decode_interest
from spot.core.wire import batches, codec
from spot.core.wire.codec import ProtocolError
from spot.core.wire.greeting import (
    REFUSED_PROTOCOL,
    REFUSED_SELF,
    Refusal,
    decode_goodbye,
    decode_hello,
    decode_node_gone,
    decode_refusal,
    encode_goodbye,
)
from spot.core.wire.multi_batch import decode_medley
from spot.message import Metrics, Peer


class NodeCore(Announcements):
    """Links to peers, what they host and want, and who gets which message."""

    def _introduce(self, link: Link) -> None:
        self.traffic.link_up(link)
        self._announce_all(link)
        self._tell_interest(link)
        self.traffic.renew_offers("changed")
        if self.traffic.refusing:
            self._tell_quorum(link)
        for sync in self.syncs:
            self.effects.control(link, codec.encode_nonce(codec.QUERY, sync.nonce))

    # Arrivals

    def frame(self, conn: bytes, parts: Frame, now: float) -> None:
        link = self.links.get(conn)
        if link is None:
            self._stranger(conn, parts, now)
            return
        link.heard_at = now
        frame = parts[0]
        try:
            if len(parts) == 1 and link.is_up:
                # By far the most frequent frame.
                one = batches.one_batch(frame)
                if one is not None:
                    self.traffic.on_data(link, one)
                    return
            for kind, start, end, large in codec.records(parts):
                if kind in (codec.AGAIN, codec.AGAIN_LARGE) and link.is_up:
                    self.traffic.on_again(link, batches.decode_batch(frame, start, end, large))
                elif kind in (codec.FORWARD, codec.FORWARD_LARGE) and link.is_up:
                    if not self.leaving:
                        what = batches.decode_forward(frame, start, end, large)
                        self.traffic.on_forward(link, *what, now)
                elif codec.DATA <= kind <= codec.PUBLISH_LARGE and link.is_up:
                    if kind <= codec.DATA_LARGE:
                        self.traffic.on_data(link, batches.decode_batch(frame, start, end, large))
                    elif not self.leaving:
                        batch = batches.decode_batch(frame, start, end, large)
                        self.traffic.on_publish(link, batch, now)
                elif kind == codec.MEDLEY and link.is_up:
                    self.traffic.on_medley(link, decode_medley(frame, start, end))
                else:
                    self._record(link, kind, frame[start:end], now)
                if self.links.get(conn) is not link:
                    return
        except ProtocolError as error:
            self._violation(link, str(error), now)
            return
        if link.ingress:
            self._order_ingress(link, now)

    def _order_ingress(self, link: Link, now: float) -> None:
        patience = self.config.send_timeout if self.config.overflow == "catch-up" else None
        due = self.traffic.order_ingress(link, now, patience)
        if due is not None:
            self.deadline = min(self.deadline, due)

    def _record(self, link: Link, kind: int, body: bytes, now: float) -> None:
        if link.state is LinkState.DIALLING:
            if kind == codec.HELLO:
                self._on_answer(link, decode_hello(body), now)
            elif kind == codec.REFUSE:
                self._on_refusal(link, decode_refusal(body), now)
            elif kind == codec.GOODBYE:
                self._dial_failed(link, decode_goodbye(body)[0], now)
            else:
                raise ProtocolError(f"record type {kind} stands where a greeting should be")
            return
        if link.state is LinkState.ANSWERED:
            if kind == codec.CONFIRM:
                self._on_confirm(link, now)
            elif kind in (codec.GOODBYE, codec.REFUSE):
                del self.links[link.conn]
            else:
                raise ProtocolError(f"record type {kind} stands where a greeting should end")
            return
        if kind == codec.HEARTBEAT:
            self._on_heartbeat(link, codec.decode_heartbeat(body), now)
        elif kind == codec.CREDIT:
            flow = link.publishes
            limits = codec.decode_credit(body)
            link.limit_msgs, link.limit_bytes, flow.limit_msgs, flow.limit_bytes = limits
            self.effects.touched[link] = None
            self.effects.progress = True
        elif kind == codec.SETTLED:
            self.traffic.on_settled(link, *codec.decode_settled(body))
        elif kind == codec.CONFIRMED:
            self.traffic.pass_back(*codec.decode_confirmed(body))
        elif kind == codec.FOLLOW:
            self.traffic.on_follow(link, *codec.decode_follow(body))
            self.effects.progress = True
        elif kind == codec.UNFOLLOW:
            self.traffic.on_unfollow(link, codec.decode_follow(body)[0])
        elif kind == codec.FETCH:
            self.traffic.on_fetch(link, *codec.decode_fetch(body))
        elif kind == codec.FETCHED:
            self.traffic.on_fetched(link, *codec.decode_fetch(body))
        elif kind == codec.NODE:
            self._on_node(link, codec.decode_node(body), now)
        elif kind == codec.NODE_GONE:
            self._on_node_gone(link, *decode_node_gone(body), now)
        elif kind == codec.HEADS:
            self.traffic.on_heads(link, codec.decode_heads(body))
        elif kind == codec.HEAD:
            self.traffic.on_head(link, *codec.decode_head(body))
        elif kind == codec.BEGIN:
            self.traffic.on_begin(link, *codec.decode_begin(body))
        elif kind == codec.TOPICS:
            self._on_topics(link, *codec.decode_topics(body), now)
        elif kind == codec.TOPIC_GONE:
            self._on_topic_gone(link, *codec.decode_gone(body), now)
        elif kind == codec.INTEREST:
            self.traffic.on_interest(link, decode_interest(body))
            self.effects.progress = True
        elif kind == codec.INTEREST_GONE:
            self.traffic.on_interest_gone(link, decode_interest(body))
        elif kind == codec.PING:
            self.effects.control(link, codec.encode_nonce(codec.PONG, codec.decode_nonce(body)))
        elif kind == codec.PONG:
            self.pings.pop(codec.decode_nonce(body), None)
            self.effects.progress = True
        elif kind == codec.QUERY:
            nonce = codec.decode_nonce(body)
            self.effects.control(link, codec.encode_nonce(codec.QUERY_RESP, nonce))
        elif kind == codec.QUERY_RESP:
            self._on_query_resp(link, codec.decode_nonce(body))
        elif kind == codec.GOODBYE:
            self._on_goodbye(link, *decode_goodbye(body), now)
        elif kind == codec.QUORUM:
            self._on_quorum(link, codec.decode_quorum(body))
        elif kind in (codec.HELLO, codec.CONFIRM, codec.REFUSE):
            raise ProtocolError(f"record type {kind} came on a link that is up")

    def give_up(self, conn: bytes, why: str, now: float) -> None:
        """Ends the link of a connection, if it has one, as after a violation."""
        link = self.links.get(conn)
        if link is not None:
            self._violation(link, why, now)

    def _violation(self, link: Link, why: str, now: float) -> None:
        self._refuse(link.conn, Refusal(REFUSED_PROTOCOL, why), link.node or None, now)
        if link.is_up:
            self._link_down(link, f"protocol error: {why}", now)
        elif link.state is LinkState.DIALLING:
            self._dial_failed(link, f"protocol error: {why}", now)
        else:
            self._end(link)

    def _on_confirm(self, link: Link, now: float) -> None:
        self._link_up(link, now)

    # Barriers

    def ping(self, link: Link) -> int:
        """Asks for a PONG: when it comes, the peer has handled all that was sent before."""
        nonce = self._token()
        self.pings[nonce] = link
        self.effects.control(link, codec.encode_nonce(codec.PING, nonce))
        return nonce

    def start_sync(self) -> Sync:
        sync = Sync(self._token())
        self.syncs.append(sync)
        for link in self.nodes.values():
            self.effects.control(link, codec.encode_nonce(codec.QUERY, sync.nonce))
        return sync

    def end_sync(self, sync: Sync) -> None:
        self.syncs.remove(sync)

    def _on_query_resp(self, link: Link, nonce: int) -> None:
        topics = frozenset(topic.name for topic in link.topics.values())
        for sync in self.syncs:
            if sync.nonce == nonce:
                sync.answers[link.node] = topics
        self.effects.progress = True

    def sync_answers(self, sync: Sync) -> tuple[dict[str, frozenset[str]], list[str]]:
        """What was answered, by endpoint or node id, and who has not answered."""
        answers: dict[str, frozenset[str]] = {}
        missing: list[str] = []
        named: set[str] = set()
        for dial in self.dials.values():
            if dial.refused == REFUSED_SELF:
                continue
            if dial.node is not None:
                named.add(dial.node)
            if dial.node is not None and dial.node in sync.answers:
                answers[dial.endpoint] = sync.answers[dial.node]
            else:
                missing.append(dial.endpoint)
        for node in self.nodes.keys() - named:
            if node in sync.answers:
                answers[node] = sync.answers[node]
            else:
                missing.append(node)
        return answers, missing

    def is_awaiting(self) -> bool:
        """Whether a relay has not yet told where a stream begins that this node follows there."""
        return any(link.awaiting for link in self.nodes.values())

    # Ends

    def _on_goodbye(self, link: Link, reason: str, heads: dict[int, int], now: float) -> None:
        if reason == GONE_LEFT:
            self._send_now(link.conn, encode_goodbye(GONE_LEFT, {}))
            for topic in link.topics.values():
                if topic.topic_id in heads and not topic.way.path:
                    self.traffic.on_final(topic, heads[topic.topic_id])
                    self._note_final(topic, heads[topic.topic_id])
            link.ended.clear()
        self._link_down(link, reason, now, notice=reason != GONE_REPLACED)

    def leave(self) -> None:
        """Says goodbye to all peers, with the final heads of the topics they listened to.

        No link is made and nothing is ordered any more: the heads would not be final.
        """
        self.leaving = True
        for dial in list(self.dials.values()):
            self.remove_dial(dial)
        for link in list(self.links.values()):
            settled = self.traffic.settled(link)
            if settled:
                self._send_now(link.conn, settled)
            self._farewell(link, GONE_LEFT)
            link.ingress.clear()
            if not link.is_up:
                self._end(link)

    # What the application asks

    def set_hwm(self, sndhwm: int, rcvhwm: int) -> None:
        self.traffic.sndhwm = sndhwm
        self.traffic.rcvhwm = rcvhwm
        self.me = replace(self.me, window_msgs=rcvhwm)
        for link in self.nodes.values():
            if link.grant(rcvhwm) | link.publishes.grant(rcvhwm):
                self.effects.control(link, codec.encode_credit(link.credit))

    def peers(self) -> tuple[Peer, ...]:
        found = []
        covered: set[str] = set()
        for dial in self.dials.values():
            link = dial.link if dial.is_linked else None
            if link is not None:
                covered.add(link.node)
            found.append(_peer(dial.endpoint, dial, link))
        for node, link in self.nodes.items():
            if node not in covered:
                found.append(_peer(node, None, link))
        return tuple(found)

    def metrics(self, *, strangers: int, waiting: Sequence[bytes]) -> Metrics:
        """``waiting`` are the payloads that were taken from the inbox and not yet handed out."""
        counters = self.traffic.counters
        registry = self.traffic.registry
        links = self.nodes.values()
        flows = [flow for link in links for flow in (link, link.publishes)]
        counted = vars(counters) | {
            "refused": counters.refused + strangers,
            "recv_msgs": counters.recv_msgs - len(waiting),
            "recv_bytes": counters.recv_bytes - sum(map(len, waiting)),
        }
        return Metrics(
            **counted,
            links_up=len(self.nodes),
            conflicts=len(self.views.view.conflicts),
            topics_local=len(registry.local),
            topics_remote=len(registry.remote),
            queued_msgs=sum(flow.out_msgs for flow in flows),
            queued_bytes=sum(flow.out_bytes for flow in flows),
            inbox_msgs=self.traffic.inbox.msgs + len(waiting),
            history_bytes=self.traffic.shelf.size,
        )

    # Departures

    def take_sends(self, now: float) -> list[tuple[bytes, Frame]]:
        """All frames that can go out now. The list is the caller's."""
        effects = self.effects
        traffic = self.traffic
        traffic.now = now
        sends = effects.sends
        effects.sends = []
        while effects.touched:
            link, _ = effects.touched.popitem()
            conn = link.conn
            sends += [(conn, frame) for frame in link.take_frames(FRAME_BYTES)]
            if not link.out and (link.behind or link.ending):
                link.behind.clear()
                link.ending.clear()
            if link.aside and not link.out:
                traffic.end_aside(link)
        if traffic.lacking:
            self._replay(now)
        if traffic.stuck:
            traffic.go_on(now)
        return sends

    def _replay(self, now: float) -> None:
        self.traffic.replay(now)
        if self.traffic.is_replaying:
            self.deadline = min(self.deadline, self.traffic.replay_at)


def _peer(endpoint: str, dial: Dial | None, link: Link | None) -> Peer:
    flows = (link, link.publishes) if link is not None else ()
    return Peer(
        endpoint=endpoint,
        node=link.node if link is not None else dial.node if dial is not None else None,
        state="up" if link is not None else dial.state if dial is not None else "waiting",
        rtt=link.rtt if link is not None else None,
        dialled=link is not None and link.dial is not None,
        sent_bytes=sum(flow.sent_bytes for flow in flows),
        recv_bytes=sum(flow.recv_bytes for flow in flows),
        sent_msgs=sum(flow.sent_msgs for flow in flows),
        recv_msgs=sum(flow.recv_msgs for flow in flows),
        queued_msgs=sum(flow.out_msgs for flow in flows),
        topics=len(link.topics) if link is not None else 0,
        dials=dial.attempts if dial is not None else 0,
        last_error=dial.last_error if dial is not None else None,
    )

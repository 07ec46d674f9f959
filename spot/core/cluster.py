"""A node of the cluster without sockets, clocks or threads: what the simulated network runs too.

Calls take ``now`` (seconds, monotonic) and change state; what is to be done about it
stands in ``effects``. The driver calls, in any order and under one lock:

- ``frame(conn, parts, now)`` for what arrived on a connection, known or not;
- ``made(conn, now)`` when a dial that was asked for has begun, ``lost(conn, why, now)`` when a
  connection ended, ``same(conn, other, now)`` when a dial leads to an address that has one;
- ``alive(conn, now)`` when bytes arrived of a frame that is not complete;
- ``tick(now)`` at ``deadline`` or later;

and sends ``take_sends()``, makes ``effects.dials`` and ends ``effects.hangups`` after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spot.core import codec
from spot.core.codec import InterestEntry, NodeEntry, ProtocolError, TopicEntry
from spot.core.dial import Dial
from spot.core.effects import Frame
from spot.core.greeting import (
    REFUSED_PROTOCOL,
    REFUSED_SELF,
    Incarnation,
    Refusal,
    decode_goodbye,
    decode_hello,
    decode_node_gone,
    decode_refusal,
    encode_goodbye,
)
from spot.core.hosts import Hosts
from spot.core.link import Link, LinkState
from spot.core.medley import decode_medley
from spot.core.membership import GONE_LEFT, GONE_REPLACED
from spot.core.names import check_topic
from spot.core.registry import HostedTopic, RemoteTopic, Way
from spot.core.sync import Sync
from spot.core.traffic import FRAME_BYTES
from spot.errors import InvalidArgument
from spot.message import Event, Metrics, Peer

LIST_BYTES = 64 * 1024
NODES_MAX = 4096
"""Nodes that one peer may offer. Others are ignored, and so are their topics."""


class Cluster(Hosts):
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
            if codec.is_one_batch(frame) and len(parts) == 1 and link.is_up:
                # By far the most frequent frame.
                batch = codec.decode_batch(frame, codec.RECORD_OVERHEAD, len(frame), None)
                self.traffic.on_data(link, batch)
                return
            for kind, start, end, large in codec.records(parts):
                if kind in (codec.AGAIN, codec.AGAIN_LARGE) and link.is_up:
                    self.traffic.on_again(link, codec.decode_batch(frame, start, end, large))
                elif kind in (codec.FORWARD, codec.FORWARD_LARGE) and link.is_up:
                    if not self.leaving:
                        what = codec.decode_forward(frame, start, end, large)
                        self.traffic.on_forward(link, *what, now)
                elif codec.DATA <= kind <= codec.PUBLISH_LARGE and link.is_up:
                    if kind <= codec.DATA_LARGE:
                        self.traffic.on_data(link, codec.decode_batch(frame, start, end, large))
                    elif not self.leaving:
                        batch = codec.decode_batch(frame, start, end, large)
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
            self.traffic.on_fetched(link, *codec.decode_fetch(body)[:2])
        elif kind == codec.NODE:
            self._on_node(link, codec.decode_node(body), now)
        elif kind == codec.NODE_GONE:
            self._on_node_gone(link, *decode_node_gone(body), now)
        elif kind == codec.HEADS:
            self.traffic.on_heads(link, codec.decode_heads(body))
        elif kind == codec.HEAD:
            self.traffic.on_head(link, *codec.decode_head(body))
        elif kind == codec.BEGIN:
            self.traffic.on_begin(link, *codec.decode_head(body))
        elif kind == codec.TOPICS:
            self._on_topics(link, *codec.decode_topics(body), now)
        elif kind == codec.TOPIC_GONE:
            self._on_topic_gone(link, *codec.decode_gone(body), now)
        elif kind == codec.INTEREST:
            self.traffic.on_interest(link, codec.decode_interest(body))
            self.effects.progress = True
        elif kind == codec.INTEREST_GONE:
            self.traffic.on_interest_gone(link, codec.decode_interest(body))
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

    # Topics and interest

    def _announce_all(self, link: Link) -> None:
        entries = [
            TopicEntry(topic.topic_id, topic.epoch, topic.head, topic.name, topic.standby)
            for topic in self.traffic.registry.local.values()
        ]
        step = LIST_BYTES // 64
        for at in range(0, len(entries), step):
            self.effects.control(link, codec.encode_topics(entries[at : at + step], complete=False))
        self.effects.control(link, codec.encode_topics((), complete=True))

    def _tell_interest(self, link: Link) -> None:
        entries = self.traffic.subscriptions.entries(link.node)
        step = LIST_BYTES // 64
        for at in range(0, len(entries), step):
            record = codec.encode_interest(codec.INTEREST, entries[at : at + step])
            self.traffic.ask(link, record)

    def _on_topics(self, link: Link, complete: bool, entries: list[TopicEntry], now: float) -> None:
        registry = self.traffic.registry
        by_host: dict[str, list[str]] = {}
        for entry in entries:
            try:
                check_topic(entry.name)
            except InvalidArgument as error:
                raise ProtocolError(f"a peer announces a {error}") from error
            if entry.topic_id in link.topics or entry.topic_id in link.shunned:
                raise ProtocolError(f"topic number {entry.topic_id} is announced twice")
            way = link.ways.get(entry.origin or link.node)
            if way is None or (entry.origin == link.node):
                if entry.origin not in link.circles:
                    raise ProtocolError(
                        f"topic {entry.name!r} is announced for node {entry.origin!r}, "
                        "which was not offered"
                    )
                link.shunned.add(entry.topic_id)
                continue
            topic = RemoteTopic(entry.topic_id, entry.name, entry.epoch, link, entry.standby, way)
            if not way.path:
                topic.asked = self.traffic.asked_for(link, entry.name)
            link.topics[entry.topic_id] = topic
            (way.ended if way.path else link.ended).discard(entry.name)
            registry.announce(topic)
            by_host.setdefault(way.node, []).append(entry.name)
            self.traffic.resteer(entry.name, way.node)
        self._hosts_changed([name for names in by_host.values() for name in names], now)
        self.effects.progress = True
        if not link.synced and complete:
            link.synced = True
            by_host.pop(link.node, None)
            self._way_complete(link.ways[link.node], now)
        for node, names in by_host.items():
            if link.synced and link.ways[node].is_complete:
                self.effects.events.append(Event("topic_up", now, node=node, topics=tuple(names)))

    def _way_complete(self, way: Way, now: float) -> None:
        """All topics of a node have been announced on a way."""
        way.is_complete = True
        self._unannounced.pop(way.node, None)
        names = tuple(topic.name for topic in way.link.topics.values() if topic.way is way)
        self._forget_stale(way, set(names), now)
        subscriptions = self.traffic.subscriptions
        for name in subscriptions.newest:
            if way.node not in self.traffic.registry.remote.get(name, ()):
                subscriptions.awaits(name, way.node)
        self.traffic.steer_publishes(way.node)
        self.traffic.renew_offers("changed")
        self.effects.events.append(Event("synced", now, node=way.node, topics=names))
        if way.node in self._lost_hosts:
            self._lost_hosts.discard(way.node)
            self.effects.events.append(Event("host_back", now, node=way.node, topics=names))

    def _forget_stale(self, way: Way, names: set[str], now: float) -> None:
        """Topics of former ways that the node does not announce any more."""
        registry = self.traffic.registry
        stale = [
            name
            for name, hosts in registry.remote.items()
            if way.node in hosts
            and name not in names
            and (hosts[way.node].link is None or not way.path)
        ]
        for name in stale:
            for topic in list(registry.ways.get((name, way.node), {}).values()):
                if topic.link is not None:
                    topic.link.topics.pop(topic.topic_id, None)
                    topic.link.shunned.add(topic.topic_id)
            registry.withdraw(name, way.node)
            self.traffic.resteer(name, way.node)
        self._hosts_changed(stale, now)

    def _on_topic_gone(self, link: Link, topic_id: int, head: int, now: float) -> None:
        if topic_id in link.shunned:
            link.shunned.discard(topic_id)
            return
        topic = link.topics.pop(topic_id, None)
        if topic is None:
            raise ProtocolError(f"topic number {topic_id} ends, but was never announced")
        link.awaiting.discard(topic)
        registry = self.traffic.registry
        key = (topic.name, topic.node)
        was = registry.active(*key) is topic
        if head != codec.EVERYTHING:
            self.traffic.on_final(topic, head)
            (topic.way.ended if topic.way.path else link.ended).add(topic.name)
            relayed = registry.relayed.get(key)
            if relayed is not None and relayed.source is topic:
                self.traffic.end_relayed(relayed, head)
        registry.end_way(topic)
        if was and registry.active(*key) is topic:
            registry.withdraw(*key)
        self.traffic.resteer(*key)
        self._hosts_changed((topic.name,), now)
        event = Event("topic_gone", now, node=topic.node, topics=(topic.name,))
        self.effects.events.append(event)
        self.effects.progress = True

    # Nodes behind relays

    def _on_node(self, link: Link, entry: NodeEntry, now: float) -> None:
        node = entry.node
        if entry.path[0] != link.node:
            raise ProtocolError(f"node {node} is offered by a way that begins at {entry.path[0]}")
        if node == self.node or self.node in entry.path or len(link.ways) > NODES_MAX:
            # A circle, or more than anybody needs: of no use.
            link.circles.add(node)
            if node in link.ways:
                self._on_node_gone(link, node, "circle", {}, now)
            return
        life = Incarnation(entry.started, entry.random)
        way = link.ways.get(node)
        if way is not None and way.incarnation != life:
            self._on_node_gone(link, node, "restarted", {}, now)
            way = None
        link.circles.discard(node)
        traffic = self.traffic
        if way is None:
            way = Way(node, life, entry.bytes_max, entry.path, link)
            traffic.add_way(way)
            self._way_found(node, now)
        elif way.path != entry.path or way.bytes_max != entry.bytes_max:
            way.path = entry.path
            way.bytes_max = entry.bytes_max
            for topic in [topic for topic in link.topics.values() if topic.way is way]:
                traffic.registry.settle(topic.name, node)
                traffic.resteer(topic.name, node)
            outbox = traffic.outboxes.get(node)
            traffic.steer_publishes(node, again=outbox is not None and outbox.carrier is way)
            traffic.renew_offers("changed")
        if entry.complete and not way.is_complete:
            self._way_complete(way, now)

    def _on_node_gone(
        self, link: Link, node: str, reason: str, heads: dict[int, int], now: float
    ) -> None:
        way = link.ways.get(node)
        if way is None or not way.path:
            if node not in link.circles:
                raise ProtocolError(f"node {node} is lost, but was never offered")
            link.circles.discard(node)
            return
        traffic = self.traffic
        topics = [topic for topic in link.topics.values() if topic.way is way]
        listened = self._listened_on(link, node)
        for topic in topics:
            if topic.topic_id in heads:
                traffic.on_final(topic, heads[topic.topic_id])
                self._note_final(topic, heads[topic.topic_id])
            del link.topics[topic.topic_id]
            link.awaiting.discard(topic)
            traffic.registry.end_way(topic)
        if reason != GONE_LEFT:
            traffic.forget_ends(node, way.ended)
        traffic.end_way(way)
        traffic.renew_offers(reason)
        for topic in topics:
            traffic.resteer(topic.name, node)
        self.effects.progress = True
        self.effects.rerouted = True
        moved = self._way_lost(node, reason, now)
        if reason != GONE_REPLACED:
            lost = [topic for topic in listened if topic.name not in moved]
            self._tell_lost(lost, {}, reason, now)

    def _note_final(self, topic: RemoteTopic, head: int) -> None:
        relayed = self.traffic.registry.relayed.get((topic.name, topic.node))
        if relayed is not None and relayed.source is topic:
            relayed.final = head

    def create_topic(
        self,
        name: str,
        wall_ns: int,
        history_bytes: int | None = None,
        *,
        standby: bool = False,
    ) -> HostedTopic:
        """Hosts a topic and tells everybody. The epoch is the wall-clock time, and never
        repeats. Without ``history_bytes`` its history is as large as the setting says.
        """
        self._epoch = max(self._epoch + 1, wall_ns)
        topic = self.traffic.registry.local.get(name)
        assert topic is None
        links = list(self.nodes.values())
        entry = TopicEntry(self.traffic.registry.next_id, self._epoch, 0, name, standby)
        record = codec.encode_topics((entry,), complete=False)
        for link in links:
            # In its place: the end of an earlier topic of this name may still be queued.
            link.queue_record(record)
            self.effects.touched[link] = None
        if history_bytes is None:
            history_bytes = self.config.history_bytes
        return self.traffic.host(name, self._epoch, links, history_bytes, standby=standby)

    def destroy_topic(self, topic: HostedTopic, now: float) -> None:
        record = codec.encode_gone(topic.topic_id, topic.head)
        self.traffic.end(topic, record, list(self.nodes.values()))
        self._hosts_changed((topic.name,), now)

    def subscribe(self, name: str, *, pattern: bool, last: int = 0) -> bool:
        """Subscribes here and tells everybody. False if it was there.

        Up to ``last`` of the newest messages come first, if it is a new stream.
        """
        traffic = self.traffic
        subscriptions = traffic.subscriptions
        known = traffic.registry.remote
        names = traffic.registry.matching_remote(name, pattern=pattern)
        before = {topic for topic in names if subscriptions.wants(topic)}
        was_wanted = subscriptions.wants(name)
        if not subscriptions.add(name, pattern=pattern):
            return False
        traffic.subscribed_here(name, pattern=pattern, last=last)
        if last:
            subscriptions.newest[name] = last
        for topic in names:
            # What is there already is taken from now on, also if a link has to be made first.
            for node in known[topic]:
                subscriptions.new_position(topic, node)
        for node, link in self.nodes.items():
            entry = subscriptions.entry(name, node, pattern=pattern)
            traffic.ask(link, codec.encode_interest(codec.INTEREST, (entry,)))
            traffic.asked_anew(link, name, pattern=pattern, was_wanted=was_wanted)
        for topic in names:
            if topic not in before:
                for host in known[topic].values():
                    if host.link is not None and not host.way.path:
                        host.asked = host.link.asks
        for host in self._behind_relays(name, pattern=pattern):
            traffic.listen(host)
        for node, ways in traffic.ways.items() if last else ():
            if node not in known.get(name, ()) and any(way.is_complete for way in ways.values()):
                subscriptions.awaits(name, node)
        return True

    def _behind_relays(self, name: str, *, pattern: bool) -> list[RemoteTopic]:
        """Topics of nodes without a link that a subscription matches."""
        registry = self.traffic.registry
        return [
            host
            for topic in registry.matching_remote(name, pattern=pattern)
            for host in registry.remote[topic].values()
            if host.link is not None and host.way.path
        ]

    def unsubscribe(self, name: str, *, pattern: bool) -> bool:
        if not self.traffic.subscriptions.remove(name, pattern=pattern):
            return False
        self.traffic.unsubscribed_here(name, pattern=pattern)
        entry = InterestEntry(codec.PATTERN if pattern else codec.EXACT, 0, 0, name)
        record = codec.encode_interest(codec.INTEREST_GONE, (entry,))
        for link in self.nodes.values():
            self.effects.control(link, record)
            self.traffic.unasked(link, name, pattern=pattern)
        for host in self._behind_relays(name, pattern=pattern):
            self.traffic.follow(host)
        return True

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
            if link.behind and not link.out:
                link.behind.clear()
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

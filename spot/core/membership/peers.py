"""Who the peers are: dials, links going up and down, heartbeats, silence."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from spot.config import Config
from spot.core.data.inbox import Notice
from spot.core.effects import Effects
from spot.core.link import QUEUE_BYTES, Link, LinkState
from spot.core.membership.dial import Dial
from spot.core.membership.liveness import greeting_timeout, is_silent, lateness, next_beat
from spot.core.membership.route import Route
from spot.core.membership.sync import Sync
from spot.core.membership.view import ViewKeeper
from spot.core.relay.offers import Relaying
from spot.core.topics.registry import RemoteTopic
from spot.core.wire import codec
from spot.core.wire.codec import Heartbeat
from spot.core.wire.greeting import REFUSED_LINKED, Hello, Incarnation, Refusal, encode_goodbye
from spot.message import Event, EventKind

STRANGERS_MAX = 1024

GONE_LEFT = "left"
GONE_SILENT = "silent"
GONE_REMOVED = "removed"
GONE_REPLACED = "replaced"


class Membership:
    """Links to peers, and when to speak to them.

    ``random`` gives floats in [0, 1), ``token`` unguessable 64-bit numbers.
    """

    def __init__(
        self,
        config: Config,
        node: str,
        started: int,
        now: float,
        random: Callable[[], float],
        token: Callable[[], int],
    ) -> None:
        self.config = config
        self.node = node
        self._random = random
        self._token = token
        self._epoch = started
        self.effects = Effects()
        life = Incarnation(started, token())
        self.traffic = Relaying(
            node,
            config.sndhwm,
            config.rcvhwm,
            config.history_total_bytes,
            config.max_message_bytes,
            self.effects,
            life,
        )
        self.traffic.relays = config.relay
        self.traffic.history_bytes = config.history_bytes
        self.me = Hello(
            cluster=config.cluster_name,
            node=node,
            incarnation=life,
            link=0,
            existing=0,
            window_msgs=config.rcvhwm,
            window_bytes=QUEUE_BYTES,
            bytes_max=config.max_message_bytes,
            heartbeat=config.heartbeat,
            peer_timeout=config.peer_timeout,
        )
        self.dials: dict[str, Dial] = {}
        self.links: dict[bytes, Link] = {}
        self.nodes: dict[str, Link] = {}
        self.removed: set[str] = set()
        self.pings: dict[int, Link] = {}
        self.syncs: list[Sync] = []
        self._lost_hosts: set[str] = set()
        self.views = ViewKeeper(node, config.members, config.stable_after, now)
        self.traffic.refusing = config.require_quorum and not self.views.view.quorum
        self.minorities: set[str] = set()
        self._reached: set[str] = set()
        # By host, topics that were lost while another way to it was being made.
        self._unannounced: dict[str, set[str]] = {}
        self.routes: dict[str, Route] = {}
        self._strangers: OrderedDict[bytes, float] = OrderedDict()
        self.leaving = False
        self._beat_at = now
        self._beat_interval = config.heartbeat
        self._trusting_at = now
        self._last_look = now
        self.deadline = now

    # Peers

    def add_peer(self, endpoint: str, now: float) -> Dial:
        config = self.config
        dial = Dial(endpoint, now, config.reconnect_min, config.reconnect_max, self._random)
        self.dials[endpoint] = dial
        self.deadline = now
        return dial

    def readmit(self, node: str) -> None:
        """Takes dials of a removed node again."""
        self.removed.discard(node)

    def remove_peer(self, endpoint: str, now: float) -> None:
        """Drops a configured endpoint, or the node with that id, its link and its topics."""
        dial = self.dials.get(endpoint)
        node = dial.node if dial is not None else endpoint
        for other in list(self.dials.values()):
            if other is dial or (node is not None and other.node == node):
                self.remove_dial(other)
        if node is None:
            return
        self.removed.add(node)
        link = self.nodes.get(node)
        if link is not None:
            self._farewell(link, GONE_REMOVED)
            self._link_down(link, GONE_REMOVED, now, notice=False)
        registry = self.traffic.registry
        names = [name for name, hosts in registry.remote.items() if node in hosts]
        for name in names:
            registry.withdraw(name, node)
        self._hosts_changed(names, now)
        self._lost_hosts.discard(node)

    def remove_dial(self, dial: Dial) -> None:
        """Drops a configured endpoint alone: a link with the node behind it stays."""
        del self.dials[dial.endpoint]
        if dial.link is not None and not dial.link.is_up:
            self._end(dial.link)

    def linked_peer(self, endpoint: str) -> Link | None:
        """The link of a configured endpoint or node id, if it is up."""
        dial = self.dials.get(endpoint)
        if dial is not None:
            return dial.link if dial.is_linked else None
        return self.nodes.get(endpoint)

    def knows_peer(self, endpoint: str) -> bool:
        return (
            endpoint in self.dials
            or endpoint in self.nodes
            or any(dial.node == endpoint for dial in self.dials.values())
        )

    @property
    def has_peers(self) -> bool:
        return bool(self.dials or self.nodes)

    # Connections

    def made(self, conn: bytes, now: float) -> None:
        """A dial has begun: the greeting goes out as soon as there is a connection."""
        link = self.links.get(conn)
        if link is not None and link.state is LinkState.DIALLING:
            self._greet(link)

    def lost(self, conn: bytes, why: str, now: float) -> None:
        """A connection ended, or could not be made."""
        link = self.links.get(conn)
        if link is None:
            return
        if link.is_up:
            self._link_down(link, why, now)
        elif link.state is LinkState.DIALLING:
            self._dial_failed(link, why, now)
        else:
            del self.links[conn]

    def same(self, conn: bytes, other: bytes, now: float) -> None:
        """A dial leads to an address to which there is a dial already: no second one is made."""
        link = self.links.pop(conn, None)
        if link is None or link.dial is None:
            return
        linked = self.links.get(other)
        if linked is not None and linked.is_up:
            link.dial.node = linked.node
            link.dial.link = linked
            self.effects.progress = True
        else:
            link.dial.wait(now, "another endpoint leads to the same address")

    def alive(self, conn: bytes, now: float) -> None:
        link = self.links.get(conn)
        # Bytes that were counted before the last frame may be that frame's: they are no news.
        if link is not None and link.asked_before >= link.heard_at:
            link.heard_at = now

    def quiet(self, now: float) -> list[bytes]:
        """Links that were silent for longer than a heartbeat: did bytes arrive since last asked?"""
        found = []
        for link in self.nodes.values():
            if now - link.heard_at > 1.5 * link.interval:
                link.asked_before = link.asked_at
                link.asked_at = now
                found.append(link.conn)
        return found

    def is_link(self, conn: bytes) -> bool:
        """Whether a connection is a link that is up."""
        link = self.links.get(conn)
        return link is not None and link.is_up

    def _greet(self, link: Link, existing: int = 0) -> None:
        """Says HELLO, and remembers what credit it gives."""
        link.first_grant(self.me.window_msgs)
        hello = replace(self.me, link=link.link_id, existing=existing)
        self._send_now(link.conn, hello.encode())

    def _send_now(self, conn: bytes, record: bytes) -> None:
        self.effects.sends.append((conn, (record,)))

    def _dial(self, dial: Dial, now: float) -> None:
        conn = b"\x01" + self._token().to_bytes(8, "big")
        link = Link(
            conn,
            LinkState.DIALLING,
            self._token(),
            now,
            now + greeting_timeout(self.config.peer_timeout),
        )
        link.dial = dial
        dial.link = link
        dial.attempts += 1
        self.links[conn] = link
        self.traffic.counters.dials += 1
        self.effects.dials.append((conn, dial.endpoint))
        self.effects.events.append(Event("dial", now, node=dial.node, endpoint=dial.endpoint))

    def _dial_failed(self, link: Link, why: str, now: float) -> None:
        self._end(link)
        dial = link.dial
        if dial is None or dial.link is not link:
            return
        delay = dial.wait(now, why)
        self.deadline = min(self.deadline, dial.due)
        self.effects.progress = True
        kind: EventKind = "refused" if dial.refused else "dial_failed"
        self.effects.events.append(
            Event(kind, now, node=dial.node, endpoint=dial.endpoint, reason=why, delay=delay)
        )

    def _end(self, link: Link) -> None:
        """Forgets a connection; a dialled one is closed, an accepted one only its dialler can
        close.
        """
        self.links.pop(link.conn, None)
        self._remember_stranger(link.conn, 0.0)
        if link.dial is not None:
            self.effects.hangups.append(link.conn)

    def _withdraw(self, link: Link, now: float) -> None:
        """This connection is one too many."""
        self._send_now(link.conn, encode_goodbye(REFUSED_LINKED, {}))
        self._end(link)

    def _farewell(self, link: Link, reason: str) -> None:
        heads = {topic.topic_id: topic.head for topic in link.feeds}
        self._send_now(link.conn, encode_goodbye(reason, heads))

    def _refuse(self, conn: bytes, refusal: Refusal, node: str | None, now: float) -> None:
        self.traffic.counters.refused += 1
        self._send_now(conn, refusal.encode())
        why = f"{refusal.reason}: {refusal.text}"
        if node is None:
            self.effects.strangers.append((conn, why))
        else:
            self.effects.events.append(Event("refused", now, node=node, reason=why))

    def _remember_stranger(self, conn: bytes, now: float) -> None:
        self._strangers[conn] = now
        self._strangers.move_to_end(conn)
        while len(self._strangers) > STRANGERS_MAX:
            self._strangers.popitem(last=False)

    # Links

    def _link_up(self, link: Link, now: float) -> None:
        old = self.nodes.get(link.node)
        if old is not None:
            self._farewell(old, GONE_REPLACED)
            self._link_down(old, GONE_REPLACED, now, notice=False)
        link.go_up(now)
        self.nodes[link.node] = link
        for dial in self.dials.values():
            if dial.node == link.node:
                if dial.link is not None and dial.link is not link:
                    self._withdraw(dial.link, now)
                dial.link = link
        if self._beat_interval > link.interval:
            self._beat_interval = link.interval
        self._beat_at = min(self._beat_at, now + link.interval)
        if link.dial is not None:
            self._beat(link, now)
        self._introduce(link)
        self.traffic.counters.links_made += 1
        self.effects.progress = True
        endpoint = link.dial.endpoint if link.dial is not None else None
        self.effects.events.append(Event("link_up", now, node=link.node, endpoint=endpoint))
        self.deadline = min(self.deadline, now + self._beat_interval)
        self._way_found(link.node, now)

    def _introduce(self, link: Link) -> None:
        """A link is up: tells the peer all that it has to know."""
        raise NotImplementedError

    def _way_found(self, node: str, now: float) -> None:
        """There is a way to a node."""
        raise NotImplementedError

    def _way_lost(self, node: str, why: str, now: float) -> set[str]:
        """A way to a node was lost. Returns the topics that other hosts have taken over."""
        raise NotImplementedError

    def _hosts_changed(self, names: Sequence[str], now: float) -> None:
        """Peers host other topics than before."""
        raise NotImplementedError

    def _review(self, now: float) -> None:
        """Tells of a new view, if there is one."""
        raise NotImplementedError

    def _link_down(self, link: Link, why: str, now: float, *, notice: bool = True) -> None:
        listened = self._listened_on(link)
        ways = list(link.ways)
        self._end(link)
        if self.nodes.get(link.node) is link:
            del self.nodes[link.node]
        self.traffic.link_down(link, why)
        for nonce in [nonce for nonce, pinged in self.pings.items() if pinged is link]:
            del self.pings[nonce]
        endpoint = None
        delay = None
        for dial in self.dials.values():
            if dial.link is link:
                endpoint = dial.endpoint
                if now - link.up_since >= self.config.stable_after:
                    dial.backoff.restart()
                delay = dial.wait(now, why)
                self.deadline = min(self.deadline, dial.due)
        self.traffic.counters.links_lost += 1
        self.effects.events.append(
            Event("link_down", now, node=link.node, endpoint=endpoint, reason=why, delay=delay)
        )
        self.minorities.discard(link.node)
        moved = {name for node in ways for name in self._way_lost(node, why, now)}
        if notice:
            lost = [topic for topic in listened if topic.name not in moved]
            self._tell_lost(lost, {link.node: endpoint}, why, now)

    def _listened_on(self, link: Link, node: str | None = None) -> list[RemoteTopic]:
        """The topics that subscriptions here get on a link, all or those of one host."""
        registry = self.traffic.registry
        subscriptions = self.traffic.subscriptions
        return [
            topic
            for topic in link.topics.values()
            if node in (None, topic.node)
            and registry.listened(topic.name) is topic
            and subscriptions.wants(topic.name)
        ]

    def _tell_lost(
        self,
        topics: Sequence[RemoteTopic],
        endpoints: Mapping[str, str | None],
        why: str,
        now: float,
    ) -> None:
        """Topics to which there is no way any more: a notice for each host.

        While another way is there, on which they may yet be announced, nobody is told.
        """
        registry = self.traffic.registry
        for topic in topics:
            if registry.active(topic.name, topic.node) is topic:
                self._unannounced.setdefault(topic.node, set()).add(topic.name)
        hosted: dict[str, list[str]] = {}
        for node in [node for node in self._unannounced if node not in self.traffic.ways]:
            names = self._unannounced.pop(node)
            hosted[node] = [name for name in names if self.traffic.subscriptions.wants(name)]
        for node, found in hosted.items():
            lost = tuple(sorted(found))
            if self.leaving or not lost:
                continue
            endpoint = endpoints.get(node)
            self._lost_hosts.add(node)
            self.traffic.inbox.notify(Notice(node, endpoint, lost, why))
            self.effects.events.append(
                Event("host_lost", now, node=node, endpoint=endpoint, topics=lost, reason=why)
            )

    # Time

    def tick(self, now: float) -> None:
        """Heartbeats, silence, dials that are due. Sets the next deadline."""
        late = lateness(max(self.deadline, self._last_look), now)
        self._last_look = now
        if late:
            self._excuse(late, now)
        for link in list(self.links.values()):
            if link.is_up:
                if is_silent(link.heard_at, now, self.config.peer_timeout):
                    self._farewell(link, GONE_SILENT)
                    self._link_down(link, GONE_SILENT, now)
            elif now >= link.answer_by:
                if link.state is LinkState.DIALLING:
                    self._dial_failed(link, "no greeting came", now)
                else:
                    self._end(link)
        if now >= self._beat_at:
            self._beat_interval = min(
                (link.interval for link in self.nodes.values()), default=self.config.heartbeat
            )
            self._beat_at = next_beat(now, self._beat_interval)
            for link in self.nodes.values():
                # Who is dialled only answers, unless there is nothing to answer: no beat came for
                # long, or a large frame is in its way.
                unheard = now - link.heard_at > 1.5 * link.interval
                unasked = now >= link.beat_at + 0.9 * link.interval
                if now >= link.beat_at and (link.dial is not None or unheard or unasked):
                    self._beat(link, now)
        for dial in list(self.dials.values()):
            if dial.link is None and now >= dial.due:
                self._dial(dial, now)
        self.traffic.now = now
        if self.traffic.is_replaying:
            self.traffic.replay(now)
        self.deadline = self._next_deadline(now)
        self._review(now)
        for link in list(self.nodes.values()):
            if link.ingress:
                self._order_ingress(link, now)

    def _excuse(self, late: float, now: float) -> None:
        """This node was not looking: nobody is accused for that time."""
        for link in self.links.values():
            link.heard_at = min(now, link.heard_at + late)
            link.answer_by += late
        self._trusting_at = now + self.config.peer_timeout

    def _next_deadline(self, now: float) -> float:
        deadline = self._beat_at if self.nodes else now + self.config.heartbeat
        timeout = self.config.peer_timeout
        for link in self.links.values():
            due = link.heard_at + timeout if link.is_up else link.answer_by
            if due < deadline:
                deadline = due
        for dial in self.dials.values():
            if dial.link is None and dial.due < deadline:
                deadline = dial.due
        if self.traffic.is_replaying:
            deadline = min(deadline, self.traffic.replay_at)
        return deadline

    def _beat(self, link: Link, now: float) -> None:
        # The ticks are those of all links together: one that comes early must not skip this link.
        link.beat_at = now + link.interval * 0.6
        sent = int(now * 1e6)
        held = int((now - link.peer_beat_at) * 1e6) if link.peer_beat else 0
        heard = int((now - link.heard_at) * 1e6)
        cap = 0xFFFFFFFF
        beat = Heartbeat(sent, link.peer_beat, min(held, cap), min(heard, cap))
        self.effects.control(link, codec.encode_heartbeat(beat) + self.traffic.settled(link))
        link.control += self.traffic.changed_heads(link)

    def _on_heartbeat(self, link: Link, beat: Heartbeat, now: float) -> None:
        link.peer_beat = beat.sent
        link.peer_beat_at = now
        if link.dial is None:
            self._beat(link, now)
        if beat.echo:
            link.rtt = max(0.0, now - (beat.echo + beat.held) / 1e6)
        if beat.heard / 1e6 >= self.config.peer_timeout and now >= self._trusting_at:
            self._farewell(link, GONE_SILENT)
            self._link_down(link, "the peer hears nothing of this node", now)

    def _order_ingress(self, link: Link, now: float) -> None:
        """Goes on with what the peer published."""
        raise NotImplementedError

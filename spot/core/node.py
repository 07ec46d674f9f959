"""A node of the cluster without sockets, clocks or threads. The simulated network runs it, too.

Calls take ``now`` (seconds, monotonic) and change state. ``effects`` holds what is to be done as a
result. The event loop makes these calls, in any order and under one lock:

- ``frame(conn, parts, now)`` for what arrived on a connection, known or not;
- ``made(conn, now)`` when a dial that was asked for has begun, ``lost(conn, why, now)`` when a
  connection ended, ``same(conn, other, now)`` when a dial leads to an address that has one,
  ``itself(conn, now)`` when it leads to one of this node's own;
- ``alive(conn, now)`` when bytes arrived of a frame that is not complete;
- ``tick(now)`` at ``deadline`` or later.

After each call it sends ``take_sends()``, makes ``effects.dials`` and ends ``effects.hangups``.

This file puts the parts of a node together. Each part has a file of its own, which says what it
decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from spot.config import Config
from spot.core.context import NodeContext
from spot.core.data.credit import Credit
from spot.core.data.hosting import Hosting
from spot.core.data.inbox import Delivery, Inbox, Item, MultiDelivery, Notice
from spot.core.data.ingress import Ingress
from spot.core.data.local_inbox import LocalInbox
from spot.core.data.local_subscriptions import LocalSubscriptions
from spot.core.data.publishers import Publishers
from spot.core.data.receive import Receiver
from spot.core.data.remote_publishing import RemotePublishing
from spot.core.data.replay import Replay
from spot.core.data.subscriber_messages import SubscriberFeeds
from spot.core.dispatch import tables
from spot.core.effects import Frame
from spot.core.link import FRAME_BYTES, QUEUE_BYTES, Link, LinkState
from spot.core.membership.barriers import Barriers
from spot.core.membership.dials import Dials
from spot.core.membership.failover import Failover
from spot.core.membership.handshake import Handshake
from spot.core.membership.heartbeats import Heartbeats
from spot.core.membership.lifecycle import Lifecycle
from spot.core.membership.links import GONE_LEFT, Links
from spot.core.membership.liveness import Liveness
from spot.core.membership.lost_hosts import LostHosts
from spot.core.membership.own_announcements import OwnAnnouncements
from spot.core.membership.peer_announcements import PeerAnnouncements
from spot.core.membership.peers import Peers
from spot.core.relay.fetch import Fetch
from spot.core.relay.followers import Followers
from spot.core.relay.following import Follow
from spot.core.relay.forwarding import PublishForwarding
from spot.core.relay.offered_nodes import Offers
from spot.core.relay.relay import ActiveRelay, NoRelay, Relay
from spot.core.relay.reroute import Reroute
from spot.core.relay.state import RelayState
from spot.core.relay.streams import RelayedStreams
from spot.core.topics.announced import Announced
from spot.core.topics.hosted_topic import Subscriber
from spot.core.topics.interest import Subscriptions
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.core.topics.replay_buffer import ReplayBuffers
from spot.core.topics.topic_sources import Listening
from spot.core.wire import batches, codec
from spot.core.wire.codec import ProtocolError
from spot.core.wire.greeting import REFUSED_PROTOCOL, Hello, Incarnation, Refusal
from spot.message import Metrics


class NodeCore:
    """A node: links to peers, topics that they host and want, and the way of each message.

    ``started`` is the wall-clock time in nanoseconds. ``random`` gives floats in [0, 1), ``token``
    unguessable 64-bit numbers. Not thread-safe: the node's lock guards it.
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
        incarnation = Incarnation(started, token())
        context = self.context = NodeContext(config, node, incarnation, now)
        self.node = node
        self.effects = context.effects
        self.counters = context.counters
        me = Hello(
            cluster=config.cluster_name,
            node=node,
            incarnation=incarnation,
            link=0,
            existing=0,
            window_msgs=config.rcvhwm,
            window_bytes=QUEUE_BYTES,
            bytes_max=config.max_message_bytes,
            heartbeat=config.heartbeat,
            peer_timeout=config.peer_timeout,
        )

        # Each link that is up: the peer as a subscriber, and the peer's announcements.
        subscribers: dict[Link, Subscriber] = {}
        announced: dict[Link, Announced] = {}
        self.subscribers = subscribers
        self.announced = announced

        # Topics.
        subscriptions = self.subscriptions = Subscriptions()
        registry = self.registry = Registry(subscriptions.wants)
        listening = Listening(registry, subscriptions)
        paths = self.paths = Paths()
        buffers = self.buffers = ReplayBuffers(config.history_total_bytes)
        inbox = self.inbox = Inbox()

        # Sending to subscribers.
        self.here = Subscriber(None)
        local_inbox = LocalInbox(context, subscriptions, inbox, self.here)
        replay = self.replay = Replay(context, registry, buffers, local_inbox)
        hosting = self.hosting = Hosting(
            context, registry, subscriptions, buffers, replay, local_inbox
        )
        feeds = self.feeds = SubscriberFeeds(context, registry, replay)
        local = LocalSubscriptions(context, registry, subscriptions, replay, local_inbox)

        # Publishing, to topics here and elsewhere.
        self.publishers = Publishers(context)
        credit = self._credit = Credit(context, self.publishers)
        remote = self.remote = RemotePublishing(context, registry, paths)

        # Relaying.
        relayed = self.relayed = RelayState()
        follow = Follow(context, registry, subscriptions, listening, announced, relayed)
        fetch = self.fetch = Fetch(context, registry, replay, credit, relayed)
        relay: Relay = NoRelay()
        if config.relay:
            streams = RelayedStreams(
                context, registry, buffers, relayed, replay, hosting, feeds, follow, fetch
            )
            offers = Offers(context, registry, paths, subscribers, relayed, streams)
            relay = ActiveRelay(
                relayed, streams, offers, PublishForwarding(context, paths, relayed)
            )
        self.relay = relay
        followers = Followers(context, registry, relayed, feeds, relay)
        reroute = Reroute(paths, relay, follow, remote)

        # Receiving.
        receiver = self.receiver = Receiver(
            context, registry, subscriptions, inbox, listening, credit, follow, relay
        )
        ingress = self.ingress = Ingress(
            context, registry, hosting, replay, self.publishers, credit, relay
        )

        # Peers.
        links = self.links = Links(context, subscribers)
        dials = self.dials = Dials(context, links, random, token)
        heartbeats = self._heartbeats = Heartbeats(
            context, links, subscribers, feeds, self.publishers
        )
        barriers = self.barriers = Barriers(context, links, dials, announced, token)
        failover = self.failover = Failover(context, links, dials, registry, paths, local)
        lost_hosts = LostHosts(context, registry, subscriptions, listening, paths, inbox)
        announcer = self.announcer = OwnAnnouncements(
            context,
            started,
            links,
            subscribers,
            announced,
            registry,
            subscriptions,
            paths,
            hosting,
            local,
            follow,
            failover,
        )
        announcements = PeerAnnouncements(
            context,
            announced,
            registry,
            subscriptions,
            listening,
            paths,
            receiver,
            relay,
            reroute,
            failover,
            lost_hosts,
        )
        lifecycle = self._lifecycle = Lifecycle(
            context,
            links,
            dials,
            heartbeats,
            barriers,
            announcer,
            failover,
            lost_hosts,
            subscribers,
            announced,
            registry,
            paths,
            ingress,
            receiver,
            remote,
            followers,
            relay,
            reroute,
        )
        handshake = self.handshake = Handshake(context, me, links, dials, lifecycle)
        liveness = self.liveness = Liveness(context, links, dials, lifecycle)
        self.peers = Peers(
            context, links, dials, handshake, lifecycle, announced, registry, failover, lost_hosts
        )

        self._handlers = tables(
            context,
            subscribers=subscribers,
            announced=announced,
            links=links,
            dials=dials,
            handshake=handshake,
            heartbeats=heartbeats,
            liveness=liveness,
            lifecycle=lifecycle,
            barriers=barriers,
            announcements=announcements,
            failover=failover,
            feeds=feeds,
            receiver=receiver,
            ingress=ingress,
            remote=remote,
            followers=followers,
            fetch=fetch,
            relay=relay,
        )
        self._handlers_up = self._handlers[LinkState.UP]

    @property
    def deadline(self) -> float:
        """When ``tick`` is to be called, in monotonic seconds."""
        return self.context.deadline

    # Arrivals

    def frame(self, conn: bytes, parts: Frame, now: float) -> None:
        """A frame has arrived on a connection."""
        link = self.links.by_conn.get(conn)
        if link is None:
            self.handshake.first_frame(conn, parts, now)
            return
        link.heard_at = now
        frame = parts[0]
        try:
            if len(parts) == 1 and link.is_up:
                # This is by far the most frequent kind of frame.
                one = batches.one_batch(frame)
                if one is not None:
                    self.receiver.on_data(self.announced[link], one)
                    return
            for kind, start, end, large in codec.records(parts):
                handlers = self._handlers_up if link.is_up else self._handlers[link.state]
                handler = handlers.get(kind)
                if handler is not None:
                    handler(link, frame, start, end, large, now)
                elif not link.is_up:
                    raise ProtocolError(f"record type {kind} stands where a greeting should be")
                if self.links.by_conn.get(conn) is not link:
                    return
        except ProtocolError as error:
            self._violation(link, str(error), now)
            return
        if link in self.ingress.waiting:
            self.ingress.order(link, now)

    def give_up(self, conn: bytes, why: str, now: float) -> None:
        """Ends the link of a connection, if it has one, as after a violation."""
        link = self.links.by_conn.get(conn)
        if link is not None:
            self._violation(link, why, now)

    def _violation(self, link: Link, why: str, now: float) -> None:
        refusal = Refusal(REFUSED_PROTOCOL, why)
        self.links.refuse(link.conn, refusal, link.node or None, now)
        if link.is_up:
            self._lifecycle.down(link, f"protocol error: {why}", now)
        elif link.state is LinkState.DIALLING:
            self.dials.failed(link, f"protocol error: {why}", now)
        else:
            self.links.end(link)

    # Connections

    def made(self, conn: bytes, now: float) -> None:
        """A dial that was asked for has begun."""
        self.peers.made(conn)

    def lost(self, conn: bytes, why: str, now: float) -> None:
        """A connection ended, or could not be made."""
        self.liveness.lost(conn, why, now)

    def same(self, conn: bytes, other: bytes, now: float) -> None:
        """A dial leads to an address that another dial leads to already."""
        self.peers.same(conn, other, now)

    def itself(self, conn: bytes, now: float) -> None:
        """A dial leads to an address to which this node is bound."""
        self.handshake.itself(conn, now)

    def alive(self, conn: bytes, now: float) -> None:
        """Bytes of an incomplete frame have arrived."""
        self.liveness.alive(conn, now)

    def quiet(self, now: float) -> list[bytes]:
        """Connections for which the event loop is to say whether bytes have arrived."""
        return self.liveness.quiet(now)

    def is_link(self, conn: bytes) -> bool:
        """Whether a connection is a link that is up."""
        link = self.links.by_conn.get(conn)
        return link is not None and link.is_up

    # Time

    def tick(self, now: float) -> None:
        """Does all that is due: heartbeats, silence, dials, replays. Sets the next deadline."""
        context = self.context
        self.liveness.check(now)
        self._heartbeats.beat_due(now)
        self.dials.start(now)
        context.now = now
        if self.replay.is_due:
            self.replay.run(now)
        deadline = self.liveness.next_due(self._heartbeats.next_due(now))
        context.deadline = self.dials.next_due(deadline)
        if self.replay.is_due:
            context.due(self.replay.due_at)
        self.failover.review(now)
        for link in list(self.ingress.waiting):
            self.ingress.order(link, now)

    # Departures

    def take_sends(self, now: float) -> list[tuple[bytes, Frame]]:
        """All frames that can go out now. The list is the caller's."""
        effects = self.effects
        self.context.now = now
        sends = effects.sends
        effects.sends = []
        subscribers = self.subscribers
        while effects.touched:
            link, _ = effects.touched.popitem()
            conn = link.conn
            sends += [(conn, frame) for frame in link.take_frames(FRAME_BYTES)]
            if link.data.out:
                continue
            subscriber = subscribers.get(link)
            if subscriber is not None:
                if subscriber.behind or subscriber.ending:
                    subscriber.behind.clear()
                    subscriber.ending.clear()
                if subscriber.aside:
                    self.replay.end_aside(subscriber)
        if self.replay.catching_up:
            self.replay.run(now)
            if self.replay.is_due:
                self.context.due(self.replay.due_at)
        if self.ingress.waiting:
            self.ingress.go_on(now)
        return sends

    # The application

    def take(self) -> Item | None:
        """The next item of the inbox. Call ``taken`` when the application has it."""
        item = self.inbox.take()
        if item is not None and not isinstance(item, Notice):
            self.counters.recv_msgs += item.count - item.skip
            self.counters.recv_bytes += item.size
        return item

    def taken(self, delivery: Delivery | MultiDelivery, now: float) -> None:
        """The application has all messages of a delivery. The sender gets its credit back."""
        link = delivery.link
        if link is not None:
            self._credit.consumed(link, link.data, delivery.count, delivery.size)
            return
        here = self.here
        here.msgs -= delivery.count
        here.size -= delivery.size
        self.effects.progress = True
        self.context.now = now
        if here.aside and here.msgs == 0:
            self.replay.end_aside(here)
        if here.cursors:
            self.replay.run_here()
        if self.ingress.waiting:
            self.ingress.go_on(now)

    def unsent(self) -> list[Link]:
        """The links that have something waiting, in their queues or in replay buffers."""
        return [
            link
            for link, subscriber in self.subscribers.items()
            if link.data.out or link.publishes.out or subscriber.cursors
        ]

    def leave(self) -> None:
        """Says goodbye to all peers, with the final heads of the topics that they get.

        From now on no link is made and no message is ordered: otherwise the heads would not be
        final.
        """
        self.context.leaving = True
        self.dials.remove_all()
        for link in list(self.links.by_conn.values()):
            news = self.publishers.news(link)
            if news:
                self.links.send_now(link.conn, news)
            self.links.farewell(link, GONE_LEFT)
            if not link.is_up:
                self.links.end(link)
        self.ingress.stop()

    def set_hwm(self, sndhwm: int, rcvhwm: int) -> None:
        """Sets the limits of queues, in messages."""
        self.context.sndhwm = sndhwm
        self.context.rcvhwm = rcvhwm
        self.handshake.me = replace(self.handshake.me, window_msgs=rcvhwm)
        for link in self.links.by_node.values():
            self._credit.window_changed(link)

    def metrics(self, *, refused: int, waiting: Sequence[bytes]) -> Metrics:
        """Counters and gauges.

        ``refused`` are connections that the transport has refused, ``waiting`` the payloads that
        were taken from the inbox and not yet handed out.
        """
        counters = self.counters
        flows = [flow for link in self.links.by_node.values() for flow in link.flows]
        counted = vars(counters) | {
            "refused": counters.refused + refused,
            "recv_msgs": counters.recv_msgs - len(waiting),
            "recv_bytes": counters.recv_bytes - sum(map(len, waiting)),
        }
        return Metrics(
            **counted,
            links_up=len(self.links.by_node),
            conflicts=len(self.failover.views.view.conflicts),
            topics_local=len(self.registry.local),
            topics_remote=len(self.registry.remote),
            queued_msgs=sum(flow.out_msgs for flow in flows),
            queued_bytes=sum(flow.out_bytes for flow in flows),
            inbox_msgs=self.inbox.msgs + len(waiting),
            history_bytes=self.buffers.size,
        )

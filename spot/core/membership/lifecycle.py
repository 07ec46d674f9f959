"""A link goes up or down: which parts of the node are told, and in which order."""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.ingress import Ingress
from spot.core.data.receive import Receiver
from spot.core.data.remote_publishing import RemotePublishing
from spot.core.link import Link
from spot.core.membership.barriers import Barriers
from spot.core.membership.dials import Dials
from spot.core.membership.failover import Failover
from spot.core.membership.heartbeats import Heartbeats
from spot.core.membership.links import GONE_REPLACED, Links
from spot.core.membership.lost_hosts import LostHosts
from spot.core.membership.own_announcements import OwnAnnouncements
from spot.core.relay.followers import Followers
from spot.core.relay.relay import Relay
from spot.core.relay.reroute import Reroute
from spot.core.topics.announced import Announced, Path
from spot.core.topics.hosted_topic import Subscriber
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.message import Event


class Lifecycle:
    """Makes a greeted connection a link, and ends links."""

    def __init__(
        self,
        context: NodeContext,
        links: Links,
        dials: Dials,
        heartbeats: Heartbeats,
        barriers: Barriers,
        announcer: OwnAnnouncements,
        failover: Failover,
        lost_hosts: LostHosts,
        subscribers: dict[Link, Subscriber],
        announced: dict[Link, Announced],
        registry: Registry,
        paths: Paths,
        ingress: Ingress,
        receiver: Receiver,
        remote: RemotePublishing,
        followers: Followers,
        relay: Relay,
        reroute: Reroute,
    ) -> None:
        self._context = context
        self._links = links
        self._dials = dials
        self._heartbeats = heartbeats
        self._barriers = barriers
        self._announcer = announcer
        self._failover = failover
        self._lost_hosts = lost_hosts
        self._subscribers = subscribers
        self._announced = announced
        self._registry = registry
        self._paths = paths
        self._ingress = ingress
        self._receiver = receiver
        self._remote = remote
        self._followers = followers
        self._relay = relay
        self._reroute = reroute

    def up(self, link: Link, now: float) -> None:
        """The greeting of a connection is done. Both ends tell each other all that they know."""
        old = self._links.by_node.get(link.node)
        if old is not None:
            self._links.farewell(old, GONE_REPLACED)
            self.down(old, GONE_REPLACED, now, notice=False)
        link.go_up(now)
        self._links.by_node[link.node] = link
        self._subscribers[link] = Subscriber(link)
        announced = self._announced[link] = Announced(link)
        self._dials.link_up(link)
        self._heartbeats.link_up(link, now)
        self._ingress.link_up(link)
        path = Path(link.node, link.incarnation, link.bytes_max, (), link)
        announced.paths[link.node] = path
        self._paths.add(path)
        self._remote.doubt_lost(link.node)
        self._announcer.introduce(link)
        self._relay.renew_offers("changed")
        if self._context.refusing:
            self._failover.tell_quorum(link)
        self._barriers.link_up(link)
        self._context.counters.links_made += 1
        self._context.effects.progress = True
        self._context.effects.events.append(
            Event("link_up", now, node=link.node, endpoint=link.endpoint)
        )
        self._failover.path_found(link.node, now)

    def down(self, link: Link, why: str, now: float, *, notice: bool = True) -> None:
        """A link has ended. With ``notice``, the application is told which hosts are lost."""
        announced = self._announced[link]
        listened = self._lost_hosts.listened_on(announced)
        self._lost_hosts.note_broken_off(listened)
        nodes = list(announced.paths)
        self._links.end(link)
        if self._links.by_node.get(link.node) is link:
            del self._links.by_node[link.node]
        self._end_streams(announced, why)
        self._barriers.link_down(link)
        endpoint, delay = self._dials.link_down(link, why, now)
        self._context.counters.links_lost += 1
        self._context.effects.events.append(
            Event("link_down", now, node=link.node, endpoint=endpoint, reason=why, delay=delay)
        )
        self._failover.minorities.discard(link.node)
        moved = {name for node in nodes for name in self._failover.path_lost(node, why, now)}
        if notice:
            lost = [topic for topic in listened if topic.name not in moved]
            self._lost_hosts.tell(lost, {link.node: endpoint}, why, now)

    def _end_streams(self, announced: Announced, why: str) -> None:
        """Ends all streams over the link, in both directions. Topics and publishes take other
        paths."""
        link = announced.link
        effects = self._context.effects
        self._followers.link_down(self._subscribers[link])
        for path in announced.paths.values():
            self._receiver.forget_ends(path.node, path.ended)
        self._ingress.link_down(link)
        self._relay.link_down(link)
        link.data.out.clear()
        link.publishes.out.clear()
        announced.awaiting.clear()
        topics = list(announced.topics.values())
        for topic in topics:
            self._registry.end_announcement(topic)
        for path in list(announced.paths.values()):
            self._reroute.end_path(announced, path)
        self._relay.renew_offers(why)
        for topic in topics:
            self._reroute.topic(topic.name, topic.node)
        effects.touched.pop(link, None)
        del self._subscribers[link]
        del self._announced[link]
        effects.progress = True
        effects.rerouted = True

"""What peers announce: the topics that they host, and the nodes behind peers that are relays."""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.receive import Receiver
from spot.core.link import Link
from spot.core.membership.failover import Failover
from spot.core.membership.links import GONE_LEFT, GONE_REPLACED
from spot.core.membership.lost_hosts import LostHosts
from spot.core.relay.relay import Relay
from spot.core.relay.reroute import Reroute
from spot.core.topics.announced import Announced, Path, RemoteTopic
from spot.core.topics.interest import Subscriptions
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.core.topics.topic_sources import Listening
from spot.core.wire import codec
from spot.core.wire.codec import NodeEntry, ProtocolError, TopicEntry
from spot.core.wire.greeting import Incarnation
from spot.errors import InvalidArgument
from spot.message import Event
from spot.names import check_topic

NODES_MAX = 4096
"""Nodes that one peer may offer. Further nodes are ignored, and so are their topics."""


class PeerAnnouncements:
    """Takes note of the topics and nodes that peers announce."""

    def __init__(
        self,
        context: NodeContext,
        announced: dict[Link, Announced],
        registry: Registry,
        subscriptions: Subscriptions,
        listening: Listening,
        paths: Paths,
        receiver: Receiver,
        relay: Relay,
        reroute: Reroute,
        failover: Failover,
        lost_hosts: LostHosts,
    ) -> None:
        self._context = context
        self._announced = announced
        self._registry = registry
        self._subscriptions = subscriptions
        self._listening = listening
        self._paths = paths
        self._receiver = receiver
        self._relay = relay
        self._reroute = reroute
        self._failover = failover
        self._lost_hosts = lost_hosts

    # Topics

    def on_topics(
        self, announced: Announced, complete: bool, entries: list[TopicEntry], now: float
    ) -> None:
        """A peer announces topics. With ``complete`` it has announced all its own."""
        effects = self._context.effects
        link = announced.link
        by_host: dict[str, list[str]] = {}
        for entry in entries:
            topic = self._topic_of(announced, entry)
            if topic is not None:
                by_host.setdefault(topic.node, []).append(topic.name)
                self._reroute.topic(topic.name, topic.node)
        self._failover.hosts_changed([name for names in by_host.values() for name in names], now)
        effects.progress = True
        if not announced.synced and complete:
            announced.synced = True
            by_host.pop(link.node, None)
            self._complete(announced, announced.paths[link.node], now)
        for node, names in by_host.items():
            if announced.synced and announced.paths[node].is_complete:
                effects.events.append(Event("topic_up", now, node=node, topics=tuple(names)))

    def _topic_of(self, announced: Announced, entry: TopicEntry) -> RemoteTopic | None:
        """Takes note of one announced topic; None if it is of no use here."""
        link = announced.link
        try:
            check_topic(entry.name)
        except InvalidArgument as error:
            raise ProtocolError(f"a peer announces a {error}") from error
        if entry.topic_id in announced.topics or entry.topic_id in announced.ignored:
            raise ProtocolError(f"topic number {entry.topic_id} is announced twice")
        path = announced.paths.get(entry.origin or link.node)
        if path is None or entry.origin == link.node:
            if entry.origin not in announced.loops:
                raise ProtocolError(
                    f"topic {entry.name!r} is announced for node {entry.origin!r}, "
                    "which was not offered"
                )
            announced.ignored[entry.topic_id] = entry.origin
            return None
        topic = RemoteTopic(entry.topic_id, entry.name, entry.epoch, link, entry.standby, path)
        if not path.relays:
            topic.asked = announced.requests.number_for(entry.name, self._subscriptions)
        announced.topics[entry.topic_id] = topic
        path.ended.discard(entry.name)
        self._registry.announce(topic)
        return topic

    def _complete(self, announced: Announced, path: Path, now: float) -> None:
        """All topics of a node have been announced on a path."""
        path.is_complete = True
        node = path.node
        self._lost_hosts.announced(node)
        names = tuple(topic.name for topic in announced.topics.values() if topic.path is path)
        self._forget_stale(path, set(names), now)
        for name in self._subscriptions.newest:
            if node not in self._registry.remote.get(name, ()):
                self._subscriptions.awaits(name, node)
        self._reroute.publishes(node)
        self._relay.renew_offers("changed")
        self._context.effects.events.append(Event("synced", now, node=node, topics=names))
        self._lost_hosts.back(node, names, now)

    def _forget_stale(self, path: Path, names: set[str], now: float) -> None:
        """Forgets topics of former paths that the node no longer announces."""
        registry = self._registry
        node = path.node
        stale = [
            name
            for name, hosts in registry.remote.items()
            if node in hosts and name not in names and (hosts[node].link is None or not path.relays)
        ]
        for name in stale:
            for topic in list(registry.announced.get((name, node), {}).values()):
                if topic.link is not None:
                    announced = self._announced[topic.link]
                    announced.topics.pop(topic.topic_id, None)
                    announced.awaiting.discard(topic)
                    announced.ignored[topic.topic_id] = node
            registry.withdraw(name, node)
            self._reroute.topic(name, node)
        self._failover.hosts_changed(stale, now)

    def on_topic_gone(self, announced: Announced, topic_id: int, head: int, now: float) -> None:
        """A peer announces that a topic has ended."""
        if announced.ignored.pop(topic_id, None) is not None:
            return
        topic = announced.topics.pop(topic_id, None)
        if topic is None:
            raise ProtocolError(f"topic number {topic_id} ends, but was never announced")
        announced.awaiting.discard(topic)
        registry = self._registry
        key = (topic.name, topic.node)
        was = self._listening.is_active(topic)
        if head != codec.EVERYTHING:
            self._receiver.on_final(topic, head)
            topic.path.ended.add(topic.name)
            self._relay.end_topic(topic, head)
        elif self._listening.is_listened(topic) and self._subscriptions.wants(topic.name):
            self._lost_hosts.note_broken_off((topic,))
        registry.end_announcement(topic)
        if was and self._listening.is_active(topic):
            registry.withdraw(*key)
        self._reroute.topic(*key)
        self._failover.hosts_changed((topic.name,), now)
        event = Event("topic_gone", now, node=topic.node, topics=(topic.name,))
        self._context.effects.events.append(event)
        self._context.effects.progress = True

    # Nodes

    def on_node(self, announced: Announced, entry: NodeEntry, now: float) -> None:
        """A relay offers a node, or tells that the path to it has changed."""
        link = announced.link
        node = entry.node
        relays = entry.path
        me = self._context.node
        if relays[0] != link.node:
            raise ProtocolError(f"node {node} is offered on a path that begins at {relays[0]}")
        if node == me or me in relays or len(announced.paths) > NODES_MAX:
            self._ignore_node(announced, node, now)
            return
        incarnation = Incarnation(entry.started, entry.random)
        path = announced.paths.get(node)
        if path is not None and path.incarnation != incarnation:
            self.on_node_gone(announced, node, "restarted", {}, now)
            path = None
        announced.loops.discard(node)
        if path is None:
            path = Path(node, incarnation, entry.bytes_max, relays, link)
            announced.paths[node] = path
            self._paths.add(path)
            self._failover.path_found(node, now)
        elif path.relays != relays or path.bytes_max != entry.bytes_max:
            path.relays = relays
            path.bytes_max = entry.bytes_max
            for topic in [each for each in announced.topics.values() if each.path is path]:
                self._registry.settle(topic.name, node)
                self._reroute.topic(topic.name, node)
            self._reroute.publishes(node, again=path)
            self._relay.renew_offers("changed")
        if entry.complete and not path.is_complete:
            self._complete(announced, path, now)

    def _ignore_node(self, announced: Announced, node: str, now: float) -> None:
        """The path leads through this node itself, or the peer offers too many nodes: it is
        ignored."""
        announced.loops.add(node)
        if node in announced.paths:
            topics = announced.topics.values()
            numbers = [topic.topic_id for topic in topics if topic.node == node]
            self.on_node_gone(announced, node, "circle", {}, now)
            # For the peer the offer remains.
            announced.ignored.update(dict.fromkeys(numbers, node))

    def on_node_gone(
        self, announced: Announced, node: str, reason: str, heads: dict[int, int], now: float
    ) -> None:
        """A relay can no longer reach a node."""
        announced.ignored = {
            number: host for number, host in announced.ignored.items() if host != node
        }
        path = announced.paths.get(node)
        if path is None or not path.relays:
            if node not in announced.loops:
                raise ProtocolError(f"node {node} is lost, but was never offered")
            announced.loops.discard(node)
            return
        effects = self._context.effects
        topics = [topic for topic in announced.topics.values() if topic.path is path]
        listened = self._lost_hosts.listened_on(announced, node)
        for topic in topics:
            self.note_final(topic, heads)
            del announced.topics[topic.topic_id]
            announced.awaiting.discard(topic)
            self._registry.end_announcement(topic)
        self._lost_hosts.note_broken_off(listened)
        if reason != GONE_LEFT:
            self._receiver.forget_ends(node, path.ended)
        self._reroute.end_path(announced, path)
        self._relay.renew_offers(reason)
        for topic in topics:
            self._reroute.topic(topic.name, node)
        effects.progress = True
        effects.rerouted = True
        moved = self._failover.path_lost(node, reason, now)
        if reason != GONE_REPLACED:
            lost = [topic for topic in listened if topic.name not in moved]
            self._lost_hosts.tell(lost, {}, reason, now)

    def on_goodbye(self, announced: Announced, heads: dict[int, int]) -> None:
        """A peer leaves, and tells the last sequences of its own topics."""
        for topic in announced.topics.values():
            if not topic.path.relays:
                self.note_final(topic, heads)
        announced.paths[announced.link.node].ended.clear()

    def note_final(self, topic: RemoteTopic, heads: dict[int, int]) -> None:
        """The host of a topic leaves. ``heads`` may have the topic's last sequence, by number."""
        head = heads.get(topic.topic_id)
        if head is not None:
            self._receiver.on_final(topic, head)
            self._relay.note_final(topic, head)

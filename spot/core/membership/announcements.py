"""What nodes tell one another: the topics that they host, what they want, whom they can reach.

On a new link both sides tell all of it, and from then on each change. A peer that is a relay also
announces nodes behind it, and their topics.
"""

from __future__ import annotations

from spot.core.link import Link
from spot.core.membership.failover import Hosts
from spot.core.membership.peers import GONE_LEFT, GONE_REPLACED
from spot.core.topics.interest import EXACT, PATTERN, InterestEntry, encode_interest
from spot.core.topics.registry import HostedTopic, RemoteTopic, Way
from spot.core.wire import codec
from spot.core.wire.codec import NodeEntry, ProtocolError, TopicEntry
from spot.core.wire.greeting import Incarnation
from spot.errors import InvalidArgument
from spot.message import Event
from spot.names import check_topic

LIST_BYTES = 64 * 1024
NODES_MAX = 4096
"""Nodes that one peer may offer. Others are ignored, and so are their topics."""


class Announcements(Hosts):
    """Tells peers of topics and subscriptions, and takes note of theirs."""

    # Topics of this node

    def _announce_all(self, link: Link) -> None:
        entries = [
            TopicEntry(topic.topic_id, topic.epoch, topic.head, topic.name, topic.standby)
            for topic in self.traffic.registry.local.values()
        ]
        step = LIST_BYTES // 64
        for at in range(0, len(entries), step):
            self.effects.control(link, codec.encode_topics(entries[at : at + step], complete=False))
        self.effects.control(link, codec.encode_topics((), complete=True))

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
            if name in link.ending:
                # The end of an earlier topic of this name is still queued: that comes first.
                link.queue_record(record)
                self.effects.touched[link] = None
            else:
                # What waits for credit holds up no news.
                self.effects.control(link, record)
        if history_bytes is None:
            history_bytes = self.config.history_bytes
        return self.traffic.host(name, self._epoch, links, history_bytes, standby=standby)

    def destroy_topic(self, topic: HostedTopic, now: float) -> None:
        record = codec.encode_gone(topic.topic_id, topic.head)
        self.traffic.end(topic, record, list(self.nodes.values()))
        self._hosts_changed((topic.name,), now)

    # Subscriptions of this node

    def _tell_interest(self, link: Link) -> None:
        entries = self.traffic.subscriptions.entries(link.node)
        step = LIST_BYTES // 64
        for at in range(0, len(entries), step):
            record = encode_interest(codec.INTEREST, entries[at : at + step])
            self.traffic.ask(link, record)

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
            traffic.ask(link, encode_interest(codec.INTEREST, (entry,)))
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

    def unsubscribe(self, name: str, *, pattern: bool) -> bool:
        if not self.traffic.subscriptions.remove(name, pattern=pattern):
            return False
        self.traffic.unsubscribed_here(name, pattern=pattern)
        entry = InterestEntry(PATTERN if pattern else EXACT, 0, 0, name)
        record = encode_interest(codec.INTEREST_GONE, (entry,))
        for link in self.nodes.values():
            self.effects.control(link, record)
            self.traffic.unasked(link, name, pattern=pattern)
        for host in self._behind_relays(name, pattern=pattern):
            self.traffic.follow(host)
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

    # Topics of peers

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
                link.shunned[entry.topic_id] = entry.origin
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
                    topic.link.shunned[topic.topic_id] = way.node
            registry.withdraw(name, way.node)
            self.traffic.resteer(name, way.node)
        self._hosts_changed(stale, now)

    def _on_topic_gone(self, link: Link, topic_id: int, head: int, now: float) -> None:
        if link.shunned.pop(topic_id, None) is not None:
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
                numbers = [topic.topic_id for topic in link.topics.values() if topic.node == node]
                self._on_node_gone(link, node, "circle", {}, now)
                # For the peer the offer goes on.
                link.shunned.update(dict.fromkeys(numbers, node))
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
            traffic.steer_publishes(node, again=way)
            traffic.renew_offers("changed")
        if entry.complete and not way.is_complete:
            self._way_complete(way, now)

    def _on_node_gone(
        self, link: Link, node: str, reason: str, heads: dict[int, int], now: float
    ) -> None:
        link.shunned = {number: host for number, host in link.shunned.items() if host != node}
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

"""What a relay offers its peers: the nodes that it reaches, and their topics.

Everything about a node uses one path. The node is offered by that path, its topics are taken from
there, and publishes to it are sent on there. Peers are told when the path changes.
"""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.link import Link
from spot.core.relay.state import RelayedTopic, RelayState
from spot.core.relay.streams import RelayedStreams
from spot.core.topics.announced import Path, RemoteTopic
from spot.core.topics.hosted_topic import Subscriber
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.core.wire import codec
from spot.core.wire.codec import NodeEntry, TopicEntry
from spot.core.wire.greeting import encode_node_gone

LISTED = 1024
ENDED_MAX = 65_536
"""Topics that a relay knows to have been ended by their hosts. Fewer topics end while a publish to
one of them is under way."""


class Offers:
    """Offers nodes and their topics to peers, and withdraws them."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        paths: Paths,
        subscribers: dict[Link, Subscriber],
        relayed: RelayState,
        streams: RelayedStreams,
    ) -> None:
        self._context = context
        self._registry = registry
        self._paths = paths
        self._subscribers = subscribers
        self._relayed = relayed
        self._streams = streams
        # By link: what the peer was told of each node.
        self._offered: dict[Link, dict[str, NodeEntry]] = {}

    def link_down(self, link: Link) -> None:
        """The link has ended."""
        self._offered.pop(link, None)

    def _offered_on(self, link: Link) -> dict[str, NodeEntry]:
        return self._offered.setdefault(link, {})

    # Nodes

    def renew(self, why: str) -> None:
        """Tells peers of the nodes that they can reach through this one, and of changes."""
        links = self._paths.direct_links()
        offered = {node for link in links for node in self._offered_on(link)}
        for node in {*offered, *self._paths.by_node}:
            self._renew_node(node, links, why)

    def _renew_node(self, node: str, links: list[Link], why: str) -> None:
        best_of = self._relayed.best
        before_best = best_of.get(node)
        best = self._paths.best(node, before_best)
        if before_best is not None and (
            best is None or best.incarnation != before_best.incarnation
        ):
            self._withdraw(node, links, why)
        if best is not None and best is not before_best:
            best_of[node] = best
            for name, host in {**self._relayed.topics, **self._registry.announced}:
                if host == node:
                    self.renew_topic(name, node)
        topics = self._topics_of(node)
        for link in links:
            offered = self._offered_on(link)
            before = offered.get(node)
            entry = None
            if best is not None and best.link is not link:
                entry = self._entry_for(link, best)
            if entry == before:
                continue
            self._context.effects.touched[link] = None
            if entry is None:
                del offered[node]
                link.data.queue_record(_gone(node, why, topics))
                for topic in topics:
                    self._streams.drop_follower(self._subscribers[link], topic)
                continue
            offered[node] = entry
            if before is None:
                link.data.queue_record(codec.encode_node(entry._replace(complete=False)))
                known = [self._entry_of(topic) for topic in topics]
                for at in range(0, len(known), LISTED):
                    listed = known[at : at + LISTED]
                    link.data.queue_record(codec.encode_topics(listed, complete=False))
            link.data.queue_record(codec.encode_node(entry))

    def _withdraw(self, node: str, links: list[Link], why: str) -> None:
        """The incarnation of a node that was offered can no longer be reached.

        Its topics end with the offer, before there is an offer of another incarnation. Messages
        that this relay holds go out before the news.
        """
        del self._relayed.best[node]
        topics = self._topics_of(node)
        for topic in topics:
            self._streams.send_rest(topic)
        record = _gone(node, why, topics)
        for link in links:
            if self._offered_on(link).pop(node, None) is not None:
                link.data.queue_record(record)
                self._context.effects.touched[link] = None
        for topic in topics:
            self.end_topic(topic, None)

    def _topics_of(self, node: str) -> list[RelayedTopic]:
        return [topic for topic in self._relayed.topics.values() if topic.node == node]

    def _entry_for(self, link: Link, path: Path) -> NodeEntry | None:
        """The offer to a peer, unless the peer itself is on that path."""
        relays = path.relays
        if link.node == path.node or link.node in relays or len(relays) >= codec.RELAYS_MAX:
            return None
        incarnation = path.incarnation
        return NodeEntry(
            path.node,
            incarnation.started,
            incarnation.random,
            min(path.bytes_max, self._context.bytes_max),
            (self._context.node, *relays),
            complete=True,
        )

    # Their topics

    def renew_topic(self, name: str, node: str) -> None:
        """Passes a topic on from the path by which its host is offered.

        So a circle of relays can't keep alive a topic that has ended.
        """
        topic = self._relayed.topics.get((name, node))
        best = self._relayed.best.get(node)
        source = None
        if best is not None:
            source = self._registry.announced.get((name, node), {}).get(best.link)
        if topic is not None and (source is None or source.epoch != topic.stream.epoch):
            self.end_topic(topic, None)
            topic = None
        if source is None:
            return
        if topic is None:
            self._offer_topic(source)
        elif topic.source is not source:
            self._streams.change_source(topic, source)

    @staticmethod
    def _entry_of(topic: RelayedTopic) -> TopicEntry:
        stream = topic.stream
        return TopicEntry(
            stream.topic_id, stream.epoch, stream.head, stream.name, stream.standby, topic.node
        )

    def _offer_topic(self, source: RemoteTopic) -> None:
        topic = self._streams.create(source)
        for link in self._paths.direct_links():
            if topic.node in self._offered_on(link):
                record = codec.encode_topics((self._entry_of(topic),), complete=False)
                link.data.queue_record(record)
                self._context.effects.touched[link] = None

    def end_topic(self, topic: RelayedTopic, head: int | None) -> None:
        """A topic is no longer passed on. ``head`` is its last sequence, None if it is unknown.

        Messages that this relay holds go out before the news.
        """
        self._streams.send_rest(topic)
        stream = topic.stream
        record = codec.encode_gone(stream.topic_id, codec.EVERYTHING if head is None else head)
        for link in self._paths.direct_links():
            if topic.node in self._offered_on(link):
                link.data.queue_record(record)
                self._context.effects.touched[link] = None
            self._subscribers[link].follows.discard(stream)
        self._streams.end(topic)
        if head is not None:
            ended = self._relayed.ended
            ended[stream.topic_id] = None
            if len(ended) > ENDED_MAX:
                del ended[next(iter(ended))]


def _gone(node: str, why: str, topics: list[RelayedTopic]) -> bytes:
    """NODE_GONE, with the last sequences of the topics whose host has told them."""
    heads = {topic.stream.topic_id: topic.final for topic in topics if topic.final is not None}
    return encode_node_gone(node, why, heads)

"""What this node tells its peers: the topics that it hosts, and its subscriptions.

On a new link both sides tell all of them. Later they tell each change.
"""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.hosting import Hosting
from spot.core.data.local_subscriptions import LocalSubscriptions
from spot.core.link import Link
from spot.core.membership.failover import Failover
from spot.core.membership.links import Links
from spot.core.relay.following import Follow
from spot.core.topics.announced import Announced, RemoteTopic
from spot.core.topics.hosted_topic import HostedTopic, Subscriber
from spot.core.topics.interest import Subscriptions
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.core.wire import codec
from spot.core.wire.codec import TopicEntry
from spot.core.wire.interests import EXACT, PATTERN, InterestEntry, encode_interest

LISTED = 1024
"""Entries of a list in one record. More would make the turn too long that handles the record."""


class OwnAnnouncements:
    """Creates and ends topics and subscriptions of this node, and tells peers.

    ``started`` is the wall-clock time in nanoseconds at which the node started.
    """

    def __init__(
        self,
        context: NodeContext,
        started: int,
        links: Links,
        subscribers: dict[Link, Subscriber],
        announced: dict[Link, Announced],
        registry: Registry,
        subscriptions: Subscriptions,
        paths: Paths,
        hosting: Hosting,
        local: LocalSubscriptions,
        follow: Follow,
        failover: Failover,
    ) -> None:
        self._context = context
        self._epoch = started
        self._links = links
        self._subscribers = subscribers
        self._announced = announced
        self._registry = registry
        self._subscriptions = subscriptions
        self._paths = paths
        self._hosting = hosting
        self._local = local
        self._follow = follow
        self._failover = failover

    def introduce(self, link: Link) -> None:
        """Tells a new peer all topics and subscriptions of this node."""
        self.tell_topics(link)
        self.tell_interest(link)

    # Topics

    def tell_topics(self, link: Link) -> None:
        """Tells a peer of all topics that this node hosts."""
        effects = self._context.effects
        entries = [
            TopicEntry(topic.topic_id, topic.epoch, topic.head, topic.name, topic.standby)
            for topic in self._registry.local.values()
        ]
        for at in range(0, len(entries), LISTED):
            effects.control(link, codec.encode_topics(entries[at : at + LISTED], complete=False))
        effects.control(link, codec.encode_topics((), complete=True))

    def create_topic(
        self,
        name: str,
        wall_ns: int,
        history_bytes: int | None = None,
        *,
        standby: bool = False,
    ) -> HostedTopic:
        """Hosts a topic and tells all peers.

        The epoch is the wall-clock time ``wall_ns`` in nanoseconds, and never repeats. Without
        ``history_bytes`` the replay buffer is as large as the setting says.
        """
        self._epoch = max(self._epoch + 1, wall_ns)
        assert name not in self._registry.local
        subscribers = self._peers()
        entry = TopicEntry(self._registry.next_id, self._epoch, 0, name, standby)
        record = codec.encode_topics((entry,), complete=False)
        for subscriber in subscribers:
            link = subscriber.link
            assert link is not None
            if name in subscriber.ending:
                # The end of an earlier topic of this name is still queued. It must go out first.
                subscriber.flow.queue_record(record)
                self._context.effects.touched[link] = None
            else:
                # Batches that wait for credit do not delay news.
                self._context.effects.control(link, record)
        if history_bytes is None:
            history_bytes = self._context.config.history_bytes
        return self._hosting.host(name, self._epoch, subscribers, history_bytes, standby=standby)

    def destroy_topic(self, topic: HostedTopic, now: float) -> None:
        """Ends a topic and tells all peers, after its last messages."""
        record = codec.encode_gone(topic.topic_id, topic.head)
        self._hosting.end(topic, record, self._peers())
        self._failover.hosts_changed((topic.name,), now)

    def _peers(self) -> list[Subscriber]:
        return [self._subscribers[link] for link in self._links.by_node.values()]

    # Subscriptions

    def tell_interest(self, link: Link) -> None:
        """Tells a peer of all subscriptions of this node, with their positions."""
        entries = self._subscriptions.entries(link.node)
        announced = self._announced[link]
        for at in range(0, len(entries), LISTED):
            record = encode_interest(codec.INTEREST, entries[at : at + LISTED])
            announced.ask(self._context.effects, record)

    def subscribe(self, name: str, *, pattern: bool, last: int = 0) -> bool:
        """Subscribes here and tells all peers. False if the subscription existed already.

        Up to ``last`` of the newest messages come first, if it is a new stream.
        """
        subscriptions = self._subscriptions
        known = self._registry.remote
        names = self._registry.matching_remote(name, pattern=pattern)
        before = {topic for topic in names if subscriptions.wants(topic)}
        was_wanted = subscriptions.wants(name)
        if not subscriptions.add(name, pattern=pattern):
            return False
        self._local.began(name, pattern=pattern, last=last)
        if last:
            subscriptions.newest[name] = last
        for topic in names:
            # Existing topics are taken from now on, even if a link has to be made first.
            for node in known[topic]:
                subscriptions.new_position(topic, node)
        for node, link in self._links.by_node.items():
            announced = self._announced[link]
            entry = subscriptions.entry(name, node, pattern=pattern)
            announced.ask(self._context.effects, encode_interest(codec.INTEREST, (entry,)))
            announced.requests.began(name, pattern=pattern, was_wanted=was_wanted)
        for topic in names:
            if topic not in before:
                for host in known[topic].values():
                    if host.link is not None and not host.path.relays:
                        host.asked = self._announced[host.link].requests.sent
        for host in self._behind_relays(name, pattern=pattern):
            self._follow.listen(host)
        for node in self._paths.by_node if last else ():
            is_complete = any(path.is_complete for path in self._paths.to(node))
            if is_complete and node not in known.get(name, ()):
                subscriptions.awaits(name, node)
        return True

    def unsubscribe(self, name: str, *, pattern: bool) -> bool:
        """Ends a subscription here and tells all peers. False if there was none."""
        if not self._subscriptions.remove(name, pattern=pattern):
            return False
        self._local.ended(name, pattern=pattern)
        entry = InterestEntry(PATTERN if pattern else EXACT, 0, 0, name)
        record = encode_interest(codec.INTEREST_GONE, (entry,))
        for link in self._links.by_node.values():
            self._context.effects.control(link, record)
            requests = self._announced[link].requests
            requests.ended(name, self._subscriptions, pattern=pattern)
        for host in self._behind_relays(name, pattern=pattern):
            self._follow.renew(host)
        return True

    def _behind_relays(self, name: str, *, pattern: bool) -> list[RemoteTopic]:
        """Topics of nodes without a link that a subscription matches."""
        registry = self._registry
        return [
            host
            for topic in registry.matching_remote(name, pattern=pattern)
            for host in registry.remote[topic].values()
            if host.link is not None and host.path.relays
        ]

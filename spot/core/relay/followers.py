"""The topics that peers follow here: FOLLOW and UNFOLLOW of LOCAL topics, and of relayed ones."""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.subscriber_messages import SubscriberFeeds
from spot.core.relay.relay import Relay
from spot.core.relay.state import RelayState
from spot.core.topics.hosted_topic import Subscriber
from spot.core.topics.registry import Registry


class Followers:
    """Begins and ends the streams that peers ask for by the number of the topic."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        relayed: RelayState,
        feeds: SubscriberFeeds,
        relay: Relay,
    ) -> None:
        self._context = context
        self._registry = registry
        self._relayed = relayed
        self._feeds = feeds
        self._relay = relay

    def on_follow(self, subscriber: Subscriber, topic_id: int, epoch: int, last: int) -> None:
        """A peer asks for a topic, from a position on."""
        subscriber.requests += 1
        topic = self._registry.sent.get(topic_id)
        if topic is not None:
            subscriber.follows.add(topic)
            relayed = self._relayed.by_id.get(topic_id)
            if relayed is None:
                self._feeds.follow(subscriber, topic, epoch, last)
            else:
                self._relay.follow(subscriber, relayed, epoch, last)
        # Otherwise the topic has ended, and the peer will hear that soon.
        self._context.effects.progress = True

    def on_unfollow(self, subscriber: Subscriber, topic_id: int) -> None:
        """A peer no longer wants a topic."""
        topic = self._registry.sent.get(topic_id)
        if topic is None or topic not in subscriber.follows:
            return
        self._feeds.unfollow(subscriber, topic)
        relayed = self._relayed.by_id.get(topic_id)
        if relayed is not None:
            self._relay.unfollow(subscriber, relayed)

    def link_down(self, subscriber: Subscriber) -> None:
        """The link of a peer has ended."""
        follows = list(subscriber.follows)
        subscriber.follows.clear()
        self._feeds.end_all(subscriber)
        for topic in follows:
            relayed = self._relayed.by_id.get(topic.topic_id)
            if relayed is not None:
                self._relay.unfollow(subscriber, relayed)

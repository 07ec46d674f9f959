"""Which of the announcements of a topic this node's subscriptions get their messages from."""

from __future__ import annotations

from spot.core.topics.announced import RemoteTopic
from spot.core.topics.interest import Subscriptions
from spot.core.topics.registry import Registry


class Listening:
    """Answers questions about the REMOTE topics that this node takes."""

    __slots__ = ("_registry", "_subscriptions")

    def __init__(self, registry: Registry, subscriptions: Subscriptions) -> None:
        self._registry = registry
        self._subscriptions = subscriptions

    def is_listened(self, topic: RemoteTopic) -> bool:
        """Whether this node takes the topic from that host, and not from itself or another."""
        return self._registry.listened(topic.name) is topic

    def is_active(self, topic: RemoteTopic) -> bool:
        """Whether that is the link on which this node takes the topic of that host."""
        return self._registry.active(topic.name, topic.node) is topic

    def is_wanted(self, topic: RemoteTopic) -> bool:
        """Whether a subscription here matches the topic."""
        subscriptions = self._subscriptions
        return topic.name in subscriptions.positions or subscriptions.wants(topic.name)

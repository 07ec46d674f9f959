"""This node's own subscriptions to the topics that it hosts itself."""

from __future__ import annotations

from collections.abc import Iterable

from spot.core.context import NodeContext
from spot.core.data.local_inbox import LocalInbox
from spot.core.data.replay import Replay
from spot.core.topics.interest import Subscriptions
from spot.core.topics.registry import Registry


class LocalSubscriptions:
    """Decides which LOCAL topics this node's subscriptions get, and from which message on."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        subscriptions: Subscriptions,
        replay: Replay,
        local: LocalInbox,
    ) -> None:
        self._context = context
        self._registry = registry
        self._subscriptions = subscriptions
        self._replay = replay
        self._local = local

    def began(self, name: str, *, pattern: bool, last: int) -> None:
        """After a new subscription: LOCAL topics that match are delivered from now on.

        Up to ``last`` of their newest messages come first.
        """
        self._context.counters.subscribes += 1
        self._registry.version += 1
        for topic in self._registry.matching(name, pattern=pattern):
            if not topic.local and self._registry.hears_itself(topic):
                topic.local = True
                chunk = topic.buffer.find(max(1, topic.head + 1 - last)) if last else None
                first = max(topic.head + 1 - last, chunk.first) if chunk else topic.head + 1
                position = self._subscriptions.new_position(topic.name, self._context.node)
                position.advance(topic.epoch, first - 1)
                if first <= topic.head:
                    self._replay.fall_behind(self._local.here, topic, first)
        self._replay.run_here()

    def ended(self, name: str, *, pattern: bool) -> None:
        """After a subscription has ended."""
        registry = self._registry
        for topic in registry.matching(name, pattern=pattern):
            if topic.local and not self._subscriptions.wants(topic.name):
                topic.local = False
                self._replay.stop(self._local.here, topic)
        registry.choose_anew(list(registry.remote) if pattern else [name])

    def hosts_changed(self, names: Iterable[str]) -> None:
        """Hosts came or went: a LOCAL topic that stands by is now delivered here, or no longer."""
        registry = self._registry
        standbys = registry.standbys
        for topic in [standbys[name] for name in names if name in standbys]:
            hears = self._subscriptions.wants(topic.name) and registry.hears_itself(topic)
            if hears and not topic.local:
                position = self._subscriptions.new_position(topic.name, self._context.node)
                position.follow(topic.epoch, topic.head)
            elif not hears:
                self._replay.stop(self._local.here, topic)
            topic.local = hears

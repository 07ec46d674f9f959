"""The messages of hosted topics that this node's own subscriptions get."""

from __future__ import annotations

from collections.abc import Sequence

from spot.core.context import NodeContext
from spot.core.data.inbox import Delivery, Inbox
from spot.core.topics.hosted_topic import HostedTopic, Subscriber
from spot.core.topics.interest import Subscriptions
from spot.core.wire.batches import Batch


class LocalInbox:
    """Puts messages of LOCAL topics into the inbox, and accounts for missed ones.

    ``here`` is this node as a subscriber.
    """

    def __init__(
        self, context: NodeContext, subscriptions: Subscriptions, inbox: Inbox, here: Subscriber
    ) -> None:
        self.here = here
        self._context = context
        self._subscriptions = subscriptions
        self._inbox = inbox

    def deliver(
        self,
        topic: HostedTopic,
        first: int,
        count: int,
        size: int,
        *,
        batch: Batch | None = None,
        payloads: Sequence[bytes] = (),
    ) -> None:
        """Delivers messages from a sequence on, as a batch or as payloads."""
        context = self._context
        position = self._subscriptions.new_position(topic.name, context.node)
        context.note_missed(position.advance(topic.epoch, first - 1))
        if topic.name in self._subscriptions.in_doubt:
            doubt = self._subscriptions.stream_goes_on(topic.name, context.node, topic.epoch)
            context.note_missed(doubt)
        missed = position.deliver(first + count - 1)
        self.here.msgs += count
        self.here.size += size
        self._inbox.deliver(
            Delivery(
                topic.name,
                context.node,
                topic.epoch,
                first,
                missed,
                None,
                count,
                size,
                batch=batch,
                payloads=payloads,
            )
        )
        context.effects.progress = True

    def advance(self, topic: HostedTopic, head: int) -> None:
        """Nothing up to this sequence will come any more."""
        position = self._subscriptions.new_position(topic.name, self._context.node)
        self._context.note_missed(position.advance(topic.epoch, head))

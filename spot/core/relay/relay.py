"""A relay: it passes topics, messages and publishes on between peers that have no link.

``Relay`` is the interface that the rest of a node uses. ``ActiveRelay`` implements it. ``NoRelay``
takes its place on a node with ``relay=False``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from spot.core.link import Link
from spot.core.relay.forwarding import PublishForwarding
from spot.core.relay.offered_nodes import Offers
from spot.core.relay.state import RelayedTopic, RelayState
from spot.core.relay.streams import RelayedStreams
from spot.core.topics.announced import RemoteTopic
from spot.core.topics.hosted_topic import Subscriber
from spot.core.wire.batches import Batch, Chunk
from spot.core.wire.codec import Sender


class Relay(Protocol):
    """The interface of a node's relay."""

    @property
    def topics(self) -> Mapping[tuple[str, str], RelayedTopic]:
        """The topics that pass through, by name and host."""

    def renew_offers(self, why: str) -> None:
        """The nodes that can be reached through this one have changed."""

    def renew_topic(self, name: str, node: str) -> None:
        """The announcements of a host's topic have changed."""

    def end_topic(self, source: RemoteTopic, head: int) -> None:
        """The host has ended a topic, with this last sequence."""

    def note_final(self, source: RemoteTopic, head: int) -> None:
        """The host of a topic leaves, with this last sequence."""

    def on_batch(self, topic: RemoteTopic, batch: Batch) -> None:
        """A batch came of a REMOTE topic that peers may follow here."""

    def on_head(self, topic: RemoteTopic, head: int, asked: int) -> None:
        """Nothing up to here will come any more in a REMOTE topic."""

    def follow(self, subscriber: Subscriber, topic: RelayedTopic, epoch: int, last: int) -> None:
        """A peer asks for a topic that passes through."""

    def unfollow(self, subscriber: Subscriber, topic: RelayedTopic) -> None:
        """A peer no longer wants such a topic."""

    def forward(self, link: Link, topic_id: int, sender: Sender, chunk: Chunk) -> Chunk | None:
        """Sends on publishes that came by a link. Returns those for which there is no room now."""

    def confirm(self, sender: Sender, number: int, refused: int) -> None:
        """A host behind this node has dealt with publishes of a publisher behind it."""

    def link_down(self, link: Link) -> None:
        """A link has ended."""


class ActiveRelay:
    """The relay of a node with ``relay=True``."""

    def __init__(
        self,
        state: RelayState,
        streams: RelayedStreams,
        offers: Offers,
        forwarding: PublishForwarding,
    ) -> None:
        self.topics: Mapping[tuple[str, str], RelayedTopic] = state.topics
        self._state = state
        self._offers = offers
        self._forwarding = forwarding
        self.on_batch = streams.on_batch
        self.on_head = streams.on_head
        self.follow = streams.follow
        self.unfollow = streams.unfollow
        self.forward = forwarding.forward
        self.confirm = forwarding.confirm
        self.renew_offers = offers.renew
        self.renew_topic = offers.renew_topic

    def end_topic(self, source: RemoteTopic, head: int) -> None:
        topic = self._state.of(source)
        if topic is not None:
            self._offers.end_topic(topic, head)

    def note_final(self, source: RemoteTopic, head: int) -> None:
        topic = self._state.of(source)
        if topic is not None:
            topic.final = head

    def link_down(self, link: Link) -> None:
        self._offers.link_down(link)
        self._forwarding.link_down(link)


class NoRelay:
    """Passes nothing on."""

    def __init__(self) -> None:
        self.topics: Mapping[tuple[str, str], RelayedTopic] = {}

    def renew_offers(self, why: str) -> None:
        pass

    def renew_topic(self, name: str, node: str) -> None:
        pass

    def end_topic(self, source: RemoteTopic, head: int) -> None:
        pass

    def note_final(self, source: RemoteTopic, head: int) -> None:
        pass

    def on_batch(self, topic: RemoteTopic, batch: Batch) -> None:
        pass

    def on_head(self, topic: RemoteTopic, head: int, asked: int) -> None:
        pass

    def follow(self, subscriber: Subscriber, topic: RelayedTopic, epoch: int, last: int) -> None:
        pass

    def unfollow(self, subscriber: Subscriber, topic: RelayedTopic) -> None:
        pass

    def forward(self, link: Link, topic_id: int, sender: Sender, chunk: Chunk) -> Chunk | None:
        return None

    def confirm(self, sender: Sender, number: int, refused: int) -> None:
        pass

    def link_down(self, link: Link) -> None:
        pass

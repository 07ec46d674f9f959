"""Heartbeats: when this node sends them, and what each of them says."""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.publishers import Publishers
from spot.core.data.subscriber_messages import SubscriberFeeds
from spot.core.link import Link
from spot.core.membership.links import Links
from spot.core.membership.timing import UNHEARD_INTERVALS, next_beat
from spot.core.topics.hosted_topic import Subscriber
from spot.core.wire import codec
from spot.core.wire.codec import Heartbeat

_U32_MAX = 0xFFFFFFFF


class Heartbeats:
    """Sends heartbeats, and reads those of peers."""

    def __init__(
        self,
        context: NodeContext,
        links: Links,
        subscribers: dict[Link, Subscriber],
        feeds: SubscriberFeeds,
        publishers: Publishers,
    ) -> None:
        self._context = context
        self._links = links
        self._subscribers = subscribers
        self._feeds = feeds
        self._publishers = publishers
        self._due = context.now
        self._interval = context.config.heartbeat

    def link_up(self, link: Link, now: float) -> None:
        """A link is up. The end that dialled beats at once."""
        self._interval = min(self._interval, link.interval)
        self._due = min(self._due, now + link.interval)
        if link.is_dialled:
            self.beat(link, now)
        self._context.due(now + self._interval)

    def beat_due(self, now: float) -> None:
        """Sends the beats that are due."""
        if now < self._due:
            return
        links = self._links.by_node.values()
        self._interval = min(
            (link.interval for link in links), default=self._context.config.heartbeat
        )
        self._due = next_beat(now, self._interval)
        for link in links:
            # The end that was dialled only answers, unless there is nothing to answer: no beat
            # came for long, or a large frame is in its way.
            is_unheard = now - link.heard_at > UNHEARD_INTERVALS * link.interval
            is_unasked = now >= link.beat_at + 0.9 * link.interval
            if now >= link.beat_at and (link.is_dialled or is_unheard or is_unasked):
                self.beat(link, now)

    def next_due(self, now: float) -> float:
        """When the next beat is due."""
        return self._due if self._links.by_node else now + self._context.config.heartbeat

    def beat(self, link: Link, now: float) -> None:
        """Sends a heartbeat, with news for the peer about topics and publishes."""
        # Ticks serve all links together: a tick that comes early must not skip this link.
        link.beat_at = now + link.interval * 0.6
        sent = int(now * 1e6)
        held = int((now - link.peer_beat_at) * 1e6) if link.peer_beat else 0
        heard = int((now - link.heard_at) * 1e6)
        beat = Heartbeat(sent, link.peer_beat, min(held, _U32_MAX), min(heard, _U32_MAX))
        record = codec.encode_heartbeat(beat) + self._publishers.news(link)
        self._context.effects.control(link, record)
        link.control += self._feeds.changed_heads(self._subscribers[link])

    def on_heartbeat(self, link: Link, beat: Heartbeat, now: float) -> None:
        """A peer beats. If the peer dialled, it gets an answer at once."""
        link.peer_beat = beat.sent
        link.peer_beat_at = now
        if not link.is_dialled:
            self.beat(link, now)
        if beat.echo:
            link.rtt = max(0.0, now - (beat.echo + beat.held) / 1e6)

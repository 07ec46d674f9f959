"""The topics that this node hosts: who wants them, and who gets which message.

Who wants a topic is fed: *live*, when each batch goes into its queue as it is made, or from
history, while it catches up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spot.core.data.replay import CatchUp
from spot.core.data.replay_buffer import PLAIN_MSGS, History
from spot.core.link import Link
from spot.core.topics.interest import PATTERN, POSITION, InterestEntry
from spot.core.topics.registry import HostedTopic
from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk

ROOM_MAX = 1 << 30
HEADS_MAX = 2048
"""In one record, so that a peer with many topics has no long turn of it."""


class Hosting(CatchUp):
    """Publishes to LOCAL topics, and feeds those who want them."""

    # Topics

    def host(
        self,
        name: str,
        epoch: int,
        links: list[Link],
        history_bytes: int,
        *,
        standby: bool = False,
    ) -> HostedTopic:
        """Hosts a topic, for those of the links, and this node, that want it already."""
        topic = self.registry.create(name, epoch, standby=standby)
        topic.history = History(min(history_bytes, self.shelf.limit), topic, self.shelf)
        topic.local = self.subscriptions.wants(name) and self.registry.hears_itself(topic)
        if topic.local:
            self._note_missed(self._position(name, self.node).advance(epoch, 0))
        for link in links:
            if link.out:
                link.behind.add(topic)
            if link.interest.wants(name):
                self._admit(link, topic)
                topic.live.append(link)
                self._tell_head(link, topic, 0)
        topic.fit_chunks(CHUNK_MSGS)
        return topic

    def end(self, topic: HostedTopic, record: bytes, links: list[Link]) -> None:
        """Ends a topic. What was published before goes out before the news of the end."""
        for subscriber in list(topic.lacking):
            if not subscriber.aside:
                self._hurry(subscriber, topic)
        for link in links:
            link.queue_record(record)
            link.ending.add(topic.name)
            self.effects.touched[link] = None
        for link in topic.links:
            link.feeds.discard(topic)
            link.changed.discard(topic)
        for subscriber in list(topic.lacking):
            self._has_all(subscriber, topic)
        if topic.local:
            position = self.subscriptions.position(topic.name, self.node)
            if position is not None:
                self._note_missed(position.finish(topic.head))
        self.shelf.forget(topic.history)
        self.registry.destroy(topic)

    # Publishing

    def room(self, topic: HostedTopic) -> int:
        """How many messages can be published before a subscriber's queue is full."""
        room = ROOM_MAX
        for link in topic.links:
            if link.out_msgs and not link.aside:
                room = min(room, link.room(self.sndhwm))
        if topic.links:
            room = min(room, self.sndhwm)
        if topic.local and not self.here.aside:
            room = min(room, self.here.room(self.rcvhwm))
        if topic.lacking and topic.history.size > topic.history.limit:
            return 0
        return room

    def publish(self, topic: HostedTopic, payloads: Sequence[bytes]) -> None:
        """Orders messages and queues them for all subscribers, in batches."""
        for batch in batches.cut(payloads, topic.chunk_msgs):
            first = topic.head + 1
            topic.head += len(batch)
            if topic.local:
                self._publish_here(topic, first, batch)
            history = topic.history
            chunk: Chunk | None = None
            if topic.live:
                chunk = batches.encoded(codec.DATA, topic.topic_id, first, batch)
                self._send_live(topic, chunk)
            if len(batch) <= PLAIN_MSGS and not topic.lacking:
                size = sum(map(len, batch))
                if history.takes_plain(batch, size):
                    history.add_plain(first, batch, size)
                    if history.size > history.limit or self.shelf.size > self.shelf.limit:
                        self._make_room(history)
                    continue
            if history.limit or topic.lacking:
                if chunk is None:
                    chunk = batches.encoded(codec.DATA, topic.topic_id, first, batch)
                self._keep(topic, chunk)

    def _send_live(self, topic: HostedTopic, chunk: Chunk) -> None:
        behind: list[Link] = []
        for link in topic.live:
            if link.aside or (topic.is_relayed and link.room(self.sndhwm) < chunk.count):
                behind.append(link)
            elif chunk.large is not None and chunk.size > link.bytes_max:
                self._too_large(link, topic, chunk)
            else:
                link.queue(chunk)
                link.changed.add(topic)
                self.effects.touched[link] = None
        for link in behind:
            topic.live.remove(link)
            self._falls_behind(link, topic, chunk.first)

    def _publish_here(self, topic: HostedTopic, first: int, batch: Sequence[bytes]) -> None:
        here = self.here
        if topic in here.lacks:
            return
        if here.aside:
            self._falls_behind(here, topic, first)
            return
        size = sum(map(len, batch))
        self._deliver_here(topic, first, len(batch), size, payloads=batch)

    # What peers want

    def on_interest(self, link: Link, entries: list[InterestEntry]) -> None:
        link.asked += 1
        found: list[tuple[HostedTopic, int, int]] = []
        patterns: dict[str, int] = {}
        for kind, epoch, last, name in entries:
            topic = self.registry.local.get(name)
            if kind == POSITION:
                if topic is not None:
                    self._on_position(link, topic, epoch, last)
            elif link.interest.add(name, pattern=kind == PATTERN):
                if kind == PATTERN:
                    patterns[name] = last
                elif topic is not None:
                    found.append((topic, epoch, last))
        for topic, matching in self.registry.matched(patterns):
            last = max(patterns[text] for text in matching)
            found.append((topic, *link.positions.pop(topic, (0, last))))
        for topic, epoch, last in found:
            if topic in link.follows:
                self._tell_begin(link, topic, self._feed_again(link, topic, epoch, last))
            elif topic not in link.feeds:
                start = self._begin(link, topic, epoch, last)
                if topic in link.behind:
                    self._tell_head(link, topic, start)
                    self._tell_begin(link, topic, start)
                else:
                    # A link without credit must not put off that the subscription is in force.
                    head = codec.encode_head(topic.topic_id, start, link.asked)
                    self.effects.control(link, head)

    def _tell_begin(self, link: Link, topic: HostedTopic, start: int) -> None:
        """The HEAD waits for credit, and the link may end meanwhile: this overtakes it."""
        record = codec.encode_begin(topic.epoch, start, link.asked, topic.name)
        self.effects.control(link, record)

    def _admit(self, link: Link, topic: HostedTopic) -> None:
        link.feeds.add(topic)
        topic.links.append(link)

    def _begin(self, link: Link, topic: HostedTopic, epoch: int, last: int) -> int:
        """Feeds a topic from a position on. Returns the sequence before the first that will come.

        A position beyond the newest message is none that this host has told: the feed is live. One
        of another epoch has nothing of this one.
        """
        self._admit(link, topic)
        topic.fit_chunks(CHUNK_MSGS)
        head = topic.head
        if epoch == topic.epoch:
            first = min(last, head) + 1
        elif epoch:
            first = 1
        else:
            first = max(1, head + 1 - last)
        chunk = topic.history.find(first)
        start = head + 1 if chunk is None else max(first, chunk.first)
        if epoch:
            self.counters.dropped_msgs += start - first
        if start > head:
            topic.live.append(link)
        else:
            self._falls_behind(link, topic, start)
            self.effects.touched[link] = None
        return start - 1

    def _feed_again(self, link: Link, topic: HostedTopic, epoch: int, last: int) -> int:
        """Somebody else behind the link wants a topic that it is fed: at the latest from there.
        Returns the sequence before.
        """
        at = link.lacks.get(topic, topic.head + 1)
        first = at
        if epoch == topic.epoch:
            first = last + 1
        elif epoch:
            first = 1
        elif last:
            first = max(1, topic.head + 1 - last)
            chunk = topic.history.find(first)
            first = at if chunk is None else max(first, chunk.first)
        if first < at:
            if link in topic.live:
                topic.live.remove(link)
            self._falls_behind(link, topic, first)
            at = first
        if link not in topic.untold:
            self._tell_head(link, topic, at - 1)
        self.effects.touched[link] = None
        return at - 1

    def _on_position(self, link: Link, topic: HostedTopic, epoch: int, last: int) -> None:
        """The position reached in a topic: for a pattern that follows, or to be replayed from."""
        if topic not in link.feeds:
            link.positions[topic] = (epoch, last)
        elif epoch == topic.epoch and last < topic.head and link in topic.live and not link.out:
            topic.live.remove(link)
            self._falls_behind(link, topic, last + 1)
            self.effects.touched[link] = None

    def on_interest_gone(self, link: Link, entries: list[InterestEntry]) -> None:
        ended: dict[HostedTopic, None] = {}
        for entry in entries:
            pattern = entry.kind == PATTERN
            link.interest.remove(entry.name, pattern=pattern)
            for topic in self.registry.matching(entry.name, pattern=pattern):
                if topic in link.feeds and not self._wants(link, topic):
                    ended[topic] = None
        if ended:
            self._starve(link, ended)

    @staticmethod
    def _wants(link: Link, topic: HostedTopic) -> bool:
        return topic in link.follows or (not topic.is_relayed and link.interest.wants(topic.name))

    def _starve(self, link: Link, topics: Iterable[HostedTopic]) -> None:
        if link.out:
            # Else the HEAD of a new subscription would wait for credit behind it.
            link.drop({topic.topic_id for topic in topics})
            self.effects.touched[link] = None
            self.effects.progress = True
        for topic in topics:
            link.feeds.discard(topic)
            link.changed.discard(topic)
            link.positions.pop(topic, None)
            topic.untold.discard(link)
            topic.links.remove(link)
            self._leave_feed(link, topic)
            topic.fit_chunks(CHUNK_MSGS)

    def _leave_feed(self, link: Link, topic: HostedTopic) -> None:
        if topic in link.lacks:
            self._has_all(link, topic)
        else:
            topic.live.remove(link)

    def stop_feeding(self, link: Link) -> None:
        """The link has ended."""
        link.aside_told = False
        for topic in link.feeds:
            topic.links.remove(link)
            topic.untold.discard(link)
            self._leave_feed(link, topic)
            topic.fit_chunks(CHUNK_MSGS)
        link.feeds.clear()
        link.behind.clear()
        link.changed.clear()
        link.positions.clear()

    def changed_heads(self, link: Link) -> list[bytes]:
        """HEADS of what went out since they were last told; none while something waits."""
        if not link.changed or link.out:
            return []
        heads = [(topic.topic_id, topic.head) for topic in link.changed if topic not in link.lacks]
        link.changed.clear()
        step = HEADS_MAX
        return [codec.encode_heads(heads[at : at + step]) for at in range(0, len(heads), step)]

    # This node's own subscriptions

    def subscribed_here(self, name: str, *, pattern: bool, last: int) -> None:
        """After a new subscription: LOCAL topics that match are delivered from now on."""
        self.counters.subscribes += 1
        self.registry.version += 1
        for topic in self.registry.matching(name, pattern=pattern):
            if not topic.local and self.registry.hears_itself(topic):
                topic.local = True
                chunk = topic.history.find(max(1, topic.head + 1 - last)) if last else None
                first = max(topic.head + 1 - last, chunk.first) if chunk else topic.head + 1
                self._position(topic.name, self.node).advance(topic.epoch, first - 1)
                if first <= topic.head:
                    self._falls_behind(self.here, topic, first)
        self.replay_here()

    def hear_standbys(self, names: Iterable[str]) -> None:
        """Hosts came or went: subscriptions here get LOCAL topics that stand by, or no longer."""
        standbys = self.registry.standbys
        for topic in [standbys[name] for name in names if name in standbys]:
            hears = self.subscriptions.wants(topic.name) and self.registry.hears_itself(topic)
            if hears and not topic.local:
                self._position(topic.name, self.node).follow(topic.epoch, topic.head)
            elif not hears:
                self._has_all(self.here, topic)
            topic.local = hears

    def unsubscribed_here(self, name: str, *, pattern: bool) -> None:
        for topic in self.registry.matching(name, pattern=pattern):
            if topic.local and not self.subscriptions.wants(topic.name):
                topic.local = False
                self._has_all(self.here, topic)
        self.registry.choose_anew(list(self.registry.remote) if pattern else [name])

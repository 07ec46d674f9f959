"""Topics of nodes behind relays: following them, and, at a relay, passing them on.

Who wants a topic that is announced through a relay *follows* it there, by its number and from a
position; a relay follows at its own source what somebody follows at it, and nothing else. What
arrives goes into a history of the relay, and its credit goes back at once, whatever those behind
it do. Who lacks what that history does not hold makes the relay *fetch* it from its source, a
piece at a time, beside the live stream; only what the host does not hold either is missed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from spot.core import batches, codec
from spot.core.batches import Batch, Chunk
from spot.core.catchup import Subscriber
from spot.core.codec import ProtocolError, Sender
from spot.core.greeting import Incarnation, encode_node_gone
from spot.core.history import History
from spot.core.link import CHUNK_MSGS, Link, chunk_msgs
from spot.core.publishing import PUBLISHERS_MAX
from spot.core.registry import HostedTopic, Relayed, RemoteTopic, Way
from spot.core.together import Together

LISTED = 1024
FETCH_BYTES = 256 * 1024


class Relaying(Together):
    """The data side of a node, with what goes through it. ``relays`` says whether it is a relay."""

    relays = False
    history_bytes = 0

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        # By node: the way that is offered to others, and where publishes of a node came from.
        self.best: dict[str, Way] = {}
        self.returns: OrderedDict[str, Link] = OrderedDict()

    # Following

    def resteer(self, name: str, node: str) -> None:
        if self.relays:
            self._renew_relayed(name, node)
        ways = list(self.registry.ways.get((name, node), {}).values())
        was_followed = any(topic.followed and topic.way.path for topic in ways)
        for topic in ways:
            self.follow(topic)
        if was_followed:
            self._go_over(name, node)
        self.steer_publishes(node)

    def _go_over(self, name: str, node: str) -> None:
        """Takes a topic from its host itself, from where the way through a relay ended.

        The INTEREST of the new link may have gone out before that way had begun.
        """
        topic = self.registry.active(name, node)
        position = self.subscriptions.position(name, node)
        if topic is None or topic.link is None or topic.way.path:
            return
        if position is not None and position.epoch == topic.epoch and self._is_listened(topic):
            at = (position.epoch, position.last)
            record = codec.encode_follow(codec.FOLLOW, topic.topic_id, *at)
            if not topic.followed:
                # INTEREST keeps it coming.
                record += codec.encode_follow(codec.UNFOLLOW, topic.topic_id)
            self.ask(topic.link, record)
            topic.asked = topic.link.asks

    def follow(self, topic: RemoteTopic) -> None:
        """Asks a topic's source for it, if somebody wants it, or no longer."""
        link = topic.link
        assert link is not None
        relayed = self.registry.relayed.get((topic.name, topic.node))
        passing = relayed is not None and relayed.is_wanted and relayed.source is topic
        listening = bool(topic.way.path) and self._is_active(topic) and self._is_wanted(topic)
        if not passing and not listening:
            self._unfollow(topic)
            return
        if topic.followed:
            return
        topic.followed = True
        at = (0, 0)
        if passing:
            assert relayed is not None
            at = (relayed.epoch, relayed.head) if relayed.is_begun else (0, 0)
        if listening:
            own = self.subscriptions.reached(topic.name, topic.node)
            if not passing or (own[0] == topic.epoch and own[1] < at[1]):
                at = own
        link.awaiting.add(topic)
        self.ask(link, codec.encode_follow(codec.FOLLOW, topic.topic_id, *at))
        if passing:
            assert relayed is not None
            relayed.asked = link.asks
        if listening:
            topic.asked = link.asks

    def listen(self, topic: RemoteTopic) -> None:
        """This node has a new subscription to a topic behind a relay."""
        link = topic.link
        if link is None or not topic.way.path:
            return
        if not topic.followed:
            self.follow(topic)
            return
        at = self.subscriptions.reached(topic.name, topic.node)
        link.awaiting.add(topic)
        self.ask(link, codec.encode_follow(codec.FOLLOW, topic.topic_id, *at))
        topic.asked = link.asks

    def _unfollow(self, topic: RemoteTopic) -> None:
        if topic.followed:
            topic.followed = False
            if topic.link is not None:
                topic.link.awaiting.discard(topic)
                record = codec.encode_follow(codec.UNFOLLOW, topic.topic_id)
                self.effects.control(topic.link, record)

    def ask_again(self, topic: RemoteTopic, head: int) -> None:
        relayed = self.registry.relayed.get((topic.name, topic.node))
        position = self.subscriptions.position(topic.name, topic.node)
        lasts = []
        if relayed is not None and relayed.is_begun and relayed.head < head:
            lasts.append(relayed.head)
        if position is not None and position.epoch == topic.epoch and position.last < head:
            lasts.append(position.last)
        if lasts and topic.link is not None:
            at = (topic.epoch, min(lasts))
            self.ask(topic.link, codec.encode_follow(codec.FOLLOW, topic.topic_id, *at))

    # What others follow here

    def _known(self, topic_id: int) -> HostedTopic | None:
        registry = self.registry
        return registry.local_by_id.get(topic_id) or registry.relayed_by_id.get(topic_id)

    def on_follow(self, link: Link, topic_id: int, epoch: int, last: int) -> None:
        link.asked += 1
        topic = self._known(topic_id)
        if topic is None:
            # It has ended, and the news is on its way.
            return
        link.follows.add(topic)
        if isinstance(topic, Relayed) and not topic.is_begun:
            source = topic.source
            first = not topic.pending
            before = topic.pending.get(link, (0, 0))
            if before[0] == epoch and epoch:
                last = min(last, before[1])
            if before == (0, 0) or epoch:
                # Several wishes of one link become one, from where the first of them begins.
                topic.pending[link] = (epoch, last)
            if not source.followed:
                self.follow(source)
            elif first and source.link is not None:
                # This node listens to it already: where is the stream?
                self.ask(source.link, codec.encode_follow(codec.FOLLOW, source.topic_id))
                topic.asked = source.link.asks
        else:
            self._feed(link, topic, epoch, last)

    def _feed(self, link: Link, topic: HostedTopic, epoch: int, last: int) -> None:
        if topic not in link.feeds:
            if isinstance(topic, Relayed):
                at = self._begin_relayed(link, topic, epoch, last)
            else:
                at = self._begin(link, topic, epoch, last)
            if link not in topic.untold:
                self._tell_head(link, topic, at)
            return
        self._feed_again(link, topic, epoch, last)

    def _begin_relayed(self, link: Link, topic: Relayed, epoch: int, last: int) -> int:
        """Feeds a topic from a position on, also from before what the relay holds."""
        self._admit(link, topic)
        topic.fit_chunks(CHUNK_MSGS)
        head = topic.head
        if epoch == topic.epoch:
            first = min(last, head) + 1
        elif epoch:
            first = 1
        else:
            first = max(1, head + 1 - last)
            if first <= head:
                # Where that begins is known when it comes.
                topic.untold.add(link)
        if first > head:
            topic.live.append(link)
        else:
            self._falls_behind(link, topic, first)
            self.effects.touched[link] = None
        return first - 1

    def on_unfollow(self, link: Link, topic_id: int) -> None:
        topic = self._known(topic_id)
        if topic is None or topic not in link.follows:
            return
        link.follows.discard(topic)
        if topic in link.feeds and not self._wants(link, topic):
            self._starve(link, (topic,))
        if isinstance(topic, Relayed):
            topic.pending.pop(link, None)
            topic.asking.pop(link, None)
            self._no_longer(topic)

    def _no_longer(self, topic: Relayed) -> None:
        """Somebody does not want a topic any more; perhaps nobody does."""
        if not topic.is_wanted:
            self.shelf.forget(topic.history)
            topic.forget()
            if topic.source.link is not None:
                self.follow(topic.source)

    def stop_feeding(self, link: Link) -> None:
        follows = list(link.follows)
        link.follows.clear()
        super().stop_feeding(link)
        for topic in follows:
            if isinstance(topic, Relayed):
                topic.pending.pop(link, None)
                topic.asking.pop(link, None)
                self._no_longer(topic)

    # Relayed topics

    def _renew_relayed(self, name: str, node: str) -> None:
        """A topic is passed on from the way that its host is offered by, so that no circle of
        relays can keep alive what has ended.
        """
        relayed = self.registry.relayed.get((name, node))
        best = self.best.get(node)
        source = None
        if best is not None:
            source = self.registry.ways.get((name, node), {}).get(best.link)
        if relayed is not None and (source is None or source.epoch != relayed.epoch):
            self.end_relayed(relayed, None)
            relayed = None
        if source is None:
            return
        if relayed is None:
            self._pass_on_topic(source)
        elif relayed.source is not source:
            before = relayed.source
            relayed.source = source
            relayed.is_fetching = False
            if before.link is not None:
                self.follow(before)
            self.follow(source)

    def _pass_on_topic(self, source: RemoteTopic) -> None:
        registry = self.registry
        topic = Relayed(registry.next_id, source)
        registry.next_id += 1
        topic.history = History(min(self.history_bytes, self.shelf.limit), topic, self.shelf)
        registry.relayed[topic.name, topic.node] = topic
        registry.relayed_by_id[topic.topic_id] = topic
        for link in self.links():
            if topic.node in link.offered:
                link.queue_record(codec.encode_topics((self.entry_of(topic),), complete=False))
                self.effects.touched[link] = None

    def links(self) -> list[Link]:
        """All links that are up."""
        return [way.link for ways in self.ways.values() for way in ways.values() if not way.path]

    @staticmethod
    def entry_of(topic: Relayed) -> codec.TopicEntry:
        return codec.TopicEntry(
            topic.topic_id, topic.epoch, topic.head, topic.name, topic.standby, topic.node
        )

    def end_relayed(self, topic: Relayed, head: int | None) -> None:
        """A topic is passed on no longer. ``head`` is its last sequence, None if nobody knows.

        What is held here goes out before the news.
        """
        self._hurry_all(topic)
        record = codec.encode_gone(topic.topic_id, codec.EVERYTHING if head is None else head)
        for link in self.links():
            if topic.node in link.offered:
                link.queue_record(record)
                self.effects.touched[link] = None
            link.follows.discard(topic)
        for link in topic.links:
            link.feeds.discard(topic)
            link.changed.discard(topic)
            link.positions.pop(topic, None)
        for subscriber in list(topic.lacking):
            self._has_all(subscriber, topic)
        topic.links.clear()
        topic.live.clear()
        topic.pending.clear()
        topic.asking.clear()
        self.shelf.forget(topic.history)
        del self.registry.relayed[topic.name, topic.node]
        del self.registry.relayed_by_id[topic.topic_id]

    def _hurry_all(self, topic: Relayed) -> None:
        for subscriber in list(topic.lacking):
            if not subscriber.aside:
                self._hurry_held(subscriber, topic)

    def _hurry_held(self, subscriber: Subscriber, topic: Relayed) -> None:
        while True:
            at = subscriber.lacks[topic]
            chunk = topic.history.find(at)
            if chunk is None or chunk.first > at or self._room_of(subscriber) < chunk.count:
                return
            if subscriber in topic.untold:
                topic.untold.discard(subscriber)
                self._tell_lost(subscriber, topic, at - 1)
            piece = chunk.part(at, self._most(subscriber))
            self._put(subscriber, topic, piece)
            subscriber.lacks[topic] = piece.last + 1

    # Nodes that this one offers to others

    def renew_offers(self, why: str) -> None:
        """Tells peers of the nodes that they can reach through this one, and of changes."""
        if not self.relays:
            return
        links = self.links()
        offered = {node for link in links for node in link.offered}
        for node in {*offered, *self.ways}:
            self._offer(node, links, why)

    def _offer(self, node: str, links: list[Link], why: str) -> None:
        before_best = self.best.get(node)
        best = self._best_way(node, before_best)
        if best is not None and best is not before_best:
            self.best[node] = best
            for name, host in list(self.registry.ways):
                if host == node:
                    self._renew_relayed(name, node)
        topics = [topic for topic in self.registry.relayed.values() if topic.node == node]
        if best is None:
            self.best.pop(node, None)
            for topic in topics:
                self._hurry_all(topic)
        heads = {topic.topic_id: topic.final for topic in topics if topic.final is not None}
        for link in links:
            before = link.offered.get(node)
            entry = None
            if best is not None and best.link is not link:
                entry = self._entry_for(link, best)
            if entry == before:
                continue
            self.effects.touched[link] = None
            if before is not None and (entry is None or entry[1:3] != before[1:3]):
                del link.offered[node]
                link.queue_record(encode_node_gone(node, why, heads))
                for topic in topics:
                    self._drop_follower(link, topic)
                before = None
            if entry is None:
                continue
            link.offered[node] = entry
            if before is None:
                link.queue_record(codec.encode_node(entry._replace(complete=False)))
                known = [self.entry_of(topic) for topic in topics]
                for at in range(0, len(known), LISTED):
                    link.queue_record(codec.encode_topics(known[at : at + LISTED], complete=False))
            link.queue_record(codec.encode_node(entry))

    def _entry_for(self, link: Link, way: Way) -> codec.NodeEntry | None:
        """What a peer is offered, if it is not on that way itself."""
        if link.node == way.node or link.node in way.path or len(way.path) >= codec.RELAYS_MAX:
            return None
        life = way.incarnation
        size = min(way.bytes_max, self.bytes_max)
        path = (self.node, *way.path)
        return codec.NodeEntry(way.node, life.started, life.random, size, path, complete=True)

    def _drop_follower(self, link: Link, topic: Relayed) -> None:
        link.follows.discard(topic)
        if topic in link.feeds:
            self._starve(link, (topic,))
        topic.pending.pop(link, None)
        topic.asking.pop(link, None)
        self._no_longer(topic)

    # What comes

    def _taking(self, source: RemoteTopic) -> Relayed | None:
        topic = self.registry.relayed.get((source.name, source.node))
        if topic is None or topic.source is not source or not source.followed:
            return None
        return topic

    def relay(self, source: RemoteTopic, batch: Batch) -> None:
        topic = self._taking(source)
        if topic is None or not topic.is_begun or topic.asked or not topic.is_wanted:
            return
        last = batch.first + batch.msgs - 1
        if last <= topic.head:
            return
        data = batches.record_of(
            batch, codec.DATA if batch.large is None else codec.DATA_LARGE, topic.topic_id
        )
        chunk = Chunk(data, batch.msgs, batch.payload_bytes, batch.large, batch.first)
        if batch.first > topic.head + 1:
            self._skip(topic, batch.first - 1)
        at = topic.head + 1
        while at <= last:
            piece = chunk.part(at, topic.chunk_msgs)
            topic.head = piece.last
            self._send_live(topic, piece)
            self._keep(topic, piece)
            at = piece.last + 1

    def relay_head(self, source: RemoteTopic, head: int, asked: int) -> None:
        topic = self._taking(source)
        if topic is None or not topic.is_wanted or asked < topic.asked:
            return
        topic.asked = 0
        if topic.is_begun:
            if head > topic.head:
                self._skip(topic, head)
            return
        topic.is_begun = True
        topic.head = head
        pending, topic.pending = topic.pending, {}
        for link, (epoch, last) in pending.items():
            self._feed(link, topic, epoch, last)

    def _skip(self, topic: Relayed, head: int) -> None:
        """The source does not have what is between."""
        topic.head = head
        for link in topic.live:
            self.counters.dropped_msgs += 1
            self._tell_head(link, topic, head)

    # Fetching

    def find_again(
        self, subscriber: Subscriber, topic: Relayed, at: int, after: Chunk | None
    ) -> Chunk | None:
        for chunk in topic.again:
            if chunk.first <= at <= chunk.last:
                return chunk
        end = topic.head if after is None else after.first - 1
        if at <= topic.gone:
            last = min(topic.gone, end)
            if subscriber in topic.untold:
                subscriber.lacks[topic] = last + 1
            else:
                self._lose(subscriber, topic, last)
        elif self._takes(subscriber, 1):
            self._fetch(topic, at, end)
        return None

    def _fetch(self, topic: Relayed, first: int, last: int) -> None:
        link = topic.source.link
        if topic.is_fetching or link is None:
            return
        topic.is_fetching = True
        topic.again.clear()
        record = codec.encode_fetch(codec.FETCH, topic.source.topic_id, first, last)
        self.effects.control(link, record)

    def on_fetch(self, link: Link, topic_id: int, first: int, last: int) -> None:
        topic = self._known(topic_id)
        if topic is None:
            return
        gone = 0
        at = first
        size = 0
        while at <= last and size < FETCH_BYTES:
            chunk = topic.history.find(at)
            if isinstance(topic, Relayed) and (chunk is None or chunk.first > at):
                chunk = next((c for c in topic.again if c.first <= at <= c.last), chunk)
                if (chunk is None or chunk.first > at) and at > topic.gone:
                    if size:
                        break
                    topic.asking[link] = (first, last)
                    self._fetch(topic, at, last)
                    return
            if chunk is None or chunk.first > at:
                if size == 0:
                    gone = last if chunk is None else min(last, chunk.first - 1)
                    if isinstance(topic, Relayed):
                        gone = min(gone, topic.gone)
                break
            room = link.room(self.sndhwm)
            if not room:
                # The rest is asked for when this has gone.
                break
            piece = chunk.part(at, min(self._most(link), room, last + 1 - at))
            if piece.large is not None and piece.size > link.bytes_max:
                if size == 0:
                    gone = piece.last
                break
            kind = codec.AGAIN if piece.large is None else codec.AGAIN_LARGE
            data = codec.with_kind(piece.data, kind)
            link.queue(Chunk(data, piece.count, piece.size, piece.large, piece.first))
            size += len(data) + piece.size
            at = piece.last + 1
        self.counters.replayed_msgs += at - first
        link.queue_record(codec.encode_fetch(codec.FETCHED, topic_id, gone, 0))
        self.effects.touched[link] = None

    def on_again(self, link: Link, batch: Batch) -> None:
        size = self._charge(link, batch)
        source = link.topics.get(batch.topic_id)
        topic = self._taking(source) if source is not None else None
        if topic is not None and topic.is_fetching:
            kind = codec.DATA if batch.large is None else codec.DATA_LARGE
            data = batches.record_of(batch, kind, topic.topic_id)
            topic.again.append(Chunk(data, batch.msgs, size, batch.large, batch.first))
        self.consumed(link, link, batch.msgs, size)

    def on_fetched(self, link: Link, topic_id: int, gone: int) -> None:
        source = link.topics.get(topic_id)
        topic = self._taking(source) if source is not None else None
        if topic is None or not topic.is_fetching:
            return
        topic.is_fetching = False
        if gone > topic.head:
            raise ProtocolError(f"messages up to {gone} are gone, {topic.head} were told of")
        topic.gone = max(topic.gone, gone)
        for subscriber in topic.lacking:
            # Who waited for this goes on at once, not with the next heartbeat.
            if isinstance(subscriber, Link):
                self.effects.touched[subscriber] = None
        asking, topic.asking = topic.asking, {}
        for each, (first, last) in asking.items():
            self.on_fetch(each, topic.topic_id, first, last)

    # Publishes that go through

    def pass_on(
        self, link: Link, topic_id: int, sender: Sender | None, chunk: Chunk
    ) -> Chunk | None:
        assert sender is not None
        way = self.best.get(sender.host)
        life = Incarnation(sender.host_started, sender.host_random)
        if way is None or way.link is link or way.incarnation != life:
            # The publisher was offered another way before, hears that, and sends it again.
            return None
        self._remember(sender.node, link)
        relayed = self.registry.relayed_by_id.get(topic_id)
        number = self._number_on(way, relayed.name) if relayed is not None else None
        most = chunk_msgs(way.link.window_msgs)
        first = chunk.first
        while first <= chunk.last:
            room = way.link.publishes.room(self.sndhwm)
            if not room:
                return chunk.part(first, chunk.count)
            piece = chunk.part(first, min(most, room))
            data = codec.forwarded(sender, codec.with_topic(piece.data, number or 0))
            way.link.publishes.queue(Chunk(data, piece.count, piece.size, piece.large, first))
            self.effects.touched[way.link] = None
            first = piece.last + 1
        return None

    def _remember(self, node: str, link: Link) -> None:
        self.returns[node] = link
        self.returns.move_to_end(node)
        if len(self.returns) > PUBLISHERS_MAX:
            self.returns.popitem(last=False)

    def pass_back(self, sender: Sender, number: int, refused: int) -> None:
        """CONFIRMED, towards its publisher; it is this node, or behind the way that it came."""
        if sender.node == self.node:
            self.on_confirmed(sender, number, refused)
            return
        link = self.returns.get(sender.node)
        if link is not None and link.is_up:
            self.effects.control(link, codec.encode_confirmed(sender, number, refused))

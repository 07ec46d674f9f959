"""Following topics of nodes behind relays: what this node asks for there, and what others ask here.

Who wants a topic that is announced through a relay *follows* it there, by its number and from a
position; a relay follows at its own source what somebody follows at it, and nothing else.
"""

from __future__ import annotations

from spot.core import codec
from spot.core.batches import CHUNK_MSGS
from spot.core.link import Link
from spot.core.registry import HostedTopic, Relayed, RemoteTopic
from spot.core.together import Together


class Following(Together):
    """Asks relays for what is wanted, and begins the streams that others ask for."""

    # Following

    def resteer(self, name: str, node: str) -> None:
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

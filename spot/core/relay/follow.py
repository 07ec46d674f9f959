"""Following topics of nodes behind relays: what this node asks for there, and what others ask here.

Who wants a topic that is announced through a relay *follows* it there, by its number and from a
position; a relay follows at its own source what somebody follows at it, and nothing else.
"""

from __future__ import annotations

from spot.core.data.multi_topic import Together
from spot.core.link import Link
from spot.core.topics.registry import HostedTopic, Relayed, RemoteTopic
from spot.core.wire import codec
from spot.core.wire.batches import CHUNK_MSGS

Wish = tuple[int, int]
"""Epoch and sequence from where on a topic is wanted, as FOLLOW says it."""


def _first(epoch: int, *wishes: Wish) -> Wish:
    """The wish for which most comes of an epoch of a topic.

    Where its n newest begin nobody knows before the answer: it is taken to be near the end.
    """

    def begin(wish: Wish) -> tuple[int, int]:
        was, last = wish
        if was == epoch:
            return last, 0
        if was or last == codec.EVERYTHING:
            return 0, 0
        return codec.EVERYTHING, -last

    return min(wishes, key=begin)


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
        """Asks a topic's source for it, if somebody wants it who did not, or no longer."""
        link = topic.link
        assert link is not None
        relayed = self.registry.relayed.get((topic.name, topic.node))
        passing = relayed is not None and relayed.is_wanted and relayed.source is topic
        listening = bool(topic.way.path) and self._is_active(topic) and self._is_wanted(topic)
        was_followed = topic.followed
        wishes = []
        if listening and not topic.for_here:
            wishes.append(self.subscriptions.reached(topic.name, topic.node))
            topic.asked = link.asks + 1
        if relayed is not None and passing and not topic.for_others:
            wishes.append((relayed.epoch, relayed.head) if relayed.is_begun else (0, 0))
            relayed.asked = link.asks + 1
        topic.for_here = listening
        topic.for_others = passing
        if wishes:
            link.awaiting.add(topic)
            at = _first(topic.epoch, *wishes)
            self.ask(link, codec.encode_follow(codec.FOLLOW, topic.topic_id, *at))
        elif was_followed and not topic.followed:
            link.awaiting.discard(topic)
            self.effects.control(link, codec.encode_follow(codec.UNFOLLOW, topic.topic_id))

    def listen(self, topic: RemoteTopic) -> None:
        """This node has a new subscription to a topic behind a relay."""
        if topic.link is not None and topic.way.path:
            topic.for_here = False
            self.follow(topic)

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
            # Several wishes of one link become one, from where the first of them begins.
            before = topic.pending.get(link, (0, 0))
            topic.pending[link] = _first(topic.epoch, before, (epoch, last))
            if first and source.link is not None:
                # Also if it is followed already: where is the stream?
                source.for_others = False
                self.follow(source)
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

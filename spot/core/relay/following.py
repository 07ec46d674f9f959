"""Following topics of nodes behind relays: the requests of this node to relays.

A node that wants a topic that is announced through a relay *follows* it there, by its number and
from a position. A relay follows at its own source the topics that its peers follow at the relay,
and no others.
"""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.link import Link
from spot.core.relay.state import RelayState, Wish
from spot.core.topics.announced import Announced, RemoteTopic
from spot.core.topics.interest import Subscriptions
from spot.core.topics.registry import Registry
from spot.core.topics.topic_sources import Listening
from spot.core.wire import codec


def first_wish(epoch: int, *wishes: Wish) -> Wish:
    """The wish that gets the most messages of an epoch of a topic.

    Only the answer tells where the newest n begin. They are assumed to be near the end.
    """

    def begin(wish: Wish) -> tuple[int, int]:
        was, last = wish
        if was == epoch:
            return last, 0
        if was or last == codec.EVERYTHING:
            return 0, 0
        return codec.EVERYTHING, -last

    return min(wishes, key=begin)


class Follow:
    """Asks relays for the topics that this node, or a peer behind it, wants."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        subscriptions: Subscriptions,
        listening: Listening,
        announced: dict[Link, Announced],
        relayed: RelayState,
    ) -> None:
        self._context = context
        self._registry = registry
        self._subscriptions = subscriptions
        self._listening = listening
        self._announced = announced
        self._relayed = relayed

    def renew(self, topic: RemoteTopic) -> None:
        """Follows a topic at its source if it has become wanted here, or stops following it."""
        link = topic.link
        assert link is not None
        announced = self._announced[link]
        effects = self._context.effects
        relayed = self._relayed.of(topic)
        passing = relayed is not None and relayed.is_wanted
        listening = (
            bool(topic.path.relays)
            and self._listening.is_active(topic)
            and self._listening.is_wanted(topic)
        )
        was_followed = topic.is_followed
        wishes = []
        if listening and not topic.for_here:
            wishes.append(self._subscriptions.reached(topic.name, topic.node))
            topic.asked = announced.requests.sent + 1
        if relayed is not None and passing and not topic.for_others:
            stream = relayed.stream
            wishes.append((stream.epoch, stream.head) if relayed.is_begun else (0, 0))
            relayed.asked = announced.requests.sent + 1
        topic.for_here = listening
        topic.for_others = passing
        if wishes:
            announced.awaiting.add(topic)
            at = first_wish(topic.epoch, *wishes)
            announced.ask(effects, codec.encode_follow(codec.FOLLOW, topic.topic_id, *at))
        elif was_followed and not topic.is_followed:
            announced.awaiting.discard(topic)
            effects.control(link, codec.encode_follow(codec.UNFOLLOW, topic.topic_id))

    def renew_all(self, name: str, node: str) -> None:
        """The announcements of a host's topic have changed."""
        announcements = list(self._registry.announced.get((name, node), {}).values())
        was_followed = any(topic.is_followed and topic.path.relays for topic in announcements)
        for topic in announcements:
            self.renew(topic)
        if was_followed:
            self._go_over(name, node)

    def _go_over(self, name: str, node: str) -> None:
        """Takes a topic from its host itself, from where the path through a relay ended.

        The INTEREST of the new link may have gone out before that path had begun.
        """
        topic = self._registry.active(name, node)
        position = self._subscriptions.position(name, node)
        if topic is None or topic.link is None or topic.path.relays:
            return
        if (
            position is not None
            and position.epoch == topic.epoch
            and self._listening.is_listened(topic)
        ):
            announced = self._announced[topic.link]
            at = (position.epoch, position.last)
            record = codec.encode_follow(codec.FOLLOW, topic.topic_id, *at)
            if not topic.is_followed:
                # The INTEREST keeps the topic coming.
                record += codec.encode_follow(codec.UNFOLLOW, topic.topic_id)
            announced.ask(self._context.effects, record)
            topic.asked = announced.requests.sent

    def listen(self, topic: RemoteTopic) -> None:
        """This node has a new subscription to a topic behind a relay."""
        if topic.link is not None and topic.path.relays:
            topic.for_here = False
            self.renew(topic)

    def ask_again(self, topic: RemoteTopic, head: int) -> None:
        """A followed topic was sent up to ``head``. Asks again for messages that have not come."""
        relayed = self._relayed.topics.get((topic.name, topic.node))
        position = self._subscriptions.position(topic.name, topic.node)
        lasts = []
        if relayed is not None and relayed.is_begun and relayed.stream.head < head:
            lasts.append(relayed.stream.head)
        if position is not None and position.epoch == topic.epoch and position.last < head:
            lasts.append(position.last)
        if lasts and topic.link is not None:
            at = (topic.epoch, min(lasts))
            record = codec.encode_follow(codec.FOLLOW, topic.topic_id, *at)
            self._announced[topic.link].ask(self._context.effects, record)

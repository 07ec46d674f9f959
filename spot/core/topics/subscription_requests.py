"""Which HEAD answers which subscription: the requests of one link, counted.

Each HEAD says how many INTEREST and FOLLOW records of its link the sender had handled. So what was
sent for a subscription that has ended does not begin a later subscription to the same topic.
"""

from __future__ import annotations

from spot.core.topics.interest import Subscriptions
from spot.core.topics.patterns import may_overlap


class Requests:
    """The INTEREST and FOLLOW records that this node has ``sent`` on a link.

    Of topics that are not known yet it keeps the number of the INTEREST since which a name, or
    what a pattern matches, is wanted without a break.
    """

    __slots__ = ("_has_ended", "_patterns", "_topics", "sent")

    def __init__(self) -> None:
        self.sent = 0
        # Whether any subscription has ended on this link: else nothing older can come.
        self._has_ended = False
        self._topics: dict[str, int] = {}
        self._patterns: dict[str, int] = {}

    def began(self, name: str, *, pattern: bool, was_wanted: bool) -> None:
        """A subscription has begun, and its INTEREST was sent."""
        if not self._has_ended:
            return
        if pattern:
            self._patterns[name] = self.sent
        elif not was_wanted:
            self._topics[name] = self.sent

    def ended(self, name: str, subscriptions: Subscriptions, *, pattern: bool) -> None:
        """A subscription has ended."""
        self._has_ended = True
        if pattern:
            since = self._patterns.pop(name, 0)
            for other, number in self._patterns.items():
                if number > since and may_overlap(name, other):
                    # What both match is wanted since the first of them.
                    self._patterns[other] = since
            for each in [each for each in self._topics if not subscriptions.wants(each)]:
                del self._topics[each]
        elif subscriptions.wants(name):
            self._topics.setdefault(name, 0)
        else:
            self._topics.pop(name, None)

    def number_for(self, name: str, subscriptions: Subscriptions) -> int:
        """The number of the INTEREST whose answer begins a topic that was announced just now."""
        if name in subscriptions.topics:
            return self._topics.get(name, 0)
        if name in self._topics:
            return self._topics[name]
        matching = subscriptions.patterns.matching(name) if self._patterns else ()
        return min((self._patterns.get(each, 0) for each in matching), default=0)

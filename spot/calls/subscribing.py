"""Subscribing and unsubscribing."""

from __future__ import annotations

import time

from spot.calls.base import Calls
from spot.core.link import Link
from spot.core.wire.codec import SEQ_MAX
from spot.errors import InvalidArgument, NotSubscribed, TimedOut, TopicNotFound
from spot.names import check_pattern, check_topic
from spot.timeout import deadline


class SubscribingCalls(Calls):
    """Subscriptions to topics and patterns."""

    def subscribe(self, topic: str, *, last: int = 0) -> None:
        """Subscribes to a topic, wherever it lives. A second time changes nothing.

        Returns when the topic's host has confirmed the subscription, if the host is up. If the
        topic is not known yet, returns when all peers that are up have confirmed. It waits no
        longer than ``sync_timeout``; then the subscription comes into force by itself.

        A topic that no node has announced yet is received from its first message on, as far as the
        host's replay buffer holds it.

        Args:
            topic: The name of the topic.
            last: How many of the newest messages to replay first, at most: as many as the host's
                replay buffer holds. Default 0: none. If the topic is not known yet, ``last``
                applies to the peers that have not announced their topics yet.

        Raises:
            TopicNotFound: The topic is not known, and this node has no peers that could host it.
            InvalidArgument: The name or ``last`` is not valid.
        """
        check_topic(topic)
        if isinstance(last, bool) or not isinstance(last, int) or not 0 <= last < SEQ_MAX:
            raise InvalidArgument(f"last must be a whole number from 0, not {last!r}")
        driver = self._driver
        with driver.lock:
            driver.check_open()
            registry = self._core.registry
            known = topic in registry.local or topic in registry.remote
            if not known and not self._core.peers.any:
                raise TopicNotFound(
                    f"no topic {topic!r}, and no peers that could host it: "
                    "create it, or add a peer with cluster_add",
                    topic=topic,
                )
            if not self._core.announcer.subscribe(topic, pattern=False, last=last):
                return
            host = registry.listened(topic)
            if not known:
                # A peer that creates the topic later knows of this subscription by then.
                self._confirm(list(self._core.links.by_node.values()))
            elif host is not None and host.link is not None:
                self._confirm([host.link])
            else:
                self._confirm([])

    def subscribe_pattern(self, pattern: str) -> None:
        """Subscribes to all topics that match a pattern, LOCAL and REMOTE, present and future.

        A message that matches several subscriptions arrives once. Returns when all peers that are
        up have confirmed. It waits no longer than ``sync_timeout``; then the subscription comes
        into force by itself.

        Args:
            pattern: 1 to 255 bytes of UTF-8, in which each ``*`` matches any run of characters,
                also an empty one.

        Raises:
            InvalidArgument: The pattern is not valid.
        """
        check_pattern(pattern)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            if self._core.announcer.subscribe(pattern, pattern=True):
                self._confirm(list(self._core.links.by_node.values()))

    def _confirm(self, links: list[Link]) -> None:
        pings = self._core.barriers.pings
        nonces = [self._core.barriers.ping(link) for link in links]
        self._driver.loop.act()
        if nonces:
            until = time.monotonic() + self._config.sync_timeout
            self._wait(
                lambda: (
                    not any(nonce in pings for nonce in nonces)
                    and not self._core.barriers.is_awaiting(links)
                ),
                until,
            )

    def unsubscribe(self, topic: str) -> None:
        """Ends the subscription to a topic, and forgets its position in the stream.

        Messages that have arrived before still come out of ``recv``.

        Args:
            topic: The name of the topic.

        Raises:
            NotSubscribed: There is no subscription to this topic; a pattern that matches it is
                another subscription.
            InvalidArgument: The name is not valid.
        """
        self._unsubscribe(check_topic(topic), pattern=False)

    def unsubscribe_pattern(self, pattern: str) -> None:
        """Ends the subscription to a pattern.

        Messages that have arrived before still come out of ``recv``.

        Args:
            pattern: The pattern, as it was given to ``subscribe_pattern``.

        Raises:
            NotSubscribed: There is no subscription to this pattern.
            InvalidArgument: The pattern is not valid.
        """
        self._unsubscribe(check_pattern(pattern), pattern=True)

    def _unsubscribe(self, name: str, *, pattern: bool) -> None:
        with self._driver.lock:
            self._driver.check_open()
            if not self._core.announcer.unsubscribe(name, pattern=pattern):
                raise NotSubscribed(f"not subscribed to {name!r}", topic=name)
            self._driver.loop.act()

    def wait_for_subscribers(
        self, topic: str, count: int = 1, timeout: float | None = None
    ) -> None:
        """Waits until a LOCAL topic has a number of subscriptions in force.

        A peer that is subscribed counts once, and so does this node.

        Args:
            topic: The name of the topic.
            count: How many subscriptions to wait for. Default 1. 0: none, so the call returns at
                once.
            timeout: Seconds to wait. None (the default): as long as it takes. 0: don't wait.

        Raises:
            TimedOut: There were fewer subscriptions when ``timeout`` was over.
            TopicNotFound: This node does not host the topic.
            InvalidArgument: An argument is not valid.
        """
        check_topic(topic)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InvalidArgument(f"count must be a whole number from 0, not {count!r}")
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            registry = self._core.registry
            if topic not in registry.local:
                raise TopicNotFound(f"this node hosts no topic {topic!r}", topic=topic)

            def enough() -> bool:
                hosted = registry.local.get(topic)
                return hosted is not None and len(hosted.subscribers) + hosted.local >= count

            if not self._wait(enough, until):
                raise TimedOut(
                    f"topic {topic!r} did not get {count} subscribers in {timeout} s", topic=topic
                )

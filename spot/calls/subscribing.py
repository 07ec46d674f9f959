"""Subscribing and unsubscribing."""

from __future__ import annotations

import time

from spot.calls.base import Calls, deadline
from spot.core.link import Link
from spot.core.wire.codec import SEQ_MAX
from spot.errors import InvalidArgument, NotSubscribed, TimedOut, TopicNotFound
from spot.names import check_pattern, check_topic


class SubscribingCalls(Calls):
    """Subscriptions to topics and patterns."""

    def subscribe(self, topic: str, *, last: int = 0) -> None:
        """Subscribes to a topic, wherever it lives. A second time does nothing.

        Up to ``last`` of the newest messages come first, as far as the host's history holds them. A
        topic that nobody has announced yet comes from its first message, as far as history holds
        it; with ``last``, from a node whose topics are not known yet, from its ``last`` newest.

        Returns when a host that is up has confirmed (for a topic that is not known yet, all peers
        that are up), or after ``sync_timeout``; then it completes by itself. TopicNotFound if the
        topic is unknown and this node has no peers.
        """
        check_topic(topic)
        if isinstance(last, bool) or not isinstance(last, int) or not 0 <= last < SEQ_MAX:
            raise InvalidArgument(f"last must be a whole number from 0, not {last!r}")
        driver = self._driver
        with driver.lock:
            driver.check_open()
            registry = self._traffic.registry
            known = topic in registry.local or topic in registry.remote
            if not known and not self._core.has_peers:
                raise TopicNotFound(
                    f"no topic {topic!r}, and no peers that could host it: "
                    "create it, or add a peer with cluster_add",
                    topic=topic,
                )
            if not self._core.subscribe(topic, pattern=False, last=last):
                return
            host = registry.listened(topic)
            if not known:
                # Whoever creates it later knows of this subscription by then.
                self._confirm(list(self._core.nodes.values()))
            elif host is not None and host.link is not None:
                self._confirm([host.link])
            else:
                self._confirm([])

    def subscribe_pattern(self, pattern: str) -> None:
        """Subscribes to all topics, present and future, that match; ``*`` is any run of characters.

        A message that matches several subscriptions arrives once. Returns when all peers that are
        up have confirmed, or after ``sync_timeout``.
        """
        check_pattern(pattern)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            if self._core.subscribe(pattern, pattern=True):
                self._confirm(list(self._core.nodes.values()))

    def _confirm(self, links: list[Link]) -> None:
        pings = self._core.pings
        nonces = [self._core.ping(link) for link in links]
        self._driver.loop.act()
        if nonces:
            until = time.monotonic() + self._config.sync_timeout
            self._wait(
                lambda: (
                    not any(nonce in pings for nonce in nonces)
                    and not any(link.awaiting for link in links)
                ),
                until,
            )

    def unsubscribe(self, topic: str) -> None:
        """Ends a subscription and forgets its position. NotSubscribed if there is none.

        What had arrived still comes out of ``recv``.
        """
        self._unsubscribe(check_topic(topic), pattern=False)

    def unsubscribe_pattern(self, pattern: str) -> None:
        """Ends the subscription of a pattern. NotSubscribed if there is none."""
        self._unsubscribe(check_pattern(pattern), pattern=True)

    def _unsubscribe(self, name: str, *, pattern: bool) -> None:
        with self._driver.lock:
            self._driver.check_open()
            if not self._core.unsubscribe(name, pattern=pattern):
                raise NotSubscribed(f"not subscribed to {name!r}", topic=name)
            self._driver.loop.act()

    def wait_for_subscribers(
        self, topic: str, count: int = 1, timeout: float | None = None
    ) -> None:
        """Waits until so many subscriptions to a LOCAL topic are in force (its own counts too).

        InvalidArgument if ``count`` is no whole number from 0, TopicNotFound if this node does not
        host the topic, TimedOut after ``timeout``.
        """
        check_topic(topic)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InvalidArgument(f"count must be a whole number from 0, not {count!r}")
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            registry = self._traffic.registry
            if topic not in registry.local:
                raise TopicNotFound(f"this node hosts no topic {topic!r}", topic=topic)

            def enough() -> bool:
                hosted = registry.local.get(topic)
                return hosted is not None and len(hosted.links) + hosted.local >= count

            if not self._wait(enough, until):
                raise TimedOut(
                    f"topic {topic!r} did not get {count} subscribers in {timeout} s", topic=topic
                )

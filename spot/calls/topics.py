"""Hosting topics, and naming their hosts."""

from __future__ import annotations

import time
from collections.abc import Iterable

from spot.calls.base import Calls
from spot.core.link import Link
from spot.endpoint import parse_endpoint
from spot.errors import HostUnreachable, InvalidArgument, TopicExists, TopicNotFound
from spot.names import check_topic
from spot.timeout import deadline


class TopicCalls(Calls):
    """The registry of topics, LOCAL and REMOTE."""

    def topic_create(
        self, topic: str, *, history_bytes: int | None = None, standby: bool = False
    ) -> None:
        """Hosts a topic on this node: the topic becomes LOCAL here, and REMOTE on its peers.

        Args:
            topic: The name: 1 to 255 bytes of UTF-8 without control characters or ``*``.
            history_bytes: How many bytes of the newest messages the replay buffer keeps, with
                overhead, for subscribers that were cut off. None (the default): as the setting
                ``history_bytes`` says. 0: none. The setting ``history_total_bytes`` limits all
                topics together.
            standby: Whether this node stands by for another host of the topic. Default False. A
                standby serves the routes that name it. Other subscriptions and publishes take it
                only while no other host is up. A publish on the standby's own node goes to its own
                topic. A standby keeps no other node from hosting the topic.

        Raises:
            TopicExists: This node hosts the topic already; or a peer that is up does, unless one of
                the two is a standby.
            InvalidArgument: The name or ``history_bytes`` is not valid.
        """
        check_topic(topic)
        if history_bytes is not None:
            self._config.with_settings(history_bytes=history_bytes)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            registry = self._core.registry
            if topic in registry.local:
                raise TopicExists(
                    f"topic {topic!r} is hosted by this node already: publish to it, or "
                    "topic_destroy it first to begin anew",
                    topic=topic,
                )
            for host in registry.remote.get(topic, {}).values():
                if host.link is not None and not host.standby and not standby:
                    raise TopicExists(
                        f"topic {topic!r} is hosted by node {host.node}, which is up: publish to "
                        "it there without creating it, take another name, or host it beside that "
                        "node with standby=True",
                        topic=topic,
                        node=host.node,
                    )
            # Messages that were published to a host elsewhere go there.
            driver.buffers.order()
            self._core.announcer.create_topic(topic, time.time_ns(), history_bytes, standby=standby)
            driver.buffers.retire()
            driver.loop.act()

    def topic_destroy(self, topic: str) -> None:
        """Stops hosting a LOCAL topic. Its replay buffer is dropped.

        Args:
            topic: The name of the topic.

        Raises:
            TopicNotFound: There is no such topic.
            InvalidArgument: The topic is REMOTE, so that only its host can destroy it; or the name
                is not valid.
        """
        check_topic(topic)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            hosted = self._core.registry.local.get(topic)
            if hosted is None:
                if topic in self._core.registry.remote:
                    raise InvalidArgument(
                        f"topic {topic!r} is REMOTE: only its host can destroy it", topic=topic
                    )
                raise TopicNotFound(f"no topic {topic!r}", topic=topic)
            self._driver.buffers.of_topic.pop(topic, None)
            driver.buffers.order()
            self._core.announcer.destroy_topic(hosted, time.monotonic())
            driver.loop.act()

    def topic_route(
        self,
        topic: str,
        endpoint: str,
        *,
        backups: Iterable[str] = (),
        timeout: float | None = 1.0,
        replace: bool = False,
    ) -> None:
        """Names the host of a REMOTE topic, and adds that host as a peer.

        The host need not have the topic yet. Naming the same host again changes nothing. After an
        error nothing of the route stays registered.

        When the host is lost, the next of ``backups`` that is up and has the topic takes over by
        itself. After the last backup comes the first host. It serves for as long as it is up. An
        event ``"route"`` says so, and messages name their host. ``recv`` raises HostUnreachable
        only when no host is left.

        Args:
            topic: The name of the topic.
            endpoint: The endpoint or node id of the host.
            backups: Endpoints or node ids of further hosts, in the order in which they take over.
                Each is added as a peer. Default: none.
            timeout: Seconds to wait for the greeting of the host. When they are over, the first
                backup that has greeted becomes the host. Default 1. None: wait for the host as long
                as it takes. 0: don't wait.
            replace: Whether to leave another host of the topic that is up, also to go back to
                ``endpoint`` while a backup serves. Default False.

        Raises:
            HostUnreachable: Neither the host nor a backup has greeted within ``timeout``.
            TopicExists: The topic is LOCAL; or another host of it is up and ``replace`` is False.
            InvalidArgument: A host is named twice, or an argument is not valid.
        """
        check_topic(topic)
        until = deadline(timeout)
        endpoints = _checked_hosts(endpoint, backups)
        driver = self._driver
        core = self._core
        with driver.lock:
            driver.check_open()
            self._check_routable(topic, set(), True)
            peers_before = set(core.links.by_node)
            added = [named for named in endpoints if not core.peers.knows(named)]
            for named in added:
                parse_endpoint(named)
            for named in added:
                core.peers.add(named, time.monotonic())
            driver.loop.act()
            try:
                self._wait(lambda: self._synced_link(endpoint), until)
                links = [self._synced_link(named) for named in endpoints]
                at = self._first_host(topic, endpoints, links, replace)
                if at is None:
                    named = ", ".join(f"{host} ({self._why_not(host)})" for host in endpoints)
                    raise HostUnreachable(
                        f"no answer in {timeout} s from {named}, which was to host topic "
                        f"{topic!r}: start it, or name another host, or backups",
                        endpoint=endpoint,
                        topic=topic,
                        reason=self._why_not(endpoint),
                    )
                self._check_routable(topic, {link.node for link in links if link}, replace)
            except BaseException:
                for named in added:
                    self._forget_dial(named, peers_before)
                raise
            link = links[at]
            assert link is not None
            core.failover.route(topic, endpoints, at, link.node, time.monotonic())
            driver.loop.act()

    def _first_host(
        self, topic: str, endpoints: tuple[str, ...], links: list[Link | None], replace: bool
    ) -> int | None:
        """The index of the host to begin with: the one that serves already, if it is up."""
        nodes = [link.node if link is not None else None for link in links]
        routed = self._core.registry.routes.get(topic)
        if routed is not None and routed in nodes and not replace:
            return nodes.index(routed)
        return next((at for at, link in enumerate(links) if link is not None), None)

    def _check_routable(self, topic: str, named: set[str], replace: bool) -> None:
        """Raises TopicExists unless the topic may be routed to these nodes."""
        registry = self._core.registry
        if topic in registry.local:
            raise TopicExists(
                f"topic {topic!r} is LOCAL: it can't be routed, unless topic_destroy ends it first",
                topic=topic,
            )
        if replace:
            return
        hosts = {
            host.node
            for host in registry.remote.get(topic, {}).values()
            if host.link is not None and not host.standby
        }
        routed = registry.routes.get(topic)
        if routed is not None and routed in self._core.links.by_node:
            hosts.add(routed)
        others = sorted(hosts - named)
        if others:
            raise TopicExists(
                f"topic {topic!r} is hosted by node {others[0]}, which is up: "
                "pass replace=True to route it elsewhere",
                topic=topic,
                node=others[0],
            )

    def _synced_link(self, endpoint: str) -> Link | None:
        link = self._core.peers.linked(endpoint)
        if link is None or not self._core.announced[link].synced:
            return None
        return link

    def _why_not(self, endpoint: str) -> str:
        dial = self._core.dials.by_endpoint.get(endpoint)
        return (dial.last_error if dial is not None else None) or "no greeting came"

    def _forget_dial(self, endpoint: str, peers_before: set[str]) -> None:
        """Takes back the endpoint of a route that failed. Nodes that were peers before stay so."""
        dial = self._core.dials.by_endpoint.get(endpoint)
        if dial is None:
            return
        if dial.node in peers_before:
            self._core.dials.remove(dial)
        else:
            self._core.peers.remove(endpoint, time.monotonic())
            if dial.node is not None:
                self._core.peers.readmit(dial.node)
        self._driver.loop.act()

    def topic_exists(self, topic: str) -> bool:
        """Tells whether a topic is known: hosted by this node, or announced by a peer.

        Args:
            topic: The name of the topic.

        Returns:
            True if it is LOCAL or REMOTE. A peer that has not synchronised yet may host it all the
            same; see ``cluster_sync``.
        """
        with self._driver.lock:
            self._driver.check_open()
            return topic in self._core.registry.local or topic in self._core.registry.remote

    def topic_is_local(self, topic: str) -> bool:
        """Tells whether this node hosts a topic.

        Args:
            topic: The name of the topic.

        Returns:
            True if it is LOCAL; False if it is REMOTE or not known.
        """
        with self._driver.lock:
            self._driver.check_open()
            return topic in self._core.registry.local

    def list_topics(self) -> list[str]:
        """Lists all topics that are known, LOCAL and REMOTE.

        Returns:
            Their names, sorted.
        """
        with self._driver.lock:
            self._driver.check_open()
            return sorted(self._core.registry.names())


def _checked_hosts(endpoint: str, backups: Iterable[str]) -> tuple[str, ...]:
    if isinstance(backups, str | bytes) or not isinstance(backups, Iterable):
        raise InvalidArgument(f"backups must be a sequence of endpoints, not {backups!r}")
    endpoints = (endpoint, *backups)
    for named in endpoints:
        if not isinstance(named, str) or not named:
            raise InvalidArgument(f"a host must be an endpoint or a node id, not {named!r}")
        if endpoints.count(named) > 1:
            raise InvalidArgument(
                f"{named} is named twice among the hosts of a route: name each host once",
                endpoint=named,
            )
    return endpoints

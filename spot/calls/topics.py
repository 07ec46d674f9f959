"""Hosting topics, and naming their hosts."""

from __future__ import annotations

import time
from collections.abc import Iterable

from spot.calls.base import Calls, deadline
from spot.core.link import Link
from spot.endpoint import parse_endpoint
from spot.errors import HostUnreachable, InvalidArgument, TopicExists, TopicNotFound
from spot.names import check_topic


class TopicCalls(Calls):
    """The registry of topics, LOCAL and REMOTE."""

    def topic_create(
        self, topic: str, *, history_bytes: int | None = None, standby: bool = False
    ) -> None:
        """Hosts a topic on this node. Raises TopicExists if it, or a peer that is up, hosts it.

        ``history_bytes`` of its newest messages are kept for subscribers that were cut off (None:
        as the setting says, 0: nothing), within ``history_total_bytes`` of the node.

        With ``standby`` a peer may host it as well: routes can name this host, and other
        subscriptions and publishes take it only while no host is up that does not stand by. (To
        publish to it on this node publishes here.) A standby keeps nobody from hosting the topic.
        """
        check_topic(topic)
        if history_bytes is not None:
            self._config.with_settings(history_bytes=history_bytes)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            registry = self._traffic.registry
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
            # What was published to a host elsewhere goes there.
            driver.buffers.order()
            self._core.create_topic(topic, time.time_ns(), history_bytes, standby=standby)
            driver.buffers.retire()
            driver.loop.act()

    def topic_destroy(self, topic: str) -> None:
        """Stops hosting a topic. TopicNotFound if there is none, InvalidArgument if it is
        REMOTE.
        """
        check_topic(topic)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            hosted = self._traffic.registry.local.get(topic)
            if hosted is None:
                if topic in self._traffic.registry.remote:
                    raise InvalidArgument(
                        f"topic {topic!r} is REMOTE: only its host can destroy it", topic=topic
                    )
                raise TopicNotFound(f"no topic {topic!r}", topic=topic)
            self._driver.buffers.of_topic.pop(topic, None)
            driver.buffers.order()
            self._core.destroy_topic(hosted, time.monotonic())
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
        """Names the host of a REMOTE topic, and makes it a full peer.

        ``endpoint`` may be a peer's node id. A host that is up without having the topic yet is
        accepted, the same host again changes nothing. Raises HostUnreachable if the host does not
        greet within ``timeout``; TopicExists if the topic is LOCAL, or another host of it can be
        reached and ``replace`` is not set. After an error nothing of the route stays registered.

        ``backups`` are further hosts, as endpoints or node ids: full peers too. When the current
        host is lost, the next in the order (the first follows the last) that is up and has the
        topic takes over without a call, and stays for as long as it lives: an event ``"route"``
        tells, messages name their host, ``recv`` raises only when none is left. Where the host does
        not greet in time, the first backup that did is taken; if none did, the call raises.
        ``replace`` goes back to ``endpoint`` while a backup serves. InvalidArgument where a host is
        named twice.
        """
        check_topic(topic)
        until = deadline(timeout)
        endpoints = _checked_hosts(endpoint, backups)
        driver = self._driver
        core = self._core
        with driver.lock:
            driver.check_open()
            self._check_routable(topic, set(), True)
            peers_before = set(core.nodes)
            added = [named for named in endpoints if not core.knows_peer(named)]
            for named in added:
                parse_endpoint(named)
            for named in added:
                core.add_peer(named, time.monotonic())
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
            core.route(topic, endpoints, at, link.node, time.monotonic())
            driver.loop.act()

    def _first_host(
        self, topic: str, endpoints: tuple[str, ...], links: list[Link | None], replace: bool
    ) -> int | None:
        """Which of the named hosts is to be the first: the one that serves already, if it lives."""
        nodes = [link.node if link is not None else None for link in links]
        routed = self._traffic.registry.routes.get(topic)
        if routed is not None and routed in nodes and not replace:
            return nodes.index(routed)
        return next((at for at, link in enumerate(links) if link is not None), None)

    def _check_routable(self, topic: str, named: set[str], replace: bool) -> None:
        """Whether the topic may be routed to these nodes."""
        registry = self._traffic.registry
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
        if routed is not None and routed in self._core.nodes:
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
        link = self._core.linked_peer(endpoint)
        return link if link is not None and link.synced else None

    def _why_not(self, endpoint: str) -> str:
        dial = self._core.dials.get(endpoint)
        return (dial.last_error if dial is not None else None) or "no greeting came"

    def _forget_dial(self, endpoint: str, peers_before: set[str]) -> None:
        """Takes back the endpoint of a route that failed. Who was a peer before stays one."""
        dial = self._core.dials.get(endpoint)
        if dial is None:
            return
        if dial.node in peers_before:
            self._core.remove_dial(dial)
        else:
            self._core.remove_peer(endpoint, time.monotonic())
            if dial.node is not None:
                self._core.readmit(dial.node)
        self._driver.loop.act()

    def topic_exists(self, topic: str) -> bool:
        """Whether the topic is hosted here or was announced by a peer."""
        with self._driver.lock:
            self._driver.check_open()
            return topic in self._traffic.registry.local or topic in self._traffic.registry.remote

    def topic_is_local(self, topic: str) -> bool:
        """Whether the topic is hosted here."""
        with self._driver.lock:
            self._driver.check_open()
            return topic in self._traffic.registry.local

    def list_topics(self) -> list[str]:
        """All topics, LOCAL and REMOTE, sorted."""
        with self._driver.lock:
            self._driver.check_open()
            return sorted(self._traffic.registry.names())


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

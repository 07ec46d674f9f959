"""A simulated node: its incarnations, and a small application.

The application does what users of Spot do. It publishes and waits for room (or has slow subscribers
set aside). It takes deliveries and gives their credit back with the next call. It is told of lost
hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from spot.core.data.inbox import Delivery, MultiDelivery, Notice
from spot.core.link import Link
from spot.core.node import NodeCore
from spot.core.topics.hosted_topic import HostedTopic
from spot.runtime.publish_buffers import PublishBuffer
from tests.simulation.connections import LEAVE
from tests.simulation.driver import Driver
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle
from tests.simulation.plan import NodePlan

RETRY_S = 0.02
WALL_NS = 1_700_000_000_000_000_000
LINGER_S = 1.0
MANY_MSGS = 4096


@dataclass
class Blocked:
    """A publish that waits for room."""

    topic: str
    payloads: list[bytes]
    until: float | None
    asked: bool = False


class Node(Driver):
    """A driver and its application, which may be closed, killed and started again."""

    def __init__(
        self,
        network: Network,
        oracle: Oracle,
        plan: NodePlan,
        random: Random,
        tune: Callable[[Node], None] | None = None,
    ) -> None:
        super().__init__(network, oracle, plan, random)
        self.taking = True
        self.closing = False
        self.published = 0
        self._is_together = False
        self._tune = tune
        self.taken: Delivery | MultiDelivery | None = None
        self.blocked: Blocked | None = None
        self.confirming: dict[int, tuple[Link, str]] = {}

    def rearm(self) -> None:
        super().rearm()
        self.taken = None
        self.blocked = None
        self.confirming = {}

    # Life

    def start(self) -> None:
        now = self.network.now
        self.rearm()
        self.life += 1
        self.listening = True
        self.closing = False
        self.off = self.frozen = self.held = False
        wall = self.wall()
        self.run(
            NodeCore(
                self.plan.config,
                self.name,
                wall,
                now,
                self.random.random,
                lambda: self.random.getrandbits(63) | 1,
            )
        )
        order = self.core.hosting.publish
        order_together = self.core.hosting.publish_across

        def publish(topic: HostedTopic, payloads: Sequence[bytes]) -> None:
            if self._is_together:
                order(topic, payloads)
                return
            self.oracle.ordered(self, topic, payloads)
            self.oracle.views.ordered(self)
            order(topic, payloads)
            self.oracle.kept(self, topic, len(payloads))

        def publish_together(topics: Sequence[HostedTopic], payloads: Sequence[bytes]) -> int:
            by_topic: dict[HostedTopic, list[bytes]] = {}
            for topic, payload in zip(topics, payloads, strict=True):
                by_topic.setdefault(topic, []).append(payload)
            for topic, own in by_topic.items():
                self.oracle.ordered(self, topic, own)
            self.oracle.views.ordered(self)
            self._is_together = True
            room = order_together(topics, payloads)
            self._is_together = False
            for topic, own in by_topic.items():
                self.oracle.kept(self, topic, len(own))
            return room

        drop = self.core.replay._drop_oldest

        def drop_oldest(topic: HostedTopic) -> None:
            if topic.upstream is None:
                # The host has the messages that a relay drops.
                self.oracle.dropped(self, topic, topic.buffer.oldest.last)
            drop(topic)

        # The oracle sees each message at the moment when it gets its place in the order, and when
        # the replay buffer drops it.
        self.core.hosting.publish = publish  # type: ignore[method-assign]
        self.core.hosting.publish_across = publish_together  # type: ignore[method-assign]
        self.core.replay._drop_oldest = drop_oldest  # type: ignore[method-assign]
        self.oracle.started(self)
        if self._tune is not None:
            self._tune(self)
        for topic in self.plan.topics:
            self.create(topic)
        for topic in self.plan.standbys:
            self.create(topic, standby=True)
        for endpoint in self.plan.peers:
            self.core.peers.add(endpoint, now)
        for name in self.plan.names:
            self.oracle.subscribed(self, name)
            self.core.announcer.subscribe(name, pattern="*" in name)
        self.take_turn()

    def wall(self) -> int:
        return WALL_NS + int(self.network.now * 1e9)

    def stop(self) -> None:
        """The process is gone. The network ends its connections."""
        self.listening = False
        self.oracle.ended_life(self)
        self.rearm()

    def leave(self) -> None:
        """Like Spot.close: waits for its queues, says goodbye, waits for the answers."""
        if self.is_still or self.closing:
            return
        self.closing = True
        life = self.life
        until = self.network.now + LINGER_S
        self.network.at(self.network.now, lambda: self._drain(life, until))

    def _drain(self, life: int, until: float) -> None:
        if self.life != life or not self.listening:
            return
        if self.is_still:
            self.network.at(self.network.now + RETRY_S, lambda: self._drain(life, until))
            return
        if self.core.unsent() and self.network.now < until:
            self.network.at(self.network.now + RETRY_S, lambda: self._drain(life, until))
            return
        for connection in self.network.connections_of(self.name):
            connection.disturb(LEAVE, self.network.now)
        self.oracle.leaving(self)
        self.core.leave()
        self.act()
        self._depart(life, until)

    def _depart(self, life: int, until: float) -> None:
        if self.life != life or not self.listening:
            return
        if self.is_still or (self.core.links.by_node and self.network.now < until):
            self.network.at(self.network.now + RETRY_S / 4, lambda: self._depart(life, until))
            return
        self.stop()
        self.network.crash(self, LEAVE, drop=False)

    # The application

    @property
    def leads(self) -> bool:
        return self.plan.leads and self.taking and not self.closing

    def use(self) -> None:
        """Goes on with the application's work, after anything happened."""
        if self.closing or not self.listening:
            return
        if self.confirming:
            self._confirm()
        if self.taking:
            self.take_all()
        if self.blocked is not None:
            self._go_on()

    def take_all(self) -> None:
        """Takes all waiting deliveries, as ``recv`` does."""
        inbox = self.core.inbox
        if self.taken is None and not inbox.items:
            return
        now = self.network.now
        while True:
            if self.taken is not None:
                taken, self.taken = self.taken, None
                self.core.taken(taken, now)
            item = self.core.take()
            if item is None:
                break
            if isinstance(item, Notice):
                self.oracle.told(self, item)
            else:
                self.taken = item
                self.oracle.received(self, item)
        self.act()

    def create(self, topic: str, *, standby: bool = False) -> bool:
        """Hosts a topic, unless a node that is up hosts it (EEXIST) and it does not stand by."""
        registry = self.core.registry
        hosts = registry.remote.get(topic, {}).values()
        taken = any(host.link is not None and not host.standby for host in hosts)
        if topic in registry.local or (taken and not standby):
            return False
        hosted = self.core.announcer.create_topic(topic, self.wall(), standby=standby)
        self.oracle.created(self, hosted)
        self.act()
        return True

    def destroy(self, topic: str) -> None:
        hosted = self.core.registry.local.get(topic)
        if hosted is None:
            return
        self.oracle.destroyed(self, hosted)
        self.core.announcer.destroy_topic(hosted, self.network.now)
        self.act()

    def subscribe(self, name: str, last: int) -> None:
        self.oracle.subscribed(self, name)
        cluster = self.core
        if cluster.announcer.subscribe(name, pattern="*" in name, last=last):
            for link in cluster.links.by_node.values():
                self.confirming[cluster.barriers.ping(link)] = (link, name)
        self.act()

    def _confirm(self) -> None:
        """Subscriptions are in force at a host when it has answered the ping that followed them."""
        cluster = self.core
        for nonce in [nonce for nonce in self.confirming if nonce not in cluster.barriers.pings]:
            link, name = self.confirming.pop(nonce)
            if cluster.links.by_node.get(link.node) is link:
                self.oracle.confirmed(self, name, link.node)

    def unsubscribe(self, name: str) -> None:
        self.oracle.unsubscribed(self, name)
        # An answer that is still under way does not count for the next subscription.
        self.confirming = {
            nonce: asked for nonce, asked in self.confirming.items() if asked[1] != name
        }
        self.core.announcer.unsubscribe(name, pattern="*" in name)
        self.act()

    def add_peer(self, endpoint: str) -> None:
        if endpoint in self.core.handshake.removed:
            self.core.peers.readmit(endpoint)
            return
        if endpoint not in self.core.dials.by_endpoint:
            self.oracle.added(self, endpoint)
            self.core.peers.add(endpoint, self.network.now)
            self.wake()

    def remove_peer(self, endpoint: str) -> None:
        if self.core.peers.knows(endpoint):
            self.core.peers.remove(endpoint, self.network.now)
            self.act()

    def set_hwm(self, sndhwm: int, rcvhwm: int) -> None:
        self.oracle.note(self.name, f"sets its limits to {sndhwm} and {rcvhwm}")
        self.sndhwm_max = max(sndhwm, self.sndhwm_max)
        self.rcvhwm_max = max(rcvhwm, self.rcvhwm_max)
        self.core.set_hwm(sndhwm, rcvhwm)
        self.act()

    def publish(self, topic: str, count: int, size: int) -> None:
        """publish_many of numbered messages. Nothing while an earlier one waits for room."""
        if self.blocked is not None or self.closing or size > self._limit(topic):
            return
        payloads = self._numbered(count, size)
        timeout = self.plan.config.send_timeout
        until = None if timeout is None else self.network.now + timeout
        self.blocked = Blocked(topic, payloads, until)
        self._go_on()

    def _numbered(self, count: int, size: int) -> list[bytes]:
        payloads = []
        for _ in range(count):
            self.published += 1
            payload = b"%s/%d/%d " % (self.name.encode(), self.life, self.published)
            payloads.append(payload.ljust(size, b"."))
        return payloads

    def publish_together(self, count: int, size: int) -> None:
        """A few messages to each topic hosted here in one flush, if there is room."""
        if self.blocked is not None or self.closing:
            return
        hosted = list(self.core.registry.local.values())
        room = min((self._room(topic.name) or 0 for topic in hosted), default=0)
        if not room:
            return
        hosted = self.random.sample(hosted, min(room, len(hosted)))
        for topic in hosted:
            own = self._numbered(min(count, room // len(hosted)), size)
            self.oracle.accepted(self, topic.name, own, self.name)
            buffer = self._buffer(topic.name)
            buffer.payloads += own
            buffer.dirty = True
            self.buffers.dirty.append(buffer)
        hosting = self.core.hosting
        order = hosting.publish_across

        def checked(topics: Sequence[HostedTopic], payloads: Sequence[bytes]) -> int:
            room = order(topics, payloads)
            if room > min(map(hosting.room, topics)):
                raise self.oracle.fail(self.name, f"says there is room for {room} more")
            return room

        hosting.publish_across = checked  # type: ignore[method-assign]
        try:
            self.loop.flush()
        finally:
            hosting.publish_across = order  # type: ignore[method-assign]
        self.oracle.check_queues(self)

    def _buffer(self, topic: str) -> PublishBuffer:
        """The publish buffer of a topic, as spot/calls/publishing.py has it."""
        hosted = self.core.registry.local.get(topic)
        buffer = self.buffers.of_topic.get(topic)
        if buffer is None or buffer.hosted is not hosted:
            buffer = self.buffers.of_topic[topic] = PublishBuffer(topic, hosted)
        return buffer

    def _limit(self, topic: str) -> int:
        """The largest payload that may be published (EMSGSIZE)."""
        limit = self.plan.config.max_message_bytes
        registry = self.core.registry
        remote = None if topic in registry.local else registry.host_of(topic)
        if remote is None or remote.link is None:
            return limit
        return min(limit, remote.link.bytes_max)

    def _room(self, topic: str) -> int | None:
        """None where the call would raise, because no node hosts the topic, or its host is lost or
        has no quorum.
        """
        hosted = self.core.registry.local.get(topic)
        if hosted is not None:
            return None if self.core.context.refusing else self.core.hosting.room(hosted)
        remote = self.core.registry.host_of(topic)
        if remote is None or remote.link is None or remote.node in self.core.failover.minorities:
            return None
        return self.core.remote.room(remote)

    def _go_on(self) -> None:
        blocked = self.blocked
        assert blocked is not None
        now = self.network.now
        while blocked.payloads:
            room = self._room(blocked.topic)
            if room is None:
                self.blocked = None
                return
            if room <= 0:
                hosted = self.core.registry.local.get(blocked.topic)
                if blocked.until is not None and now >= blocked.until:
                    if hosted is None or self.plan.config.overflow == "error":
                        self.blocked = None
                        return
                    self.core.replay.set_aside_full(hosted, now)
                    room = max(1, self._room(blocked.topic) or 1)
                else:
                    self._retry_later(blocked)
                    return
            room = min(room, MANY_MSGS)
            payloads, blocked.payloads = blocked.payloads[:room], blocked.payloads[room:]
            self._order(blocked.topic, payloads)
        self.blocked = None

    def _order(self, topic: str, payloads: list[bytes]) -> None:
        registry = self.core.registry
        if topic in registry.local:
            host = self.name
        else:
            remote = registry.host_of(topic)
            assert remote is not None
            host = remote.node
        self.oracle.accepted(self, topic, payloads, host)
        self.buffers.order_now(self._buffer(topic), payloads)
        self.act()

    def _retry_later(self, blocked: Blocked) -> None:
        if blocked.asked:
            return
        blocked.asked = True

        def retry() -> None:
            blocked.asked = False
            if self.blocked is blocked and not self.is_still:
                self.use()

        self.network.at(self.network.now + RETRY_S, retry)

    def link_to(self, node: str) -> Link | None:
        return self.core.links.by_node.get(node) if self.listening else None

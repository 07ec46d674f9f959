"""Publishing.

The fast way of ``publish`` takes no lock: it appends to the topic's publish buffer, as
spot/runtime/driver.py explains. Whatever is not plain (another topic state, type, size, a full
queue) takes the slow way.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from spot.calls.base import Calls, deadline
from spot.config import Config
from spot.core.membership.view import majority
from spot.errors import (
    HostUnreachable,
    MessageTooLarge,
    NoQuorum,
    QueueFull,
    TimedOut,
    TopicNotFound,
)
from spot.names import check_topic
from spot.runtime.publish_buffers import BUFFER_MSGS, PublishBuffer

SMALL_BYTES = 1024
BUFFER_BYTES = 256 * 1024
DIRTY_BUFFERS = 1024
"""With this many dirty buffers a publish flushes at once. A queue may exceed its limit by that."""
GLANCE_MASK = 31
"""Only every 32nd publish to a buffer that is dirty reads the clock."""
MANY_MSGS = 4096
MANY_BYTES = 1 << 20


class _SettingTimeout:
    """The default of ``publish``'s timeout: the setting ``send_timeout``."""

    def __repr__(self) -> str:
        return "send_timeout"


SEND_TIMEOUT = _SettingTimeout()


class _NoWait(_SettingTimeout):
    """For ``publish``: where it would have to wait it raises WouldWait, and changes nothing."""


NO_WAIT = _NoWait()


class WouldWait(Exception):
    """There is no room for a publish that must not wait."""


class PublishingCalls(Calls):
    """Publishing to topics, LOCAL and REMOTE."""

    def __init__(self, config: Config, node_id: str) -> None:
        super().__init__(config, node_id)
        self._buffer_of = self._driver.buffers.of_topic
        self._dirty = self._driver.buffers.dirty
        self._small_bytes = min(SMALL_BYTES, config.max_message_bytes)

    def publish(
        self,
        topic: str,
        data: bytes | bytearray | memoryview,
        *,
        timeout: float | None | _SettingTimeout = SEND_TIMEOUT,
    ) -> None:
        """Publishes a message to a LOCAL topic, or to a REMOTE one through its host.

        Returns at once unless a subscriber's queue is full; then it waits up to ``timeout``
        (default the setting ``send_timeout``), and goes on as ``overflow`` says. What raised was
        not accepted, and never arrives: TopicNotFound, HostUnreachable, QueueFull,
        MessageTooLarge; NoQuorum where the host has ``require_quorum`` and no quorum; TypeError
        for a str.
        """
        try:
            buffer = self._buffer_of[topic]
        except (KeyError, TypeError):
            self._publish_slowly(topic, data, timeout)
            return
        payloads = buffer.payloads
        waiting = len(payloads)
        if type(data) is not bytes or len(data) > self._small_bytes or waiting >= buffer.limit:
            self._publish_slowly(topic, data, timeout)
            return
        try:
            payloads.append(data)
            if buffer.dirty:
                if waiting & GLANCE_MASK:
                    # The publish that made it dirty has flushed, or has armed the I/O thread.
                    return
            else:
                buffer.dirty = True
                dirty = self._dirty
                dirty.append(buffer)
                if len(dirty) & GLANCE_MASK != 1:
                    # The thread that flushes the buffers before it will see this one.
                    return
            driver = self._driver
            is_hot = time.monotonic() < driver.buffers.hot_until
            if is_hot and len(self._dirty) < DIRTY_BUFFERS:
                if not driver.buffers.armed:
                    driver.buffers.arm()
                return
            with driver.lock:
                driver.loop.flush()
        except BaseException:
            # A signal handler has raised in between: what is in the buffer is still sent.
            self._driver.buffers.arm()
            raise

    def _publish_slowly(
        self,
        topic: str,
        data: bytes | bytearray | memoryview,
        timeout: float | None | _SettingTimeout,
    ) -> None:
        payload = self._checked_payload(data)
        check_topic(topic)
        until = self._send_until(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            self._wait_for_room(topic, until, may_wait=timeout is not NO_WAIT)
            self._check_host_takes(topic, len(payload))
            buffer = self._buffer_of[topic]
            large = len(payload) > BUFFER_BYTES // 8
            if large:
                driver.buffers.order()
            buffer.payloads.append(payload)
            if not buffer.dirty:
                buffer.dirty = True
                self._dirty.append(buffer)
            held = sum(map(len, buffer.payloads)) if len(payload) > SMALL_BYTES else 0
            full = large or held > BUFFER_BYTES or len(buffer.payloads) > BUFFER_MSGS
            if full or time.monotonic() >= driver.buffers.hot_until:
                driver.loop.flush()
            elif not driver.buffers.armed:
                driver.buffers.arm()

    def _await_room(self, topic: str) -> None:
        """Waits until the topic takes a message, for as long as it takes, and publishes none."""
        with self._driver.lock:
            self._driver.check_open()
            self._driver.loop.flush()
            self._wait(lambda: self._room(topic) > 0, None)

    def publish_many(
        self,
        topic: str,
        payloads: Iterable[bytes | bytearray | memoryview],
        *,
        timeout: float | None | _SettingTimeout = SEND_TIMEOUT,
    ) -> None:
        """The same for many messages in one go. QueueFull and NoQuorum say how many had been
        ``accepted``.
        """
        if isinstance(payloads, str | bytes | bytearray | memoryview):
            raise TypeError("publish_many takes a sequence of payloads, not one")
        if not isinstance(payloads, Iterable):
            raise TypeError(
                f"publish_many takes a sequence of payloads, not {type(payloads).__name__}"
            )
        batch = [data if type(data) is bytes else self._checked_payload(data) for data in payloads]
        largest = max(map(len, batch), default=0)
        if largest > self._config.max_message_bytes:
            self._checked_payload(max(batch, key=len))
        check_topic(topic)
        driver = self._driver
        at = 0
        with driver.lock:
            driver.check_open()
            while at < len(batch):
                try:
                    room = self._wait_for_room(topic, self._send_until(timeout))
                except (QueueFull, NoQuorum) as error:
                    error.accepted = at
                    raise
                self._check_host_takes(topic, largest)
                buffer = self._buffer_of[topic]
                driver.buffers.order()
                most = min(room, MANY_MSGS, len(batch) - at)
                end = at + (most if most * largest <= MANY_BYTES else _fitting(batch, at, most))
                driver.buffers.order_now(buffer, batch[at:end])
                driver.loop.act()
                at = end

    def _checked_payload(self, data: object) -> bytes:
        if isinstance(data, str):
            raise TypeError("a payload must be bytes-like, not str: encode it first")
        if not isinstance(data, bytes):
            try:
                data = bytes(memoryview(data))  # type: ignore[arg-type]
            except TypeError:
                raise TypeError(
                    f"a payload must be bytes-like, not {type(data).__name__}"
                ) from None
        limit = self._config.max_message_bytes
        if len(data) > limit:
            raise MessageTooLarge(
                f"the message has {len(data)} bytes, max_message_bytes is {limit}", limit=limit
            )
        return data

    def _check_host_takes(self, topic: str, size: int) -> None:
        """Lock held. The host of a REMOTE topic would end the link at more than its limit."""
        if topic in self._traffic.registry.local:
            return
        remote = self._traffic.registry.host_of(topic)
        if remote is not None and remote.link is not None and size > remote.way.bytes_max:
            limit = remote.way.bytes_max
            raise MessageTooLarge(
                f"the message has {size} bytes, max_message_bytes of node {remote.node}, "
                f"which hosts topic {topic!r}, is {limit}",
                topic=topic,
                node=remote.node,
                limit=limit,
            )

    def _send_until(self, timeout: float | None | _SettingTimeout) -> float | None:
        return deadline(
            self._config.send_timeout if isinstance(timeout, _SettingTimeout) else timeout
        )

    def _wait_for_room(self, topic: str, until: float | None, *, may_wait: bool = True) -> int:
        """Lock held. How many messages the topic takes now, at least one. Then it has a buffer."""
        driver = self._driver
        self._tell_unknown(topic)
        room = self._room(topic)
        if room > 0:
            return room
        if not may_wait:
            raise WouldWait
        driver.loop.flush()
        room = self._wait(lambda: self._room(topic), until)
        self._tell_unknown(topic)
        if room > 0:
            return room
        hosted = self._traffic.registry.local.get(topic)
        if hosted is not None and self._config.overflow == "catch-up":
            self._traffic.set_aside_full(hosted, time.monotonic())
            return max(1, self._room(topic))
        slow = self._full_queue(topic)
        raise QueueFull(
            f"topic {topic!r}: the queue for {slow} is full "
            f"({self._traffic.sndhwm} messages, 16 MiB). "
            "Publish slower, or raise sndhwm",
            topic=topic,
            limit=self._traffic.sndhwm,
            node=slow,
        )

    def _tell_unknown(self, topic: str) -> None:
        """Lock held. Raises once a restart of the topic's host, if publishes may be lost in it."""
        registry = self._traffic.registry
        remote = None if topic in registry.local else registry.host_of(topic)
        if remote is None or remote.link is None:
            return
        unknown = self._traffic.unknown.pop(remote.node, 0)
        if unknown:
            error = HostUnreachable(
                f"node {remote.node}, which hosts topic {topic!r}, has restarted: nobody knows "
                f"whether it ordered the last {unknown} messages before that. Publish again",
                topic=topic,
                node=remote.node,
                reason="restarted",
            )
            error.unknown = unknown
            raise error

    def _full_queue(self, topic: str) -> str:
        hosted = self._traffic.registry.local.get(topic)
        if hosted is not None:
            for link in hosted.links:
                if link.room(self._traffic.sndhwm) == 0:
                    return link.node
            for link in hosted.links:
                # It reads in a history that has no room left.
                if hosted in link.lacks and not link.aside:
                    return link.node
            return self._node_id
        remote = self._traffic.registry.host_of(topic)
        return remote.node if remote is not None else "its host"

    def _room(self, topic: str) -> int:
        """Lock held. Room for a topic, less what its buffer holds. Raises if no node hosts it."""
        registry = self._traffic.registry
        hosted = registry.local.get(topic)
        if hosted is not None:
            if self._traffic.refusing:
                self._raise_no_quorum(topic)
            room = self._traffic.room(hosted)
        else:
            remote = registry.host_of(topic)
            if remote is None:
                self._raise_no_host(topic)
            if remote is None or remote.link is None:
                node = remote.node if remote is not None else None
                raise HostUnreachable(
                    f"topic {topic!r}: its host, node {node}, can't be reached",
                    topic=topic,
                    node=node,
                    reason="unreachable",
                )
            if remote.node in self._core.minorities:
                raise NoQuorum(
                    f"topic {topic!r}: its host, node {remote.node}, reaches no majority of its "
                    "members and refuses publishes. It takes them again when it does",
                    topic=topic,
                    node=remote.node,
                    reason="minority",
                )
            room = self._traffic.room_to(remote)
        buffer = self._buffer_of.get(topic)
        if buffer is None or buffer.hosted is not hosted:
            buffer = self._buffer_of[topic] = PublishBuffer(topic, hosted)
        buffer.limit = min(BUFFER_MSGS, room)
        return room - len(buffer.payloads)

    def _raise_no_quorum(self, topic: str) -> None:
        view = self._core.views.view
        reached = view.members & (view.reachable | {view.node})
        needed = majority(len(view.members))
        error = NoQuorum(
            f"topic {topic!r}: this node, {view.node}, reaches {len(reached)} of "
            f"{len(view.members)} members and needs {needed}. It takes publishes again when it "
            "does; see view()",
            topic=topic,
            node=view.node,
            limit=needed,
            reason="minority",
        )
        error.missing = tuple(sorted(view.members - reached))
        raise error

    def _raise_no_host(self, topic: str) -> None:
        routed = self._traffic.registry.routes.get(topic)
        if routed is not None and routed not in self._core.nodes:
            return
        raise TopicNotFound(f"no topic {topic!r}: nobody hosts it", topic=topic)

    def flush(self, timeout: float | None = None) -> None:
        """Waits until all that was accepted has reached the nodes it is for, of those connected.

        TimedOut after ``timeout``; what was accepted goes on its way all the same.
        """
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            driver.loop.flush()
            nodes = self._core.nodes
            sent = self._wait(lambda: not any(link.has_unsent for link in nodes.values()), until)
            nonces = [self._core.ping(link) for link in nodes.values()] if sent else []
            driver.loop.act()
            pings = self._core.pings
            if not sent or not self._wait(lambda: not any(n in pings for n in nonces), until):
                slow = sorted(
                    {link.node for link in nodes.values() if link.has_unsent}
                    | {pings[nonce].node for nonce in nonces if nonce in pings}
                )
                raise TimedOut(
                    f"not everything has reached {', '.join(slow) or 'the peers'} in {timeout} s"
                )


def _fitting(batch: list[bytes], at: int, most: int) -> int:
    """How many payloads go into a queue in one step: at least one, and about MANY_BYTES."""
    step = batch[at : at + most]
    if sum(map(len, step)) <= MANY_BYTES:
        return len(step)
    size = 0
    for count, payload in enumerate(step, 1):
        size += len(payload)
        if size >= MANY_BYTES:
            return count
    return len(step)

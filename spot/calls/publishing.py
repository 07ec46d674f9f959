"""Publishing.

The fast way of ``publish`` takes no lock: it appends to the topic's publish buffer, as
spot/runtime/threads.py explains. A publish takes the slow way if the topic has no buffer, if the
payload is not bytes or is large, or if a queue may be full.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from spot.calls.base import Calls
from spot.config import Config
from spot.core.membership.view import majority
from spot.errors import (
    HostUnreachable,
    MessageTooLarge,
    NoQuorum,
    QueueFull,
    TimedOut,
    TopicNotFound,
    WouldDeadlock,
)
from spot.names import check_topic
from spot.runtime.publish_buffers import BUFFER_MSGS, PublishBuffer
from spot.timeout import SEND_TIMEOUT, SendTimeout, Timeout, check_timeout, deadline

SMALL_BYTES = 1024
BUFFER_BYTES = 256 * 1024
DIRTY_BUFFERS = 1024
"""From this many dirty buffers on, a publish flushes at once. Until then a queue may exceed its
limit by one message a buffer."""
GLANCE_MASK = 31
"""Only every 32nd publish reads the clock."""
MANY_MSGS = 4096
MANY_BYTES = 1 << 20


NO_WAIT = SendTimeout()
"""Internal: a publish that would have to wait raises WouldWait instead, and changes nothing."""


class WouldWait(Exception):
    """The topic has no room for a publish that must not wait."""


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
        timeout: Timeout = SEND_TIMEOUT,
    ) -> None:
        """Publishes a message to a LOCAL topic, or to a REMOTE topic through its host.

        Returns when the message is accepted: at once, unless a subscriber's queue or the queue to
        the host is full. Then it waits. When ``timeout`` is over and the queue is still full, the
        setting ``overflow`` decides: ``catch-up`` sets the slow subscriber of a LOCAL topic aside
        and accepts the message, ``error`` raises QueueFull. A message whose publish has raised
        never arrives.

        Args:
            topic: The name of the topic.
            data: The payload, bytes-like, at most ``max_message_bytes``.
            timeout: Seconds to wait for room in a full queue. SEND_TIMEOUT (the default): as the
                setting ``send_timeout`` says. None: as long as it takes. 0: don't wait.

        Raises:
            TopicNotFound: No node is known to host the topic.
            QueueFull: A queue stayed full: a subscriber's queue with ``overflow="error"``, or the
                queue to the host of a REMOTE topic.
            HostUnreachable: The host of a REMOTE topic cannot be reached, or has restarted and may
                have lost earlier publishes, which ``unknown`` counts.
            MessageTooLarge: The payload is larger than ``max_message_bytes`` of this node or of the
                host.
            NoQuorum: The host has ``require_quorum`` and reaches no majority of the members.
            InvalidArgument: ``topic`` or ``timeout`` is not valid.
            TypeError: ``data`` is a str, or not bytes-like.
        """
        if timeout is not SEND_TIMEOUT and not (type(timeout) is float and timeout >= 0.0):
            check_timeout(timeout)
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
        except WouldDeadlock:
            # In a finalizer, say, which has interrupted a call of this thread.
            self._driver.buffers.arm()
        except BaseException:
            # A signal's handler has raised in between. What the buffer holds is sent all the same.
            self._driver.buffers.arm()
            raise

    def _publish_slowly(
        self,
        topic: str,
        data: bytes | bytearray | memoryview,
        timeout: Timeout,
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
        """Waits until the topic has room for a message, and publishes none."""
        with self._driver.lock:
            self._driver.check_open()
            self._driver.loop.flush()
            self._wait(lambda: self._room(topic) > 0, None)

    def publish_many(
        self,
        topic: str,
        payloads: Iterable[bytes | bytearray | memoryview],
        *,
        timeout: Timeout = SEND_TIMEOUT,
    ) -> None:
        """Publishes many messages to one topic in one go, which is quicker than one call for each.

        All payloads are checked before the first of them is accepted.

        Args:
            topic: The name of the topic.
            payloads: The payloads, each bytes-like and at most ``max_message_bytes``. They are
                published in this order.
            timeout: Seconds to wait for room whenever a queue is full, as for ``publish``.
                SEND_TIMEOUT (the default): as the setting ``send_timeout`` says. None: as long as
                it takes. 0: don't wait.

        Raises:
            TopicNotFound: No node is known to host the topic.
            QueueFull: A queue stayed full, as for ``publish``. ``accepted`` says how many payloads
                were accepted before.
            HostUnreachable: As for ``publish``.
            MessageTooLarge: A payload is larger than ``max_message_bytes`` of this node or of the
                host.
            NoQuorum: As for ``publish``. ``accepted`` says how many payloads were accepted before.
            InvalidArgument: ``topic`` or ``timeout`` is not valid.
            TypeError: ``payloads`` is one payload and no sequence, or one of them is not
                bytes-like.
        """
        check_timeout(timeout)
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
        """Lock held. Raises MessageTooLarge for more than the host of a REMOTE topic takes.

        The host would end the link.
        """
        if topic in self._core.registry.local:
            return
        remote = self._core.registry.host_of(topic)
        if remote is not None and remote.link is not None and size > remote.path.bytes_max:
            limit = remote.path.bytes_max
            raise MessageTooLarge(
                f"the message has {size} bytes, max_message_bytes of node {remote.node}, "
                f"which hosts topic {topic!r}, is {limit}",
                topic=topic,
                node=remote.node,
                limit=limit,
            )

    def _send_until(self, timeout: Timeout) -> float | None:
        return deadline(self._config.send_timeout if isinstance(timeout, SendTimeout) else timeout)

    def _wait_for_room(self, topic: str, until: float | None, *, may_wait: bool = True) -> int:
        """Lock held. How many messages the topic takes now, at least 1. Its buffer exists then."""
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
        hosted = self._core.registry.local.get(topic)
        if hosted is not None and self._config.overflow == "catch-up":
            self._core.replay.set_aside_full(hosted, time.monotonic())
            return max(1, self._room(topic))
        slow = self._full_queue(topic)
        raise QueueFull(
            f"topic {topic!r}: the queue for {slow} is full "
            f"({self._core.context.sndhwm} messages, 16 MiB). "
            "Publish slower, or raise sndhwm",
            topic=topic,
            limit=self._core.context.sndhwm,
            node=slow,
        )

    def _tell_unknown(self, topic: str) -> None:
        """Lock held. Raises HostUnreachable once for each restart that may have lost publishes."""
        registry = self._core.registry
        remote = None if topic in registry.local else registry.host_of(topic)
        if remote is None or remote.link is None:
            return
        unknown = self._core.remote.unknown.pop(remote.node, 0)
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
        hosted = self._core.registry.local.get(topic)
        if hosted is not None:
            peers = [(each, each.link) for each in hosted.subscribers]
            for subscriber, link in peers:
                if link is not None and subscriber.room(self._core.context.sndhwm) == 0:
                    return link.node
            for subscriber, link in peers:
                # It lacks messages of a replay buffer that has no room left.
                if link is not None and hosted in subscriber.cursors and not subscriber.aside:
                    return link.node
            return self._node_id
        remote = self._core.registry.host_of(topic)
        return remote.node if remote is not None else "its host"

    def _room(self, topic: str) -> int:
        """Lock held. Room for a topic, less what its buffer holds. Raises if no node hosts it."""
        registry = self._core.registry
        hosted = registry.local.get(topic)
        if hosted is not None:
            if self._core.context.refusing:
                self._raise_no_quorum(topic)
            room = self._core.hosting.room(hosted)
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
            if remote.node in self._core.failover.minorities:
                raise NoQuorum(
                    f"topic {topic!r}: its host, node {remote.node}, reaches no majority of its "
                    "members and refuses publishes. It takes them again when it does",
                    topic=topic,
                    node=remote.node,
                    reason="minority",
                )
            room = self._core.remote.room(remote)
        buffer = self._buffer_of.get(topic)
        if buffer is None or buffer.hosted is not hosted:
            buffer = self._buffer_of[topic] = PublishBuffer(topic, hosted)
        buffer.limit = min(BUFFER_MSGS, room)
        return room - len(buffer.payloads)

    def _raise_no_quorum(self, topic: str) -> None:
        view = self._core.failover.views.view
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
        routed = self._core.registry.routes.get(topic)
        if routed is not None and routed not in self._core.links.by_node:
            return
        raise TopicNotFound(f"no topic {topic!r}: nobody hosts it", topic=topic)

    def flush(self, timeout: float | None = None) -> None:
        """Waits until every message accepted so far has reached the peers that it is for.

        Peers that are not connected are not waited for.

        Args:
            timeout: Seconds to wait. None (the default): as long as it takes. 0: don't wait.

        Raises:
            TimedOut: Something had not arrived when ``timeout`` was over. It goes on its way all
                the same.
            InvalidArgument: ``timeout`` is negative or not a number.
        """
        until = deadline(timeout)
        driver = self._driver
        with driver.lock:
            driver.check_open()
            driver.loop.flush()
            core = self._core
            sent = self._wait(lambda: not core.unsent(), until)
            links = core.links.by_node.values() if sent else ()
            nonces = [core.barriers.ping(link) for link in links]
            driver.loop.act()
            pings = core.barriers.pings
            if not sent or not self._wait(lambda: not any(n in pings for n in nonces), until):
                slow = sorted(
                    {link.node for link in core.unsent()}
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

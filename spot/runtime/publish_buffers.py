"""Publish buffers: where publishes wait for the next flush, and how the flush orders them.

A publish appends to its topic's buffer without the lock. The buffers that hold something are
``dirty``. The thread that flushes has the lock. It orders what all buffers hold, and passes it to
the replay buffers and queues of the core.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from spot.core.node import NodeCore
from spot.core.topics.hosted_topic import HostedTopic

BUFFER_MSGS = 1000
FEW_MSGS = 8
BUFFERS_TOGETHER = 4
"""From this many buffers on, buffers with few messages are ordered together."""
HOT_S = 20e-6
HOT_PER_MSG_S = 1e-6
HOT_MAX_S = 200e-6
HOT_MANY_MAX_S = 1e-3


class IoThread(Protocol):
    """The thread that flushes when no publish does. See Wakeups."""

    def wake_io_thread(self) -> None:
        """Makes it flush soon. Called with the lock or without."""


class PublishBuffer:
    """The buffer in which publishes to one topic wait for a flush. ``hosted`` is None if it is
    REMOTE.

    It takes messages without the lock until it holds ``limit`` of them.
    """

    __slots__ = ("dirty", "hosted", "limit", "payloads", "topic")

    def __init__(self, topic: str, hosted: HostedTopic | None) -> None:
        self.topic = topic
        self.hosted = hosted
        self.payloads: list[bytes] = []
        self.dirty = False
        self.limit = 0


class PublishBuffers:
    """The publish buffers of a node. Call methods marked "lock held" with the node's lock."""

    def __init__(self, core: NodeCore, io_thread: IoThread) -> None:
        self._core = core
        self._io_thread = io_thread
        self.of_topic: dict[str, PublishBuffer] = {}
        self.dirty: deque[PublishBuffer] = deque()
        # Until then a publish leaves the flush to a later publish, or to the I/O thread, which is
        # armed for it. Publishers read both fields without the lock.
        self.hot_until = 0.0
        self.armed = False

    def order(self) -> int:
        """Lock held. Orders the published messages, and returns how many they were."""
        dirty = self.dirty
        count = 0
        buffers: list[PublishBuffer] = []
        topics: list[HostedTopic] = []
        payloads: list[bytes] = []
        most = FEW_MSGS if len(dirty) >= BUFFERS_TOGETHER else 0
        for _ in range(len(dirty)):
            buffer = dirty.popleft()
            buffer.dirty = False
            # Publishers append meanwhile. Exactly the messages that were taken must be removed.
            held = buffer.payloads
            waiting = len(held)
            hosted = buffer.hosted
            if 0 < waiting <= most and hosted is not None and not hosted.has_ended:
                buffers.append(buffer)
                topics.append(hosted)
                payloads.append(held.pop(0))
                if waiting > 1:
                    topics += [hosted] * (waiting - 1)
                    payloads += [held.pop(0) for _ in range(1, waiting)]
            elif waiting:
                if topics and hosted is not None:
                    # A topic has two buffers if its first one was retired. That one goes first.
                    count += self._order_together(buffers, topics, payloads)
                batch = held[:waiting]
                del held[:waiting]
                count += waiting
                self.order_now(buffer, batch)
        if topics:
            count += self._order_together(buffers, topics, payloads)
        if dirty and not self.armed:
            # A publish that made a buffer dirty meanwhile may have left it to this flush.
            self.arm()
        return count

    def _order_together(
        self, buffers: list[PublishBuffer], topics: list[HostedTopic], payloads: list[bytes]
    ) -> int:
        """Lock held. Orders what these buffers of LOCAL topics held, and empties the lists."""
        count = len(payloads)
        self._core.counters.publishes += count
        room = self._core.hosting.publish_across(topics, payloads)
        # The room is shared by all of these topics.
        limit = min(BUFFER_MSGS, room // len(buffers))
        if limit < BUFFER_MSGS:
            for buffer in buffers:
                buffer.limit = limit
        if not room:
            self.of_topic.clear()
        buffers.clear()
        topics.clear()
        payloads.clear()
        return count

    def order_now(self, buffer: PublishBuffer, batch: list[bytes]) -> None:
        """Lock held. Orders a batch, after what the buffer held before."""
        core = self._core
        core.counters.publishes += len(batch)
        hosted = buffer.hosted
        if hosted is not None:
            if core.registry.local.get(buffer.topic) is hosted:
                core.hosting.publish(hosted, batch)
                self._limit(buffer, core.hosting.room(hosted))
            else:
                core.counters.dropped_msgs += len(batch)
            return
        remote = core.registry.host_of(buffer.topic)
        if remote is None:
            core.counters.publish_unknown += len(batch)
        elif remote.link is None and remote.node in core.links.by_node:
            # The host is back, and hasn't announced the topic yet.
            core.remote.lose(remote.node, len(batch))
        else:
            core.remote.publish(remote, batch)
            self._limit(buffer, 0 if remote.link is None else core.remote.room(remote))

    def _limit(self, buffer: PublishBuffer, room: int) -> None:
        """Lock held. The buffer takes this many messages before it checks for room again."""
        buffer.limit = min(BUFFER_MSGS, room)
        if not room:
            # A full queue belongs to the peer, not to the topic: other buffers check again, too.
            self.of_topic.clear()

    def note_flush(self, count: int, began: float, ended: float) -> None:
        """Lock held. A flush of ``count`` messages was made. Sets how long the next batch may
        gather.

        The time grows with the number of messages that waited. It is at least as long as this flush
        took, so that flushes take no more than half of the time, however many subscribers there
        are.
        """
        gathers = min(HOT_S + count * HOT_PER_MSG_S, HOT_MAX_S)
        self.hot_until = ended + max(gathers, min(ended - began, HOT_MANY_MAX_S))

    def retire(self) -> None:
        """Lock held. Hosts have changed: the next publish to a REMOTE topic checks its host again.

        Without a quorum, the next publish to any topic does so.
        """
        refusing = self._core.context.refusing
        buffers = self.of_topic.values()
        for buffer in [buffer for buffer in buffers if refusing or buffer.hosted is None]:
            del self.of_topic[buffer.topic]

    def arm(self) -> None:
        """Makes the I/O thread flush soon. Called with the lock or without."""
        self.armed = True
        self._io_thread.wake_io_thread()

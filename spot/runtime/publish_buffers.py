"""Where publishes wait for the next flush, and how they get their order.

A publish appends to its topic's lane without the lock; the lanes that hold something are ``dirty``.
Who flushes, with the lock, gives what all of them hold its order, and the publishes go from there
to the histories and queues of the core.
"""

from __future__ import annotations

import os
from collections import deque

from spot.core.node import NodeCore
from spot.core.topics.hosted_topic import HostedTopic
from spot.runtime.wakeups import Readers

LANE_MSGS = 1000
FEW_MSGS = 8
TOGETHER_LANES = 4
"""From so many lanes on, those with few messages are ordered together."""


class Lane:
    """Where publishes to one topic wait for the next flush; ``hosted`` is None if it is REMOTE."""

    __slots__ = ("buffer", "dirty", "hosted", "limit", "topic")

    def __init__(self, topic: str, hosted: HostedTopic | None) -> None:
        self.topic = topic
        self.hosted = hosted
        self.buffer: list[bytes] = []
        self.dirty = False
        self.limit = 0


class Lanes:
    """The lanes of a node. What says "lock held" needs the node's lock."""

    def __init__(self, core: NodeCore, readers: Readers) -> None:
        self._core = core
        self._readers = readers
        self.of_topic: dict[str, Lane] = {}
        self.dirty: deque[Lane] = deque()
        # Until then a publish leaves the flush to the next one, or to the I/O thread, which is
        # armed for it. Publishers read both without the lock.
        self.hot_until = 0.0
        self.armed = False

    def order(self) -> int:
        """Lock held. Gives what was published its order, and returns how much that was."""
        dirty = self.dirty
        count = 0
        lanes: list[Lane] = []
        topics: list[HostedTopic] = []
        payloads: list[bytes] = []
        most = FEW_MSGS if len(dirty) >= TOGETHER_LANES else 0
        for _ in range(len(dirty)):
            lane = dirty.popleft()
            lane.dirty = False
            # Publishers append meanwhile: what is taken must be exactly what is removed.
            buffer = lane.buffer
            waiting = len(buffer)
            hosted = lane.hosted
            if 0 < waiting <= most and hosted is not None and not hosted.has_ended:
                lanes.append(lane)
                topics.append(hosted)
                payloads.append(buffer.pop(0))
                if waiting > 1:
                    topics += [hosted] * (waiting - 1)
                    payloads += [buffer.pop(0) for _ in range(1, waiting)]
            elif waiting:
                if topics and hosted is not None:
                    # A topic may have two lanes, when the first was retired: that comes first.
                    count += self._order_together(lanes, topics, payloads)
                batch = buffer[:waiting]
                del buffer[:waiting]
                count += waiting
                self.order_now(lane, batch)
        if topics:
            count += self._order_together(lanes, topics, payloads)
        if dirty and not self.armed:
            # Who made a lane dirty meanwhile may have left it to this.
            self.arm()
        return count

    def _order_together(
        self, lanes: list[Lane], topics: list[HostedTopic], payloads: list[bytes]
    ) -> int:
        """Lock held. Orders what these lanes of LOCAL topics held, and empties the lists."""
        count = len(payloads)
        self._core.counters.publishes += count
        room = self._core.hosting.publish_across(topics, payloads)
        # It is room for all of them.
        limit = min(LANE_MSGS, room // len(lanes))
        if limit < LANE_MSGS:
            for lane in lanes:
                lane.limit = limit
        if not room:
            self.of_topic.clear()
        lanes.clear()
        topics.clear()
        payloads.clear()
        return count

    def order_now(self, lane: Lane, batch: list[bytes]) -> None:
        """Lock held. Gives a batch its order, after what the lane held before."""
        core = self._core
        core.counters.publishes += len(batch)
        hosted = lane.hosted
        if hosted is not None:
            if core.registry.local.get(lane.topic) is hosted:
                core.hosting.publish(hosted, batch)
                self._limit(lane, core.hosting.room(hosted))
            else:
                core.counters.dropped_msgs += len(batch)
            return
        remote = core.registry.host_of(lane.topic)
        if remote is None:
            core.counters.publish_unknown += len(batch)
        elif remote.link is None and remote.node in core.links.by_node:
            # It is back, and hasn't announced the topic.
            core.remote.lose(remote.node, len(batch))
        else:
            core.remote.publish(remote, batch)
            self._limit(lane, 0 if remote.link is None else core.remote.room(remote))

    def _limit(self, lane: Lane, room: int) -> None:
        """Lock held. The lane takes so many without looking again."""
        lane.limit = min(LANE_MSGS, room)
        if not room:
            # A full queue is the peer's, not the topic's: the other lanes look again, too.
            self.of_topic.clear()

    def retire(self) -> None:
        """Lock held. Hosts have changed: the next publish to a REMOTE topic looks again.

        So does that to any topic while there is no quorum.
        """
        refusing = self._core.context.refusing
        for lane in [lane for lane in self.of_topic.values() if refusing or lane.hosted is None]:
            del self.of_topic[lane.topic]

    def arm(self) -> None:
        """Has the I/O thread flush soon. Called with the lock or without."""
        self.armed = True
        os.eventfd_write(self._readers.wake_io, 1)

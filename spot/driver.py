"""Threads, waiting, and the order in which things are done.

One lock guards the core and the socket. Who reads the socket changes:

- A thread that waits in a call (``recv``, ``cluster_sync``, ...) reads for itself: it *leads*.
  Others that wait follow, and one of them leads when the leader is done.
- While nobody waits, the I/O thread stands in, so that a node answers its peers whatever the
  application does. While somebody leads it sleeps, in short naps at first, and for good when the
  leader stays.

(The pattern is leader/followers: Schmidt et al., "Leader/Followers", PLoP 2000.)

Publishing takes no lock a message. A publish appends to its topic's lane; when the node was idle,
it flushes at once from the publishing thread; within HOT_S of a flush it leaves that to the next
publish after it, or to the I/O thread, which is armed for it. So a single message goes out at
once, and batches grow as the rate does.

zmq's descriptor is edge-triggered, and any call on the socket may eat the edge. Hence the rule
that holds the threads together: whoever has used the socket asks for input before it lets go
of the lock, and reads what there is.
"""

from __future__ import annotations

import logging
import os
import secrets
import select
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from spot.config import Config
from spot.core.cluster import Cluster
from spot.core.effects import Frame
from spot.core.hosts import QUORUM_LOST
from spot.core.liveness import lateness
from spot.core.registry import HostedTopic
from spot.endpoint import parse_endpoint
from spot.errors import Closed
from spot.guard import Guard
from spot.message import Event, Message
from spot.transport import Transport, look_up, numeric_address

log = logging.getLogger("spot")

HOT_S = 20e-6
HOT_PER_MSG_S = 1e-6
HOT_MAX_S = 200e-6
HOT_MANY_MAX_S = 1e-3
ARMED_NAP_S = 300e-6
NAP_S = 0.01
NAPS_BEFORE_SLEEP = 10
FRAMES_PER_TURN = 64
TURN_S = 0.05
"""However much there is to read, heartbeats and other threads come in between."""
LANE_MSGS = 1000
FEW_MSGS = 8
TOGETHER_LANES = 4
"""From so many lanes on, those with few messages are ordered together."""
REFUSALS_TOLD_MAX = 256
LOCK_S = 0.5
SETTLE_S = (0.002, 0.02)

Found = TypeVar("Found")

_LEVELS = {
    "refused": logging.WARNING,
    "host_lost": logging.WARNING,
    "conflict": logging.WARNING,
    "set_aside": logging.WARNING,
    "link_up": logging.INFO,
    "link_down": logging.INFO,
    "host_back": logging.INFO,
    "caught_up": logging.INFO,
    "conflict_over": logging.INFO,
    "route": logging.WARNING,
    "view": logging.INFO,
}


class Lane:
    """Where publishes to one topic wait for the next flush; ``hosted`` is None if it is REMOTE."""

    __slots__ = ("buffer", "dirty", "hosted", "limit", "topic")

    def __init__(self, topic: str, hosted: HostedTopic | None) -> None:
        self.topic = topic
        self.hosted = hosted
        self.buffer: list[bytes] = []
        self.dirty = False
        self.limit = 0


class Driver:
    """Runs one Cluster on one Transport. What says "lock held" needs the lock."""

    def __init__(self, config: Config, node: str) -> None:
        self._wake_leader = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_io = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not closed with the node: a publish that overlaps with the end may still write to them.
        weakref.finalize(self, _close_fds, self._wake_leader, self._wake_io).atexit = False
        self.lock = Guard(self._wake_leader)
        self.cluster = Cluster(
            config,
            node,
            time.time_ns(),
            time.monotonic(),
            lambda: secrets.randbelow(1 << 30) / (1 << 30),
            lambda: secrets.randbits(63) | 1,
        )
        self.transport = Transport(config)
        self.lanes: dict[str, Lane] = {}
        self.dirty: deque[Lane] = deque()
        # Decoded messages, which ``recv`` pops without the lock.
        self.current: deque[Message] = deque()
        self.hot_until = 0.0
        self.armed = False
        self.closing = False
        self.closed = False
        self.listeners: list[deque[Event]] = []
        self.on_change: Callable[[], None] | None = None
        self._refusals_told: dict[str, str | None] = {}
        self._log_level = getattr(logging, config.log_level.upper())
        self._changed = threading.Condition(self.lock.raw)
        self._waiting = 0
        self._leading = False
        self._inside: set[int] = set()
        self._abandoned = False
        self._lead_count = 0
        self._left_at = 0.0
        self._poll_until = 0.0
        self._io_asleep = False
        self._io_polls = False
        self._unasked = False
        self._unsent: list[bytes] = []
        self._settle: list[float] = []
        self._resolving: set[str] = set()
        self._socket_fd = self.transport.poll_fds[0]
        self._leader_poll = self._make_poll(self._wake_leader)
        self._io_poll = self._make_poll(self._wake_io)
        self._nap_poll = select.poll()
        self._nap_poll.register(self._wake_io, select.POLLIN)
        self._io = threading.Thread(target=self._io_loop, name=f"spot-{node}", daemon=True)
        self._io.start()
        _alive.add(self)

    def _make_poll(self, wake: int) -> select.poll:
        poll = select.poll()
        for fd in (*self.transport.poll_fds, wake):
            poll.register(fd, select.POLLIN)
        return poll

    def check_open(self) -> None:
        if self.closing:
            raise Closed("the node is closed")

    # Turns (lock held)

    def serve(self, *, ready: bool = False, monitor: bool = False, lead: bool = False) -> None:
        """Lock held. Reads what has arrived, does what is due, sends what can go.

        ``ready`` and ``monitor`` say that the poll found the socket, or its monitor, readable;
        ``lead`` that a thread waits for what there is.
        """
        cluster = self.cluster
        transport = self.transport
        inbox = cluster.traffic.inbox
        now = time.monotonic()
        left = FRAMES_PER_TURN
        more = ready or transport.has_input()
        self._unasked = False
        while True:
            while more and left:
                received = transport.receive()
                if received is not None:
                    self._hand_over(*received, now)
                left -= 1
                if time.monotonic() - now > TURN_S:
                    left = 0
                if lead and inbox.items and not self._io_polls:
                    # What came is handed out first; who polls next asks whether there is more.
                    self._unasked = True
                    break
                more = transport.has_input()
            if monitor:
                monitor = False
                transport.read_monitor()
            if self._unsent and not more:
                self._lose_unsent(now)
            if transport.ended and not more:
                # What they sent before their end has been read.
                for conn, why in transport.take_ended():
                    cluster.lost(conn, why, now)
            if now >= cluster.deadline:
                late = lateness(cluster.deadline, now)
                for conn in cluster.quiet(now):
                    if transport.progressed(conn):
                        cluster.alive(conn, now)
                cluster.tick(now)
                if late:
                    # A node that was itself stopped has not yet read who greeted meanwhile.
                    transport.strangers.excuse(late, now)
                else:
                    transport.end_strangers(now, cluster.is_link)
            used = self.carry_out(now)
            if self._unasked:
                return
            if not left:
                # There may be more, of which no descriptor tells.
                self._unasked = True
                self.wake_reader()
                return
            more = used and transport.has_input()
            if not more:
                return

    def _hand_over(self, conn: bytes, parts: Frame, now: float) -> None:
        try:
            self.cluster.frame(conn, parts, now)
        except Exception:
            # Whatever a peer managed to upset, it is this link that ends, not the node.
            log.exception("%s: a frame could not be handled; its link ends", self.cluster.node)
            self.cluster.give_up(conn, "a frame could not be handled", now)

    def carry_out(self, now: float) -> bool:
        """Lock held. Sends, dials and hangs up as the core has decided, and tells of it.

        True if the socket was used: then somebody has to ask it for input.
        """
        cluster = self.cluster
        effects = cluster.effects
        used = False
        while (
            effects.touched or effects.sends or effects.dials or effects.hangups or effects.rerouted
        ):
            used = True
            if effects.rerouted:
                effects.rerouted = False
                # What was accepted for a host that is lost waits for it.
                self.order_lanes()
                self.retire_lanes()
            for conn, parts in cluster.take_sends(now):
                if not self.transport.send(conn, parts):
                    self._unsent.append(conn)
            if self._unsent and not self.transport.has_input():
                self._lose_unsent(now)
            if effects.hangups:
                hangups, effects.hangups = effects.hangups, []
                for conn in hangups:
                    self.transport.forget(conn)
                self._settle = [now + wait for wait in SETTLE_S]
            if effects.dials:
                dials, effects.dials = effects.dials, []
                for conn, endpoint in dials:
                    self._dial(conn, endpoint, now)
        if effects.strangers:
            strangers, effects.strangers = effects.strangers, []
            for conn, why in strangers:
                self.transport.tell_stranger(conn, why)
        if effects.events:
            self._tell()
        if effects.progress:
            effects.progress = False
            if self._waiting:
                self._changed.notify_all()
            if self._leading:
                os.eventfd_write(self._wake_leader, 1)
            if self.on_change is not None:
                self.on_change()
        if cluster.deadline < self._poll_until or (
            self._settle and self._settle[0] < self._poll_until
        ):
            self.wake_reader()
        return used

    def _lose_unsent(self, now: float) -> None:
        """Lock held. What the peers had sent before their end has been read."""
        unsent, self._unsent = self._unsent, []
        for conn in unsent:
            self.cluster.lost(conn, "closed", now)

    def act(self) -> None:
        """Lock held. After a call has changed the core: carries it out, and reads what came."""
        now = time.monotonic()
        if self.carry_out(now):
            if self.transport.has_input():
                self.serve(ready=True)
                return
            self._unasked = False
        if now >= self.cluster.deadline:
            # Threads that use the node all the time may keep the lock from who is to tick.
            self.serve()

    def wake_reader(self) -> None:
        """Lock held. Has the thread that reads look at its deadlines."""
        os.eventfd_write(self._wake_leader if self._leading else self._wake_io, 1)

    def _dial(self, conn: bytes, endpoint: str, now: float) -> None:
        parsed = parse_endpoint(endpoint)
        address = numeric_address(parsed)
        if address is not None:
            self._connect(conn, address, now)
            return
        if parsed.host in self._resolving:
            self.cluster.lost(conn, f"the name {parsed.host} is still being looked up", now)
            return
        self._resolving.add(parsed.host)

        def resolve() -> None:
            why = ""
            found = ""
            try:
                found = look_up(parsed)
            except (OSError, UnicodeError) as error:
                why = f"the name {parsed.host} can't be resolved: {error}"
            with self.lock:
                self._resolving.discard(parsed.host)
                if self.closing:
                    return
                if found:
                    self._connect(conn, found, time.monotonic())
                else:
                    self.cluster.lost(conn, why, time.monotonic())
                self.act()

        threading.Thread(target=resolve, name="spot-resolve", daemon=True).start()

    def _connect(self, conn: bytes, address: str, now: float) -> None:
        if conn not in self.cluster.links:
            return
        try:
            other = self.transport.connect(conn, address)
        except OSError as error:
            self.cluster.lost(conn, f"can't dial {address}: {error.strerror}", now)
            return
        if other is not None:
            self.cluster.same(conn, other, now)
        else:
            self.cluster.made(conn, now)

    # Flushing (lock held)

    def flush_lanes(self) -> None:
        """Lock held. Turns what was published into batches, and sends them."""
        if self.closed:
            raise Closed("the node is closed")
        began = time.monotonic()
        count = self.order_lanes()
        self.act()
        now = time.monotonic()
        # The more was waiting, the longer the next batch may gather; and for as long as this one
        # took, so that no more than half of the time goes into flushing, however many listen.
        gathers = min(HOT_S + count * HOT_PER_MSG_S, HOT_MAX_S)
        self.hot_until = now + max(gathers, min(now - began, HOT_MANY_MAX_S))

    def order_lanes(self) -> int:
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
        traffic = self.cluster.traffic
        traffic.counters.publishes += count
        room = traffic.publish_together(topics, payloads)
        # It is room for all of them.
        limit = min(LANE_MSGS, room // len(lanes))
        if limit < LANE_MSGS:
            for lane in lanes:
                lane.limit = limit
        if not room:
            self.lanes.clear()
        lanes.clear()
        topics.clear()
        payloads.clear()
        return count

    def order_now(self, lane: Lane, batch: list[bytes]) -> None:
        """Lock held. Gives a batch its order, after what the lane held before."""
        traffic = self.cluster.traffic
        traffic.counters.publishes += len(batch)
        hosted = lane.hosted
        if hosted is not None:
            if traffic.registry.local.get(lane.topic) is hosted:
                traffic.publish(hosted, batch)
                self._limit(lane, traffic.room(hosted))
            else:
                traffic.counters.dropped_msgs += len(batch)
            return
        remote = traffic.registry.host_of(lane.topic)
        if remote is None:
            traffic.counters.publish_unknown += len(batch)
        elif remote.link is None and remote.node in self.cluster.nodes:
            # It is back, and hasn't announced the topic.
            traffic.lose_publishes(remote.node, len(batch))
        else:
            traffic.publish_remote(remote, batch)
            self._limit(lane, 0 if remote.link is None else traffic.room_to(remote))

    def _limit(self, lane: Lane, room: int) -> None:
        """Lock held. The lane takes so many without looking again."""
        lane.limit = min(LANE_MSGS, room)
        if not room:
            # A full queue is the peer's, not the topic's: the other lanes look again, too.
            self.lanes.clear()

    def retire_lanes(self) -> None:
        """Lock held. Hosts have changed: the next publish to a REMOTE topic looks again.

        So does that to any topic while there is no quorum.
        """
        refusing = self.cluster.traffic.refusing
        for lane in [lane for lane in self.lanes.values() if refusing or lane.hosted is None]:
            del self.lanes[lane.topic]

    def arm(self) -> None:
        """Has the I/O thread flush soon. Called with the lock or without."""
        self.armed = True
        os.eventfd_write(self._wake_io, 1)

    # Waiting (lock held)

    def poll(self) -> None:
        """Lock held. Does what can be done without waiting."""
        if self.dirty:
            self.order_lanes()
        self.serve()

    def wait(
        self, ready: Callable[[], Found], until: float | None, *, closing: bool = False
    ) -> Found:
        """Lock held. Waits until ``ready()`` is true, and returns its last value.

        The lock is given up while waiting. Raises Closed when the node is closed meanwhile,
        unless it is the closing that waits: a signal that was put off ends that early.
        """
        led = False
        inside = threading.get_ident()
        self._inside.add(inside)
        try:
            while True:
                if self.closing and not closing:
                    self.check_open()
                found = ready()
                if found or (until is not None and time.monotonic() >= until):
                    return found
                if self.lock.noted and self.lock.is_due():
                    if closing:
                        return found
                    self.lock.run_handlers()
                elif self._leading:
                    self._waiting += 1
                    try:
                        self._changed.wait(until if until is None else until - time.monotonic())
                    finally:
                        self._waiting -= 1
                else:
                    led = True
                    self._lead(until)
        finally:
            self._inside.discard(inside)
            if led:
                self._lead_count += 1
                self._left_at = time.monotonic()
                if self._io_asleep:
                    self._io_asleep = False
                    os.eventfd_write(self._wake_io, 1)
            if self._waiting and self.lock.is_held:
                self._changed.notify_all()

    def _lead(self, until: float | None) -> None:
        if self.dirty:
            self.flush_lanes()
            return
        if self.cluster.effects.touched:
            self.act()
            return
        if self._unasked:
            self.serve(lead=True)
            return
        due = self._due()
        if until is not None and until < due:
            due = until
        self._leading = True
        self._poll_until = due
        wait = _poll_ms(due)
        try:
            self.lock.raw.release()
            ready = self._leader_poll.poll(wait)
        finally:
            self.lock.raw.acquire()
            self._leading = False
        self._turn(ready, self._wake_leader, lead=True)

    def _due(self) -> float:
        """Lock held. When something is to be done, though nothing comes."""
        due = self.cluster.deadline
        return min(due, self._settle[0]) if self._settle else due

    def _turn(self, ready: list[tuple[int, int]], wake: int, *, lead: bool) -> None:
        """Lock held. After a poll, which found these descriptors readable."""
        self._poll_until = 0.0
        monitor = False
        if self._settle:
            now = time.monotonic()
            self._settle = [at for at in self._settle if at > now]
            monitor = True
        readable = False
        for fd, _ in ready:
            if fd == self._socket_fd:
                readable = True
            elif fd == wake:
                os.eventfd_read(wake)
                if self._waiting:
                    # The main thread may be among them, and a signal have come.
                    self._changed.notify_all()
            else:
                monitor = True
        self.serve(ready=readable, monitor=monitor, lead=lead)

    # The I/O thread

    def _io_loop(self) -> None:
        naps = 0
        seen = 0
        ready: list[tuple[int, int]] = []
        while True:
            if self.armed:
                time.sleep(ARMED_NAP_S)
            with self.lock:
                self._io_polls = False
                if self._abandoned and not self.closing:
                    self._leave_alone()
                if self.closed:
                    return
                if self.armed:
                    self._flush_armed()
                stands_in = not self._leading and time.monotonic() - self._left_at >= NAP_S
                if stands_in:
                    naps = 0
                    self._turn(ready, self._wake_io, lead=False)
                    self._io_polls = True
                    self._poll_until = self._due()
                    wait: float | None = _poll_ms(self._poll_until)
                else:
                    naps = naps + 1 if self._lead_count == seen else 0
                    seen = self._lead_count
                    self._io_asleep = naps > NAPS_BEFORE_SLEEP and self._leading
                    wait = None if self._io_asleep else NAP_S * 1000
            if self.armed:
                wait = 0
            ready = []
            if stands_in:
                ready = self._io_poll.poll(wait)
            elif self._nap_poll.poll(wait):
                os.eventfd_read(self._wake_io)

    def _flush_armed(self) -> None:
        """Lock held. Flushes; a quiet nap disarms."""
        if self.dirty:
            # Soon after a flush the next publish is likely to do it, with all that it touches near.
            if time.monotonic() >= self.hot_until:
                self.flush_lanes()
            return
        self.armed = False
        # A publish that saw the armed state before it ended relied on this thread.
        if self.dirty:
            self.armed = True

    # Events

    def _tell(self) -> None:
        events = self.cluster.effects.events
        self.cluster.effects.events = []
        for event in events:
            for listener in self.listeners:
                listener.append(event)
            level = self._level_of(event)
            if level >= self._log_level and log.isEnabledFor(level):
                log.log(level, "%s: %s", self.cluster.node, _sentence(event))
        self.cluster.effects.progress = True

    def _level_of(self, event: Event) -> int:
        """Lock held. A refusal that repeats with every dial is told once, until a link was up."""
        told = self._refusals_told
        if event.kind == "link_up":
            told.pop(event.node or "", None)
        elif event.kind == "refused":
            who = event.node or event.endpoint or ""
            if told.get(who) == event.reason or len(told) >= REFUSALS_TOLD_MAX:
                return logging.DEBUG
            told[who] = event.reason
        elif event.kind == "view" and event.reason == QUORUM_LOST:
            return logging.WARNING
        return _LEVELS.get(event.kind, logging.DEBUG)

    # The end

    def refuse_calls(self) -> None:
        """Lock held. From now on calls raise Closed, and those that wait do so too."""
        self.closing = True
        self.lanes.clear()
        os.eventfd_write(self._wake_leader, 1)
        self._changed.notify_all()
        if self.on_change is not None:
            self.on_change()

    def is_interrupted_here(self) -> bool:
        """Whether this thread is within a call of the node, which a signal handler interrupted."""
        if threading.get_ident() in self._inside:
            return True
        # Nobody else holds the lock for so long.
        if not self.lock.raw.acquire(timeout=LOCK_S):
            return True
        self.lock.raw.release()
        return False

    def abandon(self) -> None:
        """The application dropped the node without closing it: the I/O thread ends it.

        Called by the garbage collector, in any thread and at any point.
        """
        if not self.closing:
            self._abandoned = True
            os.eventfd_write(self._wake_io, 1)
            warnings.warn(f"node {self.cluster.node} was not closed", ResourceWarning, stacklevel=2)

    def _leave_alone(self) -> None:
        """Lock held, in the I/O thread, and nobody is there who could call."""
        self.refuse_calls()
        self.flush_lanes()
        self.cluster.leave()
        self.act()
        self.closed = True
        self.transport.close()
        _alive.discard(self)

    def shut(self) -> None:
        """Ends the threads and the sockets, without any goodbye. Called without the lock."""
        with self.lock:
            self.refuse_calls()
            os.eventfd_write(self._wake_io, 1)
            while self._leading or self._waiting:
                self._changed.wait(0.01)
            self.closed = True
        if threading.current_thread() is not self._io:
            self._io.join()
        with self.lock:
            self.transport.close()
        _alive.discard(self)


def _close_fds(*fds: int) -> None:
    for fd in fds:
        os.close(fd)


def _poll_ms(until: float) -> int:
    return max(0, min(int((until - time.monotonic()) * 1000) + 1, 3_600_000))


def _sentence(event: Event) -> str:
    words = [event.kind.replace("_", " ")]
    if event.node is not None:
        words.append(f"node {event.node}")
    if event.endpoint is not None:
        words.append(f"at {event.endpoint}")
    if event.reason is not None:
        words.append(f"({event.reason})")
    if event.topics:
        words.append(
            f"topics {', '.join(event.topics[:5])}{' ...' if len(event.topics) > 5 else ''}"
        )
    if event.delay is not None:
        words.append(f"next dial in {event.delay:.2f} s")
    if event.count is not None:
        words.append(f"{event.count} messages dropped")
    if event.view is not None:
        view = event.view
        words.append(
            f"version {view.version}, reaches {', '.join(sorted(view.reachable)) or 'nobody'}"
        )
    return " ".join(words)


_alive: weakref.WeakSet[Driver] = weakref.WeakSet()


def _after_fork() -> None:
    """The sockets and threads are the parent's: in the child, its nodes are closed."""
    for driver in list(_alive):
        driver.closing = driver.closed = True
        driver.lock = Guard(driver._wake_leader)
        driver.lanes.clear()
        driver.current.clear()
        driver.listeners.clear()
        # Its descriptor is shared with the parent, whose it stays.
        driver.on_change = None
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork)

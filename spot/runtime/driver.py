"""The threads of a node: who reads the socket, who waits, who flushes, and how all that ends.

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

What a thread does while it has the lock is a turn (turns.py). Turns keep the rule that holds the
threads together: who has used the socket asks for input before it lets go of the lock.
"""

from __future__ import annotations

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
from spot.core.node import NodeCore
from spot.errors import Closed
from spot.message import Message
from spot.runtime.event_log import Telling
from spot.runtime.event_loop import Turns
from spot.runtime.publish_buffers import Lanes
from spot.runtime.signal_lock import Guard
from spot.runtime.wakeups import Readers
from spot.transport.zmq_transport import Transport

HOT_S = 20e-6
HOT_PER_MSG_S = 1e-6
HOT_MAX_S = 200e-6
HOT_MANY_MAX_S = 1e-3
ARMED_NAP_S = 300e-6
NAP_S = 0.01
NAPS_BEFORE_SLEEP = 10
LOCK_S = 0.5

Found = TypeVar("Found")


class Driver:
    """Runs one NodeCore on one Transport. What says "lock held" needs the lock."""

    def __init__(self, config: Config, node: str) -> None:
        self.readers = Readers()
        self.lock = self.readers.lock
        self.core = NodeCore(
            config,
            node,
            time.time_ns(),
            time.monotonic(),
            lambda: secrets.randbelow(1 << 30) / (1 << 30),
            lambda: secrets.randbits(63) | 1,
        )
        self.transport = Transport(config)
        self.lanes = Lanes(self.core, self.readers)
        self.telling = Telling(node, config.log_level)
        self.turns = Turns(self.core, self.transport, self.lanes, self.readers, self.telling)
        # Decoded messages, which ``recv`` pops without the lock.
        self.current: deque[Message] = deque()
        self.closing = False
        self.closed = False
        # Whether the interpreter is about to end.
        self.is_exiting = False
        self._is_parents = False
        self._dirty = self.lanes.dirty
        self._inside: set[int] = set()
        self._abandoned = False
        self._lead_count = 0
        self._left_at = 0.0
        self._io_asleep = False
        self._leader_poll = self._make_poll(self.readers.wake_leader)
        self._io_poll = self._make_poll(self.readers.wake_io)
        self._nap_poll = select.poll()
        self._nap_poll.register(self.readers.wake_io, select.POLLIN)
        self._io = threading.Thread(target=self._io_loop, name=f"spot-{node}", daemon=True)
        self._io.start()
        _alive.add(self)

    def _make_poll(self, wake: int) -> select.poll:
        poll = select.poll()
        for fd in (*self.transport.poll_fds, wake):
            poll.register(fd, select.POLLIN)
        return poll

    def check_open(self) -> None:
        """Raises Closed once ``close`` was called, here or by another thread."""
        if self._is_parents:
            raise Closed(
                "the node belongs to the parent of this forked process: make one of its own here"
            )
        if self.closing:
            if self.is_exiting and threading.current_thread().daemon:
                # Only daemon threads are left then. Closed would print a traceback of each.
                raise SystemExit
            raise Closed("the node is closed")

    # Flushing (lock held)

    def flush_lanes(self) -> None:
        """Lock held. Turns what was published into batches, and sends them."""
        if self.closed:
            self.check_open()
        began = time.monotonic()
        count = self.lanes.order()
        self.turns.act()
        now = time.monotonic()
        # The more was waiting, the longer the next batch may gather; and for as long as this one
        # took, so that no more than half of the time goes into flushing, however many listen.
        gathers = min(HOT_S + count * HOT_PER_MSG_S, HOT_MAX_S)
        self.lanes.hot_until = now + max(gathers, min(now - began, HOT_MANY_MAX_S))

    # Waiting (lock held)

    def poll(self) -> None:
        """Lock held. Does what can be done without waiting."""
        if self._dirty:
            self.lanes.order()
        self.turns.serve()

    def wait(
        self, ready: Callable[[], Found], until: float | None, *, closing: bool = False
    ) -> Found:
        """Lock held. Waits until ``ready()`` is true, and returns its last value.

        The lock is given up while waiting. Raises Closed when the node is closed meanwhile,
        unless it is the closing that waits: a signal that was put off ends that early.
        """
        led = False
        readers = self.readers
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
                elif readers.leading:
                    readers.waiting += 1
                    try:
                        readers.changed.wait(until if until is None else until - time.monotonic())
                    finally:
                        readers.waiting -= 1
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
                    os.eventfd_write(readers.wake_io, 1)
            if readers.waiting and self.lock.is_held:
                readers.changed.notify_all()

    def _lead(self, until: float | None) -> None:
        """Lock held. Does what can be done without waiting; if that is nothing, polls once."""
        if self._dirty:
            self.flush_lanes()
            return
        turns = self.turns
        if self.core.effects.touched:
            turns.act()
            return
        if turns.unasked:
            turns.serve(lead=True)
            return
        due = turns.due()
        if until is not None and until < due:
            due = until
        readers = self.readers
        readers.leading = True
        turns.poll_until = due
        wait = _poll_ms(due)
        try:
            self.lock.raw.release()
            ready = self._leader_poll.poll(wait)
        finally:
            self.lock.raw.acquire()
            readers.leading = False
        turns.after_poll(ready, readers.wake_leader, lead=True)

    # The I/O thread

    def _io_loop(self) -> None:
        readers = self.readers
        lanes = self.lanes
        turns = self.turns
        naps = 0
        seen = 0
        ready: list[tuple[int, int]] = []
        while True:
            if lanes.armed:
                time.sleep(ARMED_NAP_S)
            with self.lock:
                readers.io_polls = False
                if self._abandoned and not self.closing:
                    self._leave_alone()
                if self.closed:
                    return
                if lanes.armed:
                    self._flush_armed()
                stands_in = not readers.leading and time.monotonic() - self._left_at >= NAP_S
                if stands_in:
                    naps = 0
                    turns.after_poll(ready, readers.wake_io, lead=False)
                    readers.io_polls = True
                    turns.poll_until = turns.due()
                    wait: float | None = _poll_ms(turns.poll_until)
                else:
                    naps = naps + 1 if self._lead_count == seen else 0
                    seen = self._lead_count
                    self._io_asleep = naps > NAPS_BEFORE_SLEEP and readers.leading
                    wait = None if self._io_asleep else NAP_S * 1000
            if lanes.armed:
                wait = 0
            ready = []
            if stands_in:
                ready = self._io_poll.poll(wait)
            elif self._nap_poll.poll(wait):
                os.eventfd_read(readers.wake_io)

    def _flush_armed(self) -> None:
        """Lock held. Flushes; a quiet nap disarms."""
        lanes = self.lanes
        if lanes.dirty:
            # Soon after a flush the next publish is likely to do it, with all that it touches near.
            if time.monotonic() >= lanes.hot_until:
                self.flush_lanes()
            return
        lanes.armed = False
        # A publish that saw the armed state before it ended relied on this thread.
        if lanes.dirty:
            lanes.armed = True

    # The end

    def refuse_calls(self) -> None:
        """Lock held. From now on calls raise Closed, and those that wait do so too."""
        self.closing = True
        self.lanes.of_topic.clear()
        self.turns.dialling.stop()
        self.readers.tell_end()

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
            os.eventfd_write(self.readers.wake_io, 1)
            warnings.warn(f"node {self.core.node} was not closed", ResourceWarning, stacklevel=2)

    def _leave_alone(self) -> None:
        """Lock held, in the I/O thread, and nobody is there who could call."""
        self.refuse_calls()
        self.flush_lanes()
        self.core.leave()
        self.turns.act()
        self.closed = True
        self.transport.close()
        _alive.discard(self)

    def shut(self) -> None:
        """Ends the threads and the sockets, without any goodbye. Called without the lock."""
        with self.lock:
            self.refuse_calls()
            os.eventfd_write(self.readers.wake_io, 1)
            while self.readers.leading or self.readers.waiting:
                self.readers.changed.wait(0.01)
            self.closed = True
        if threading.current_thread() is not self._io:
            self._io.join()
        with self.lock:
            self.transport.close()
        _alive.discard(self)

    def end_in_child(self) -> None:
        """After a fork: the sockets and threads are the parent's, the child's node is closed."""
        self.closing = self.closed = self._is_parents = True
        self.lock = self.readers.lock = Guard(self.readers.wake_leader)
        self.lanes.of_topic.clear()
        self.current.clear()
        self.telling.listeners.clear()
        # Its descriptor is shared with the parent, whose it stays.
        self.readers.on_change = None


def _poll_ms(until: float) -> int:
    return max(0, min(int((until - time.monotonic()) * 1000) + 1, 3_600_000))


_alive: weakref.WeakSet[Driver] = weakref.WeakSet()


def _after_fork() -> None:
    for driver in list(_alive):
        driver.end_in_child()
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork)

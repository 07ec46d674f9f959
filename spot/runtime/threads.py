"""The threads of a node: which one reads the socket, which wait, which flush, and how all end.

One lock guards the core and the socket. Which thread reads the socket changes:

- A thread that waits in a call (``recv``, ``cluster_sync``, ...) reads for itself: it *leads*.
  Other threads that wait *follow*. One of them leads when the leader is done.
- While no thread waits, the I/O thread reads. So a node answers its peers whatever the application
  does. While a thread leads, the I/O thread sleeps. At first it takes short naps; if the leader
  stays, it sleeps until it is woken.

(The pattern is leader/followers: Schmidt et al., "Leader/Followers", PLoP 2000.)

Publishing takes no lock for each message. A publish appends to its topic's publish buffer. If the
node was idle, the publishing thread flushes at once. Shortly after a flush (see publish_buffers.py)
it leaves the flush to a later publish, or to the I/O thread, which is armed for it. So a single
message goes out at once, and batches grow with the rate.

Other threads of a node: one for each name that is being looked up (resolver.py); one that closes
the node if a signal handler called ``close`` (node.py); in spot.aio, one for each call that waits.
One thread in each process answers who may connect (transport/zap.py).

event_loop.py says what a thread does with the core and the socket while it has the lock.
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
from contextlib import suppress
from typing import NoReturn, TypeVar

from spot.config import Config
from spot.core.node import NodeCore
from spot.errors import Closed, SpotError
from spot.message import Message
from spot.runtime.event_log import EventLog
from spot.runtime.event_loop import EventLoop
from spot.runtime.publish_buffers import PublishBuffers
from spot.runtime.resolver import ThreadResolver
from spot.runtime.wakeups import Wakeups
from spot.transport.limits import check_descriptors, too_many_threads
from spot.transport.zmq_transport import NODE_DESCRIPTORS, ZmqTransport

ARMED_NAP_S = 300e-6
NAP_S = 0.01
NAPS_BEFORE_SLEEP = 10
JOIN_S = 0.05
OWN_DESCRIPTORS = 2
"""Those of Wakeups."""

Found = TypeVar("Found")


class Driver:
    """Runs the event loop of one node, on zmq. Call methods marked "lock held" with the lock."""

    def __init__(self, config: Config, node: str) -> None:
        check_descriptors(OWN_DESCRIPTORS + NODE_DESCRIPTORS, "start a node")
        self.wakeups = Wakeups()
        self.lock = self.wakeups.lock
        self.core = NodeCore(
            config,
            node,
            time.time_ns(),
            time.monotonic(),
            lambda: secrets.randbelow(1 << 30) / (1 << 30),
            lambda: secrets.randbits(63) | 1,
        )
        try:
            self.transport = ZmqTransport(config, self.lock.log.warning)
        except SpotError:
            self.wakeups.discard()
            raise
        self.buffers = PublishBuffers(self.core, self.wakeups)
        self.event_log = EventLog(node, config.log_level, self.lock.log)
        self._resolver = ThreadResolver(self.lock)
        self.loop = EventLoop(
            self.core,
            self.transport,
            time.monotonic,
            self.wakeups,
            self.buffers,
            self._resolver,
            self.event_log,
            self.fail,
        )
        # Decoded messages, which ``recv`` pops without the lock.
        self.current: deque[Message] = deque()
        self.closing = False
        # What has ended the node, if it was not closed.
        self.failure: BaseException | None = None
        # Whether the interpreter is about to end.
        self.is_exiting = False
        self._is_parents = False
        self._dirty = self.buffers.dirty
        self._inside: set[int] = set()
        self._abandoned = False
        self._lead_count = 0
        self._left_at = 0.0
        self._io_asleep = False
        self._socket_fd, self._monitor_fd = self.transport.poll_fds
        self._leader_poll = self._make_poll(self.wakeups.wake_leader)
        self._io_poll = self._make_poll(self.wakeups.wake_io)
        self._nap_poll = select.poll()
        self._nap_poll.register(self.wakeups.wake_io, select.POLLIN)
        self._io = threading.Thread(target=self._run_io, name=f"spot-{node}", daemon=True)
        try:
            self._io.start()
        except RuntimeError as error:
            self.transport.close()
            self.wakeups.discard()
            raise too_many_threads("start a node") from error
        _alive.add(self)

    def _make_poll(self, wake: int) -> select.poll:
        poll = select.poll()
        for fd in (*self.transport.poll_fds, wake):
            poll.register(fd, select.POLLIN)
        return poll

    def check_open(self) -> None:
        """Raises Closed once the node was closed, here or by another thread, or has failed."""
        if self._is_parents:
            raise Closed(
                "the node belongs to the parent of this forked process: make one of its own here"
            )
        if self.closing:
            if self.is_exiting and threading.current_thread().daemon:
                # Only daemon threads are left then. Closed would print a traceback of each.
                raise SystemExit
            if self.failure is not None:
                raise Closed(
                    f"the node has failed, and is closed: {self.failure!r}"
                ) from self.failure
            raise Closed("the node is closed")

    @property
    def closed(self) -> bool:
        """Whether the node has ended: nothing is sent or read any more."""
        return self.loop.closed

    # Waiting (lock held)

    def poll(self) -> None:
        """Lock held. Does what can be done without waiting."""
        if self._dirty:
            self.buffers.order()
        self.loop.serve()

    def wait(
        self, ready: Callable[[], Found], until: float | None, *, closing: bool = False
    ) -> Found:
        """Lock held. Waits until ``ready()`` is true, and returns its last value.

        The lock is given up while waiting. Raises Closed if the node is closed meanwhile.
        ``closing`` marks the wait of ``close`` itself, which a delayed signal ends.
        """
        led = False
        wakeups = self.wakeups
        lock = self.lock
        inside = threading.get_ident()
        # A handler of a signal that has interrupted a wait may itself wait.
        is_nested = inside in self._inside
        self._inside.add(inside)
        try:
            while True:
                if self.closing and (not closing or self.failure is not None):
                    self.check_open()
                found = ready()
                if found or (until is not None and time.monotonic() >= until):
                    return found
                if (lock.noted or lock.log.records) and lock.is_due():
                    if closing and lock.has_signals():
                        return found
                    self._let_others_read()
                    lock.step_out()
                elif wakeups.leading and wakeups.leading != inside:
                    wakeups.waiting += 1
                    try:
                        wakeups.changed.wait(until if until is None else until - time.monotonic())
                    finally:
                        wakeups.waiting -= 1
                else:
                    led = True
                    self._lead(until)
        finally:
            if not is_nested:
                self._inside.discard(inside)
            if led:
                self._lead_count += 1
                self._left_at = time.monotonic()
                if self._io_asleep:
                    self._io_asleep = False
                    wakeups.wake_io_thread()
            if wakeups.waiting and lock.is_mine():
                wakeups.changed.notify_all()

    def _let_others_read(self) -> None:
        """Lock held. This thread is about to run handlers: another thread is to keep the links."""
        self._left_at = 0.0
        if self._io_asleep:
            self._io_asleep = False
            self.wakeups.wake_io_thread()
        if self.wakeups.waiting:
            self.wakeups.changed.notify_all()

    def _lead(self, until: float | None) -> None:
        """Lock held. Does what can be done without waiting. If there is nothing, polls once."""
        loop = self.loop
        if loop.before_poll():
            return
        due = loop.begin_poll()
        if until is not None and until < due:
            due = loop.poll_until = until
        wakeups = self.wakeups
        # Not 0 if this is foreign code that has interrupted the poll of this same thread.
        outer = wakeups.leading
        poll = self._make_poll(wakeups.wake_leader) if outer else self._leader_poll
        wakeups.leading = threading.get_ident()
        wait = _poll_ms(due)
        failure: OSError | None = None
        ready: list[tuple[int, int]] = []
        try:
            self.lock.raw.release()
            ready = poll.poll(wait)
        except OSError as error:
            if type(error) is not OSError:
                raise  # out of the handler of a signal
            failure = error
        finally:
            self.lock.raw.acquire()
            wakeups.leading = outer
        if failure is not None:
            self.fail(failure)
        self._after_poll(ready, lead=True)
        if outer:
            # What the outer wait is for may have come.
            os.eventfd_write(wakeups.wake_leader, 1)

    def _after_poll(self, ready: list[tuple[int, int]], *, lead: bool) -> None:
        """Lock held. Called after a poll, which found these descriptors readable."""
        readable = monitor = False
        for fd, _ in ready:
            if fd == self._socket_fd:
                readable = True
            elif fd == self._monitor_fd:
                monitor = True
            else:
                self.wakeups.note_woken(fd)
        self.loop.after_poll(readable=readable, monitor=monitor, lead=lead)

    # The I/O thread

    def _run_io(self) -> None:
        self.lock.log.io_thread = threading.get_ident()
        try:
            self._io_loop()
        except BaseException as error:  # noqa: BLE001  whatever it is, nothing runs the node any more
            with self.lock, suppress(Closed, SystemExit):
                self.fail(error)
        if self.failure is not None:
            self._end_failed()

    def _io_loop(self) -> None:
        wakeups = self.wakeups
        buffers = self.buffers
        naps = 0
        seen = 0
        ready: list[tuple[int, int]] = []
        while True:
            if buffers.armed:
                time.sleep(ARMED_NAP_S)
            with self.lock:
                wakeups.io_polls = False
                if self._abandoned and not self.closing:
                    self._leave_alone()
                if self.closed or self.failure is not None:
                    return
                if buffers.armed:
                    self._flush_armed()
                stands_in = not wakeups.leading and time.monotonic() - self._left_at >= NAP_S
                if stands_in:
                    naps = 0
                    self._after_poll(ready, lead=False)
                    wakeups.io_polls = True
                    wait: float | None = _poll_ms(self.loop.begin_poll())
                else:
                    naps = naps + 1 if self._lead_count == seen else 0
                    seen = self._lead_count
                    self._io_asleep = naps > NAPS_BEFORE_SLEEP and bool(wakeups.leading)
                    wait = None if self._io_asleep else NAP_S * 1000
            if buffers.armed:
                wait = 0
            ready = []
            if stands_in:
                ready = self._io_poll.poll(wait)
            elif self._nap_poll.poll(wait):
                os.eventfd_read(wakeups.wake_io)

    def _flush_armed(self) -> None:
        """Lock held. Flushes. After a nap without publishes it disarms the I/O thread."""
        buffers = self.buffers
        if buffers.dirty:
            # Soon after a flush the next publish is likely to flush, and it does so sooner.
            if time.monotonic() >= buffers.hot_until:
                self.loop.flush()
            return
        buffers.armed = False
        # A publish that saw the armed state before it ended relied on this thread to flush.
        if buffers.dirty:
            buffers.armed = True

    # The end

    def refuse_calls(self) -> None:
        """Lock held. From now on calls raise Closed, also those that are waiting."""
        self.closing = True
        self.buffers.of_topic.clear()
        self._resolver.stop()
        self.wakeups.tell_end()

    def fail(self, error: BaseException) -> NoReturn:
        """Lock held. The node can't go on: it closes with this cause. Raises Closed."""
        if self.failure is None:
            self.failure = error
            self.event_log.tell_failure(error)
            if self.closing:
                self.wakeups.tell_end()
            else:
                self.refuse_calls()
            self.wakeups.wake_io_thread()
        self.closing = True
        self.check_open()
        raise AssertionError

    def _end_failed(self) -> None:
        """In the I/O thread: ends the sockets of a node that has failed. Nothing is sent."""
        with self.lock:
            self._await_waiters()
            if not self.loop.closed:
                self.loop.closed = True
                with suppress(Exception):  # it may be the sockets that have failed
                    self.transport.close()
        _alive.discard(self)

    def _await_waiters(self) -> None:
        """Lock held. Calls that wait end; they have been told."""
        while self.wakeups.leading or self.wakeups.waiting:
            self.wakeups.changed.wait(0.01)

    def is_interrupted_here(self) -> bool:
        """Whether this thread is within a call of the node, which foreign code has interrupted."""
        return self.lock.is_mine() or threading.get_ident() in self._inside

    def abandon(self) -> None:
        """The application dropped the node without closing it: the I/O thread ends it.

        Called by the garbage collector, in any thread and at any point.
        """
        if not self.closing:
            self.end_later()
            warnings.warn(f"node {self.core.node} was not closed", ResourceWarning, stacklevel=2)

    def end_later(self) -> None:
        """Has the I/O thread end the node: it says goodbye, and waits for nothing."""
        self._abandoned = True
        self.wakeups.wake_io_thread()

    def _leave_alone(self) -> None:
        """Lock held, in the I/O thread, when nobody else can end the node."""
        self.refuse_calls()
        self.loop.flush()
        self.core.leave()
        self.loop.act()
        self._await_waiters()
        self.loop.closed = True
        self.transport.close()
        _alive.discard(self)

    def shut(self) -> None:
        """Ends the threads and the sockets, without a goodbye. Called without the lock."""
        is_first = False
        try:
            with self.lock:
                self.refuse_calls()
                self.wakeups.wake_io_thread()
                self._await_waiters()
                is_first = not self.loop.closed
                self.loop.closed = True
            if threading.current_thread() is not self._io:
                self._join_io()
        finally:
            # Also if the handler of a signal has raised.
            if is_first:
                with self.lock:
                    self.transport.close()
                _alive.discard(self)

    def _join_io(self) -> None:
        """Waits for the end of the I/O thread, unless a log handler keeps it."""
        while self._io.is_alive() and self.lock.log.emitter != self._io.ident:
            self._io.join(JOIN_S)

    def end_in_child(self) -> None:
        """After a fork: the child's node is closed, as its sockets and threads are the parent's."""
        self.closing = self.loop.closed = self._is_parents = True
        self.lock.reset_in_child()
        self.buffers.of_topic.clear()
        self.current.clear()
        self.event_log.listeners.clear()
        # The parent keeps its descriptor, which the child shares.
        self.wakeups.on_change = None
        self.transport.close_in_child()


def _poll_ms(until: float) -> int:
    return max(0, min(int((until - time.monotonic()) * 1000) + 1, 3_600_000))


_alive: weakref.WeakSet[Driver] = weakref.WeakSet()


def _after_fork() -> None:
    for driver in list(_alive):
        driver.end_in_child()
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork)

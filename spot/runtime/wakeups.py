"""Which thread reads the socket, which threads wait, and how each of them is woken."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from spot.runtime.signal_lock import SignalLock


class Wakeups:
    """What the threads of a node know of one another. ``lock`` guards all but the descriptors.

    A thread that waits in a call leads if it polls the socket, else it follows.
    """

    def __init__(self) -> None:
        self.wake_leader = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.wake_io = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not closed with the node: a publish that overlaps with the end may still write to them.
        self._finalizer = weakref.finalize(self, _close_fds, self.wake_leader, self.wake_io)
        self._finalizer.atexit = False
        self.lock = SignalLock(self.wake_leader)
        self.changed = threading.Condition(self.lock.raw)
        # How many threads follow. They wait for ``changed``.
        self.waiting = 0
        # Whether a thread leads.
        self.leading = False
        # Whether the I/O thread polls the socket, or is about to.
        self.io_polls = False
        # Called, lock held, when there may be something for a ``recv(0)``.
        self.on_change: Callable[[], None] | None = None

    def discard(self) -> None:
        """Closes the descriptors at once. No thread may have them."""
        self._finalizer()

    def wake(self) -> None:
        """Lock held. Ends the poll of the thread that reads the socket."""
        os.eventfd_write(self.wake_leader if self.leading else self.wake_io, 1)

    def wake_io_thread(self) -> None:
        """Has the I/O thread look at what there is to do. Called with the lock or without."""
        os.eventfd_write(self.wake_io, 1)

    def note_woken(self, wake: int) -> None:
        """Lock held. A poll has found this descriptor, one of the two, readable."""
        os.eventfd_read(wake)
        if self.waiting:
            # The main thread may be among them, and a signal may have come.
            self.changed.notify_all()

    def tell_progress(self) -> None:
        """Lock held. Has threads that wait look at what they wait for."""
        if self.waiting:
            self.changed.notify_all()
        if self.leading:
            os.eventfd_write(self.wake_leader, 1)
        if self.on_change is not None:
            self.on_change()

    def tell_end(self) -> None:
        """Lock held. Has all threads see that the node closes."""
        os.eventfd_write(self.wake_leader, 1)
        self.changed.notify_all()
        if self.on_change is not None:
            self.on_change()


def _close_fds(*fds: int) -> None:
    for fd in fds:
        os.close(fd)

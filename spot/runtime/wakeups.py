"""How a thread that polls or waits is woken: descriptors, a condition, and who does what now."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from spot.runtime.late_log import LateLog
from spot.runtime.signal_lock import SignalLock


class Wakeups:
    """Which threads of a node poll, wait and follow. ``lock`` guards all but the descriptors.

    A thread that waits in a call leads if it polls the socket. Otherwise it follows.
    """

    def __init__(self) -> None:
        self.wake_leader = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.wake_io = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # These stay open when the node closes: a publish at that moment may still write to them.
        self._finalizer = weakref.finalize(self, _close_fds, self.wake_leader, self.wake_io)
        self._finalizer.atexit = False
        self.lock = SignalLock(self.wake_leader, LateLog())
        self.changed = threading.Condition(self.lock.raw)
        # The number of threads that follow. They wait for ``changed``.
        self.waiting = 0
        # The thread that leads, 0 while none does.
        self.leading = 0
        # Whether the I/O thread polls the socket, or is about to.
        self.io_polls = False
        # Called, lock held, when a ``recv(0)`` may find something.
        self.on_change: Callable[[], None] | None = None

    def discard(self) -> None:
        """Closes the descriptors at once. No thread may have them."""
        self._finalizer()

    def wake(self) -> None:
        """Lock held. Ends the poll of the thread that reads the socket."""
        os.eventfd_write(self.wake_leader if self.leading else self.wake_io, 1)

    def wake_io_thread(self) -> None:
        """Makes the I/O thread check what there is to do. Called with the lock or without."""
        os.eventfd_write(self.wake_io, 1)

    def note_woken(self, wake: int) -> None:
        """Lock held. A poll has found this descriptor, one of the two, readable."""
        os.eventfd_read(wake)
        if self.waiting:
            # The main thread may be among the waiting threads, and a signal may have come.
            self.changed.notify_all()

    def tell_progress(self) -> None:
        """Lock held. Makes threads that wait check what they wait for."""
        if self.waiting:
            self.changed.notify_all()
        if self.leading:
            os.eventfd_write(self.wake_leader, 1)
        if self.on_change is not None:
            self.on_change()

    def tell_end(self) -> None:
        """Lock held. Lets all threads see that the node closes."""
        os.eventfd_write(self.wake_leader, 1)
        self.changed.notify_all()
        if self.on_change is not None:
            self.on_change()


def _close_fds(*fds: int) -> None:
    for fd in fds:
        os.close(fd)

"""Who reads the socket and who waits, and how each of them is woken."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from spot.runtime.signal_lock import Guard


class Readers:
    """What the threads of a node know of one another. ``lock`` guards all but the descriptors."""

    def __init__(self) -> None:
        self.wake_leader = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.wake_io = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not closed with the node: a publish that overlaps with the end may still write to them.
        weakref.finalize(self, _close_fds, self.wake_leader, self.wake_io).atexit = False
        self.lock = Guard(self.wake_leader)
        self.changed = threading.Condition(self.lock.raw)
        # How many threads follow: they wait for ``changed``.
        self.waiting = 0
        # Whether a thread that waits polls the socket.
        self.leading = False
        # Whether the I/O thread does, or is about to.
        self.io_polls = False
        # Called, lock held, when there may be something for a ``recv(0)``.
        self.on_change: Callable[[], None] | None = None

    def wake(self) -> None:
        """Lock held. Has the thread that reads look at its deadlines."""
        os.eventfd_write(self.wake_leader if self.leading else self.wake_io, 1)

    def tell_progress(self) -> None:
        """Lock held. Has those who wait look at what they wait for."""
        if self.waiting:
            self.changed.notify_all()
        if self.leading:
            os.eventfd_write(self.wake_leader, 1)
        if self.on_change is not None:
            self.on_change()

    def tell_end(self) -> None:
        """Lock held. Has everybody see that the node closes."""
        os.eventfd_write(self.wake_leader, 1)
        self.changed.notify_all()
        if self.on_change is not None:
            self.on_change()


def _close_fds(*fds: int) -> None:
    for fd in fds:
        os.close(fd)

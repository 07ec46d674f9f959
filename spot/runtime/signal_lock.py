"""The lock of a node. While it is held, no signal handler runs.

Python runs signal handlers in the main thread, between any two of its steps, and a handler may
raise, as that of Ctrl-C does. An exception in the middle of a node's work would break things that
belong together, such as the parts of a frame that is being sent. So while the main thread holds a
node's lock, the signals that end or interrupt programs are only noted. Their handlers run when the
lock is given up, or between two turns of a call that waits.
"""

from __future__ import annotations

import os
import sys
import threading

# The functions of the module signal convert to enums, which costs more than all the rest.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Callable
from signal import SIGALRM, SIGHUP, SIGINT, SIGTERM
from types import FrameType, TracebackType

Handler = Callable[[int, FrameType | None], object]

PUT_OFF = (int(SIGINT), int(SIGTERM), int(SIGHUP), int(SIGALRM))


class SignalLock:
    """A lock, for ``with``. It is not reentrant. Signals that come meanwhile write to ``wake``.

    ``raw`` is the lock alone, for conditions, and to give the lock up for a wait that ``wake``
    ends.
    """

    __slots__ = ("_found", "_is_away", "_note", "_put_off", "noted", "raw")

    def __init__(self, wake: int) -> None:
        self.raw = threading.Lock()
        self.noted: list[int] = []
        self._is_away = False
        # The handlers of the signals at the last look, and which of them are Python's.
        self._found: list[object] = []
        self._put_off: list[tuple[int, Handler]] = []

        def note(number: int, _frame: FrameType | None) -> None:
            self.noted.append(number)
            os.eventfd_write(wake, 1)

        self._note = note

    def __enter__(self) -> None:
        if threading.get_ident() == _main_thread and _holder is None:
            self._hold()
        self.raw.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_away and threading.get_ident() == _main_thread:
            self._is_away = False
        else:
            self.raw.release()
        if _holder is self and threading.get_ident() == _main_thread:
            self._let_go()

    def is_due(self) -> bool:
        """Whether this thread, which holds the lock, is the one to handle the ``noted`` signals."""
        return _holder is self and threading.get_ident() == _main_thread

    def run_handlers(self) -> None:
        """Lock held. Handles the signals that are due, without the lock.
        An exception that a handler raises comes from here, with the lock held again. If one more
        signal comes before that, the exception comes without the lock.
        """
        self._is_away = True
        self.raw.release()
        try:
            self._let_go()
        finally:
            self._hold()
            self.raw.acquire()
            self._is_away = False

    @property
    def is_held(self) -> bool:
        """Within ``with``: whether this thread still has the lock after a handler raised."""
        return not self._is_away or threading.get_ident() != _main_thread

    def _hold(self) -> None:
        global _holder
        found = list(map(getsignal, PUT_OFF))
        if found != self._found:
            handlers = zip(PUT_OFF, found, strict=True)
            self._put_off = [(number, handler) for number, handler in handlers if callable(handler)]
            self._found = found
        try:
            for number, _ in self._put_off:
                set_handler(number, self._note)
            _holder = self
        except BaseException:
            # A signal came this moment, and its handler has raised.
            self._put_back()
            raise

    def _let_go(self) -> None:
        global _holder
        _holder = None
        try:
            for number, handler in self._put_off:
                set_handler(number, handler)
        except BaseException:
            # A signal came this moment, and its handler has raised: the others are put back, too.
            self._put_back()
            raise
        while self.noted:
            number = self.noted.pop(0)
            handlers = dict(self._put_off)
            if number in handlers:
                handlers[number](number, sys._getframe())

    def _put_back(self, first: int = 0) -> None:
        """Gives the signals their handlers again, whatever these raise meanwhile."""
        global _holder
        _holder = None
        at = first
        try:
            for at in range(first, len(self._put_off)):
                set_handler(*self._put_off[at])
        except BaseException:
            self._put_back(at)
            raise


_holder: SignalLock | None = None
"""The node whose lock the main thread holds, or waits for."""
_main_thread = threading.main_thread().ident


def _after_fork() -> None:
    """The thread that forked is the main thread of the child."""
    global _main_thread
    _main_thread = threading.get_ident()
    if _holder is not None:
        _holder._put_back()


os.register_at_fork(after_in_child=_after_fork)

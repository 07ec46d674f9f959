"""The lock of a node, within which no handler of a signal runs.

Python runs the handlers of signals in the main thread, between any two of its steps, and a handler
may raise, as that of Ctrl-C does. Raised within a node, it would tear apart what belongs together,
such as the parts of a frame that is being sent. So while the main thread holds a node's lock,
the signals that end or interrupt programs are noted only. Their handlers run when the lock is given
up, or when a call that waits is between two turns.
"""

from __future__ import annotations

import os
import sys
import threading

# Those of the module signal convert to enums, which costs more than all the rest.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Callable
from signal import SIGALRM, SIGHUP, SIGINT, SIGTERM
from types import FrameType, TracebackType

Handler = Callable[[int, FrameType | None], object]

PUT_OFF = (int(SIGINT), int(SIGTERM), int(SIGHUP), int(SIGALRM))


class Guard:
    """A lock, for ``with``; not reentrant. Signals that come meanwhile write to ``wake``.

    ``raw`` is the lock alone: for conditions, and to give it up for a wait that ``wake`` ends.
    """

    __slots__ = ("_handlers", "_note", "noted", "raw")

    def __init__(self, wake: int) -> None:
        self.raw = threading.Lock()
        self.noted: list[int] = []
        self._handlers: list[tuple[int, Handler]] = []

        def note(number: int, _frame: FrameType | None) -> None:
            self.noted.append(number)
            os.eventfd_write(wake, 1)

        self._note = note

    def __enter__(self) -> None:
        if threading.get_ident() == _main_thread:
            self._put_off()
        self.raw.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.raw.release()
        if _holder is self and threading.get_ident() == _main_thread:
            self._run_handlers()

    def run_handlers(self) -> None:
        """Lock held, in the main thread. Runs the handlers of ``noted`` signals without the lock.

        What they raise comes from here, with the lock held again.
        """
        self.raw.release()
        try:
            self._run_handlers()
        finally:
            self._put_off()
            self.raw.acquire()

    def _put_off(self) -> None:
        global _holder
        if _holder is not None:
            return  # another node's call is below: signals are put off until that ends
        try:
            for number in PUT_OFF:
                handler = getsignal(number)
                if callable(handler):
                    self._handlers.append((number, handler))
                    set_handler(number, self._note)
            _holder = self
        except BaseException:
            self._restore()
            raise

    def _run_handlers(self) -> None:
        handlers = dict(self._handlers) if self.noted else {}
        self._restore()
        while self.noted:
            number = self.noted.pop(0)
            if number in handlers:
                handlers[number](number, sys._getframe())

    def _restore(self) -> None:
        global _holder
        _holder = None
        handlers = self._handlers
        try:
            while handlers:
                set_handler(*handlers[-1])
                handlers.pop()
        except BaseException:
            # The handler of a signal that came this moment: the others are put back all the same.
            self._restore()
            raise


_holder: Guard | None = None
"""Whose lock the main thread holds, or waits for."""
_main_thread = threading.main_thread().ident


def _after_fork() -> None:
    """The thread that forked is the main thread of the child."""
    global _main_thread
    _main_thread = threading.get_ident()
    if _holder is not None:
        _holder._restore()


os.register_at_fork(after_in_child=_after_fork)

"""The lock of a node. While it is held, no signal handler and no log handler runs.

Python runs signal handlers in the main thread, between any two of its steps, and a handler may
raise, as that of Ctrl-C does. An exception in the middle of a node's work would break things that
belong together, such as the parts of a frame that is being sent. So while the main thread holds a
node's lock, the signals that programs handle most are only noted. Their handlers run when the lock
is given up, or between two turns of a call that waits. Log records wait in the same way
(late_log.py).

Other foreign code may still run meanwhile: finalizers, trace functions, handlers of other signals.
If such code needs the lock that its own thread holds, it gets WouldDeadlock.
"""

from __future__ import annotations

import os
import sys
import threading

# The functions of the module signal convert to enums, which costs more than all the rest.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Callable
from signal import SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, raise_signal
from threading import get_ident
from types import FrameType, TracebackType

from spot.errors import WouldDeadlock
from spot.runtime.late_log import LateLog

Handler = Callable[[int, FrameType | None], object]

PUT_OFF = (int(SIGINT), int(SIGTERM), int(SIGHUP), int(SIGALRM), int(SIGUSR1), int(SIGUSR2))


RETRIES_MAX = 100
"""So many handlers of signals may raise, one after the other, while a lock is taken again."""


class SignalNote:
    """The handler of signals that are put off."""

    __slots__ = ("_noted", "_wake")

    def __init__(self, noted: list[int], wake: int) -> None:
        self._noted = noted
        self._wake = wake

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Notes the signal, and ends the poll of a thread that waits."""
        self._noted.append(number)
        os.eventfd_write(self._wake, 1)


class SignalLock:
    """A lock, for ``with``. A second entry by the thread that holds it raises WouldDeadlock.

    Signals that come meanwhile write to ``wake``. ``log`` is emitted when the lock is given up.
    ``raw`` is the lock alone, for conditions, and to give the lock up for a wait that ``wake``
    ends. A signal handler may enter and leave the lock while a frame of ``with`` has given it up.
    """

    __slots__ = (
        "_acquire",
        "_nested",
        "_note",
        "_put_off",
        "_records",
        "_release",
        "_seen",
        "is_mine",
        "log",
        "noted",
        "raw",
    )

    def __init__(self, wake: int, log: LateLog) -> None:
        self.raw = threading.RLock()
        # Whether the thread that asks has the lock.
        self.is_mine: Callable[[], bool] = self.raw._is_owned  # type: ignore[attr-defined]
        self.log = log
        # Looked up once: these are on the way of every call.
        self._acquire = self.raw.acquire
        self._release = self.raw.release
        self._records = log.records
        self.noted: list[int] = []
        # Handlers of the signals when they were last looked at, and which of them are Python's.
        self._seen: tuple[list[object], list[tuple[int, Handler]]] = ([], [])
        # Those that are put off now; and how many frames are within another, which does that.
        self._put_off: list[tuple[int, Handler]] = []
        self._nested = 0
        self._note = SignalNote(self.noted, wake)

    def __enter__(self) -> None:
        if self.is_mine():
            raise WouldDeadlock(
                "this call of the node was made by a finalizer, trace function or signal handler "
                "that has interrupted another call of the node in the same thread. Make it later, "
                "or in another thread"
            )
        if get_ident() != _main_thread:
            self._acquire()
            return
        if _holder is None:
            self._hold()
            return
        if _holder is self:
            # Foreign code has interrupted a wait, in which signals stay put off.
            self._nested += 1
        try:
            self._acquire()
        except BaseException:
            self._nested = max(0, self._nested - 1)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._release()
        except RuntimeError:
            # A handler that has raised out of ``step_out`` has left it without the lock.
            assert not self.is_mine()
        if _holder is self and get_ident() == _main_thread:
            if self._nested:
                self._nested -= 1
            else:
                self._let_go()
        if self._records:
            self.log.emit()

    def is_due(self) -> bool:
        """Whether this thread, which holds the lock, is to give it up for what waits for that."""
        return self.has_signals() or self.log.is_due()

    def has_signals(self) -> bool:
        """Whether this thread, which holds the lock, is to run handlers of signals now."""
        return bool(self.noted) and _holder is self and get_ident() == _main_thread

    def step_out(self) -> None:
        """Lock held. Runs the handlers that are due, and emits the log, without the lock.

        What they raise comes from here, with the lock held again.
        """
        is_holder = _holder is self and get_ident() == _main_thread
        nested = self._nested
        self.raw.release()
        try:
            if is_holder:
                self._nested = 0
                self._let_go()
            self.log.emit()
        finally:
            if is_holder:
                self._hold_again()
                self._nested = nested
            else:
                self._acquire()

    def _hold_again(self) -> None:
        """The same as ``_hold``, but it returns, or raises, with the lock.

        A handler may raise while the lock is being taken. Its exception comes when that is done.
        """
        raised: BaseException | None = None
        for _ in range(RETRIES_MAX):
            try:
                self._hold()
                break
            except BaseException as error:  # noqa: BLE001  it is raised below
                raised = error
        if raised is not None:
            raise raised

    def _hold(self) -> None:
        """Has signals noted, and takes the lock.

        A handler that runs half-way may call the node, and do all of this, too. So the lock is told
        at the end only, and notes of another frame stay.
        """
        global _holder
        found = list(map(getsignal, PUT_OFF))
        before, put_off = self._seen
        if found != before:
            put_off = [
                (number, handler)
                for number, handler in zip(PUT_OFF, found, strict=True)
                if callable(handler) and not isinstance(handler, SignalNote)
            ]
            self._seen = found, put_off
            _originals.update(put_off)
        note = self._note
        try:
            for number, _ in put_off:
                set_handler(number, note)
            self._acquire()
            self._put_off = put_off
            _holder = self
        except BaseException:
            # A signal came this moment, and its handler has raised.
            _put_back(put_off)
            if self.is_mine():
                self._release()
            raise

    def _let_go(self) -> None:
        global _holder
        put_off = self._put_off
        try:
            _holder = None
            for number, handler in put_off:
                set_handler(number, handler)
        except BaseException:
            # A signal came this moment, and its handler has raised: the others are put back, too.
            _put_back(put_off)
            raise
        # One that another frame still puts off is noted once more.
        if self.noted:
            for _ in range(len(self.noted)):
                if self.noted:
                    number = self.noted.pop(0)
                    handler = getsignal(number)
                    if callable(handler):
                        # Not raised again: an event loop of asyncio would count it twice.
                        handler(number, sys._getframe())
                    else:
                        raise_signal(number)

    def reset_in_child(self) -> None:
        """In a forked child: nobody holds the lock, and what was noted is the parent's."""
        self.raw._at_fork_reinit()  # type: ignore[attr-defined]
        self.noted.clear()
        self._nested = 0
        self.log.reset_in_child()


def _put_back(put_off: list[tuple[int, Handler]], first: int = 0) -> None:
    """Gives the signals their handlers again, whatever these raise meanwhile."""
    global _holder
    _holder = None
    at = first
    try:
        for at in range(first, len(put_off)):
            set_handler(*put_off[at])
    except BaseException:
        _put_back(put_off, at)
        raise


_holder: SignalLock | None = None
"""Whose lock the main thread holds."""
_originals: dict[int, Handler] = {}
"""The program's handlers of the signals that were put off last."""
_main_thread = threading.main_thread().ident


def _after_fork() -> None:
    """The thread that forked is the main thread of the child."""
    global _holder, _main_thread
    _main_thread = get_ident()
    _holder = None
    # The parent's main thread may have been anywhere, also half-way into a lock.
    for number in PUT_OFF:
        if isinstance(getsignal(number), SignalNote):
            set_handler(number, _originals[number])


os.register_at_fork(after_in_child=_after_fork)

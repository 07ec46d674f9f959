"""The log of a node: records are collected under the node's lock, and emitted after it is given up.

A log handler is foreign code: it may publish on the node, block, or raise. One thread at a time
emits, so that records keep their order, and no other thread of the node waits for a handler. It is
the thread of the call that the records are from. Those of the I/O thread have a thread of their
own, which ends with them: the I/O thread keeps the links alive.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

log = logging.getLogger("spot")


class LateRecord(NamedTuple):
    """A log record that has not been emitted."""

    level: int
    text: str
    args: tuple[object, ...]
    error: BaseException | None


class LateLog:
    """The log records of one node that have not been emitted."""

    __slots__ = ("_emitting", "emitter", "io_thread", "records")

    def __init__(self) -> None:
        self.records: deque[LateRecord] = deque()
        self._emitting: Any = threading.RLock()
        # The thread that emits, 0 while none does.
        self.emitter = 0
        # The thread that is not to wait for handlers.
        self.io_thread = 0

    def log(self, level: int, text: str, *args: object, error: BaseException | None = None) -> None:
        """Collects a record. With the lock or without; runs no foreign code."""
        self.records.append(LateRecord(level, text, args, error))

    def warning(self, text: str, *args: object) -> None:
        """Collects a warning."""
        self.log(logging.WARNING, text, *args)

    def reset_in_child(self) -> None:
        """In a forked child: the records are the parent's."""
        self.records.clear()
        self._emitting._at_fork_reinit()
        self.emitter = 0

    def is_due(self) -> bool:
        """Whether there are records that no thread is about to emit."""
        return bool(self.records) and not self.emitter

    def emit(self) -> None:
        """Without the lock. Emits what was collected, unless another thread is at it: that does."""
        if self._emitting._is_owned():
            return  # in a log handler, to which its own records would come before earlier ones
        if threading.get_ident() == self.io_thread:
            if self.emitter:
                return
            with suppress(RuntimeError):  # no more threads can be started
                threading.Thread(target=self.emit, name="spot-log", daemon=True).start()
                return
        try:
            # Another thread may leave a record to this one until the last moment.
            while self.records and self._emitting.acquire(blocking=False):
                self.emitter = threading.get_ident()
                while self.records:
                    _emit(self.records.popleft())
                self.emitter = 0
                self._emitting.release()
        finally:
            if self._emitting._is_owned():
                # The handler of a signal has raised.
                self.emitter = 0
                self._emitting.release()


def _emit(record: LateRecord) -> None:
    level, text, args, error = record
    try:
        log.log(level, text, *args, exc_info=error)
    except Exception:  # noqa: BLE001  a handler is foreign code
        # Most handlers do so by themselves.
        failed = logging.LogRecord("spot", level, __file__, 0, text, args, None)
        with suppress(Exception):  # stderr may be closed
            logging.NullHandler().handleError(failed)

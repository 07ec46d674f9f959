"""Writes to a file descriptor that may take nothing, and makes nobody wait for it.

A write to a pipe that nobody reads, to a terminal that was stopped, or to a file system that hangs
blocks for as long as that lasts, and can't be called off. So a thread of its own writes, from a
bounded buffer, and a program that ends waits for that thread only so long.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Sequence

__all__ = ["Outlet"]

CHUNK_BYTES_MAX = 64 * 1024
"""What one write is given, as a write to a pipe says how far it came only when it is done: as much
as an empty pipe holds."""
RETRY_MS = 100
"""How often a descriptor that somebody made non-blocking is looked at while it is full."""


class Outlet:
    """A bounded buffer of lines before ``fd``, and the thread that empties it.

    ``bytes_max``: how much waits at most; what does not fit is refused. ``encoding``: of the bytes
    that are written; characters that it lacks are escaped. ``fd`` is closed at the end. Any thread
    may call any method. Only ``drain`` and ``close`` wait.
    """

    def __init__(self, fd: int, bytes_max: int, *, encoding: str = "utf-8") -> None:
        self._fd = fd
        self._bytes_max = bytes_max
        self._encoding = encoding
        self._changed = threading.Condition()
        self._blocks: deque[memoryview] = deque()
        self._size = 0
        self._closed = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._write_all, name="spot-outlet", daemon=True)
        self._thread.start()

    def put(self, lines: Sequence[str]) -> int:
        """Takes lines to be written as they are; returns how many there was room for.

        Raises OSError when an earlier write has failed.
        """
        if self._put("".join(lines)):
            return len(lines)
        for number, line in enumerate(lines):
            if not self._put(line):
                return number
        return len(lines)

    def close(self, timeout: float) -> int:
        """Waits up to ``timeout`` seconds until all is written; returns how many lines were not.

        Those of a write that is still under way count, though part of them may be written. Raises
        OSError when a write has failed.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._wait(timeout)
            left = sum(bytes(block).count(b"\n") for block in self._blocks)
            # What is not written by now never is.
            self._blocks.clear()
            error = self._error
        if not left:
            self._thread.join()
            os.close(self._fd)
        if error is not None:
            raise error
        return left

    def drain(self, timeout: float) -> bool:
        """Whether all is written within so many seconds. Raises OSError when a write has failed."""
        with self._changed:
            self._wait(timeout)
            if self._error is not None:
                raise self._error
            return not self._blocks

    def _wait(self, timeout: float) -> None:
        self._changed.wait_for(lambda: not self._blocks or self._error, timeout)

    def _put(self, text: str) -> bool:
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._error is not None:
                raise self._error
            if self._size + len(data) > self._bytes_max:
                return False
            if data:
                self._blocks.append(memoryview(data))
                self._size += len(data)
                self._changed.notify_all()
        return True

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._blocks or self._closed)
                if not self._blocks:
                    return
                block = self._blocks[0]
            try:
                written = self._write(block)
            except OSError as error:
                with self._changed:
                    self._error = error
                    self._blocks.clear()
                    self._changed.notify_all()
                return
            with self._changed:
                self._size -= written
                if self._blocks:
                    self._blocks[0] = block[written:]
                    if written == len(block):
                        self._blocks.popleft()
                self._changed.notify_all()

    def _write(self, block: memoryview) -> int:
        try:
            return os.write(self._fd, block[:CHUNK_BYTES_MAX])
        except BlockingIOError:
            # Whoever shares the pipe with us has made it non-blocking.
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll(RETRY_MS)
            return 0

"""Writes to a file descriptor that may take nothing, and makes nobody wait for it.

A write blocks as long as a pipe is not read, a terminal is stopped, or a file system hangs, and
it can't be cancelled. So a thread of its own writes, from a bounded buffer, and a program that ends
waits for that thread only so long.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Sequence

__all__ = ["BoundedWriter"]

CHUNK_BYTES_MAX = 64 * 1024
"""The most bytes of one write: as much as an empty pipe holds. A write to a pipe says how far it
came only when it is done."""
RETRY_MS = 100
"""Milliseconds between two attempts to write to a full descriptor that is non-blocking."""


class BoundedWriter:
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
        self._thread = threading.Thread(target=self._write_all, name="spot-writer", daemon=True)
        self._thread.start()

    def put(self, lines: Sequence[str]) -> int:
        """Takes lines to be written as they are. Returns how many of them there was room for.

        Raises OSError when an earlier write has failed.
        """
        if self._put("".join(lines)):
            return len(lines)
        for number, line in enumerate(lines):
            if not self._put(line):
                return number
        return len(lines)

    def close(self, timeout: float) -> int:
        """Waits up to ``timeout`` seconds until all is written. Returns how many lines were not.

        Lines of a write in progress count, though part of them may be written. Raises OSError when
        a write has failed.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._wait(timeout)
            left = sum(bytes(block).count(b"\n") for block in self._blocks)
            # Lines that are not written by now never will be.
            self._blocks.clear()
            error = self._error
        if not left:
            self._thread.join()
            os.close(self._fd)
        if error is not None:
            raise error
        return left

    def drain(self, timeout: float) -> bool:
        """Whether all is written within ``timeout`` seconds. Raises OSError if a write has
        failed."""
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
            # Another program that shares the pipe has made it non-blocking.
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll(RETRY_MS)
            return 0

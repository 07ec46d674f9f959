"""The journal: what a node publishes, receives and is told, as JSON lines (``docs/journal.md``).

The caller spends about a microsecond on a record: it formats a string and appends it to a list.
Ten times a second the list goes to a ``BoundedWriter``, whose thread writes it to the file.
``close`` waits for the rest. If the file takes nothing (a pipe without a reader), the recorder
drops the records for which it has no room. A record of kind ``lost`` then tells their number.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spot.errors import HostUnreachable, SpotError
from spot.program.bounded_writer import BoundedWriter
from spot.program.payload import counter_of, publisher_of
from spot.program.settings import JOURNAL_NONE, JOURNAL_STDOUT

if TYPE_CHECKING:
    from spot.message import Event, Message

__all__ = ["JOURNAL_VERSION", "Recorder"]

log = logging.getLogger(__name__)

JOURNAL_VERSION = 1
FLUSH_INTERVAL_S = 0.1
BUFFER_BYTES_MAX = 16 << 20
"""The bytes that may wait for a file that takes nothing. More are lost."""
CLOSE_TIMEOUT_S = 2.0
"""Seconds that ``close`` waits for such a file."""
RECENT_MAX = 16
EVENT_FIELDS = ("node", "endpoint", "topics", "reason", "delay", "count")
NOT_RECENT = ("start", "stop", "publish_error")
"""Kinds that are long or frequent."""

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return _as_json(text)


class Recorder:
    """Appends records to a journal file. All methods may be called from any thread.

    ``journal`` is a path, ``-`` for standard output, or ``none``. Opening it raises OSError.
    ``run`` must be running in a thread, or nothing is written before ``close``.
    ``buffer_bytes_max``: the bytes that may wait for a file that takes nothing.
    """

    def __init__(self, journal: str, *, buffer_bytes_max: int = BUFFER_BYTES_MAX) -> None:
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT_MAX)
        """The newest records, except those of single messages."""
        self._lines: list[str] = []
        self._lock = threading.Lock()
        if journal == JOURNAL_STDOUT:
            fd = _standard_output()
        else:
            path = os.devnull if journal == JOURNAL_NONE else journal
            try:
                fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise OSError(error.errno, f"journal {path}: {error.strerror}") from error
            _end_cut_line(fd)
        self._writer = BoundedWriter(fd, buffer_bytes_max)
        self._lost = 0
        """The number of records without room that the file does not tell yet."""
        self._lost_before = 0
        """The number of records without room that the file tells already."""

    def record(self, kind: str, at: float | None = None, **fields: Any) -> None:
        """Records anything. ``at`` is ``time.monotonic()`` seconds, default now."""
        at = time.monotonic() if at is None else at
        record = {"kind": kind, "at": round(at, 6), **fields}
        if kind not in NOT_RECENT:
            self.recent.append(record)
        self._lines.append(_as_json(record) + "\n")

    def publish(self, at: float, topic: str, counter: int) -> None:
        """Records a publish that was accepted. ``at`` is the time of the call."""
        self._lines.append(
            f'{{"kind":"publish","at":{at:.6f},"topic":{_quoted(topic)},"counter":{counter}}}\n'
        )

    def publish_error(self, at: float, topic: str, counter: int, error: SpotError) -> None:
        """Records a publish that raised. Its counter must never arrive anywhere."""
        said: dict[str, Any] = {"errno": error.errno, "error": str(error)}
        if isinstance(error, HostUnreachable):
            said |= {"reason": error.reason, "unknown": error.unknown}
        self.record("publish_error", at, topic=topic, counter=counter, **said)

    def recv(self, message: Message) -> None:
        """Records a message that ``recv`` returned just now."""
        topic, data, seq, missed, node, epoch = message
        counter = counter_of(data)
        publisher = publisher_of(data)
        told = ""
        if publisher is not None:
            told = f',"from":{_quoted(publisher.node)},"incarnation":"{publisher.incarnation}"'
        self._lines.append(
            f'{{"kind":"recv","at":{time.monotonic():.6f},"topic":{_quoted(topic)},"seq":{seq},'
            f'"missed":{"null" if missed is None else missed},"node":{_quoted(node)},'
            f'"epoch":{epoch},"counter":{"null" if counter is None else counter}{told}}}\n'
        )

    def host_unreachable(self, error: SpotError) -> None:
        """Records the EHOSTUNREACH that ``recv`` raised just now."""
        self.record(
            "host_unreachable", node=error.node, topics=list(error.topics), reason=error.reason
        )

    def event(self, event: Event) -> None:
        """Records an event of the library, without its empty fields."""
        said = {name: getattr(event, name) for name in EVENT_FIELDS}
        view = event.view
        if view is not None:
            said |= {"version": view.version, "reachable": sorted(view.reachable)}
            said |= {"quorum": view.quorum, "conflicts": view.conflicts}
        self.record(
            event.kind,
            event.at,
            **{name: value for name, value in said.items() if value not in (None, (), {})},
        )

    def run(self, stopped: threading.Event) -> None:
        """Writes what was recorded, ten times a second, until ``stopped``. Raises OSError."""
        while not stopped.wait(FLUSH_INTERVAL_S):
            self._hand_over()

    def flush(self, timeout: float = CLOSE_TIMEOUT_S) -> bool:
        """Whether everything recorded so far is written within ``timeout`` seconds.

        Raises OSError when the file can't be written.
        """
        self._hand_over()
        return self._writer.drain(timeout)

    def _hand_over(self) -> None:
        with self._lock:
            # Copies, then deletes what was copied, because records are appended meanwhile.
            lines = self._lines[:]
            del self._lines[: len(lines)]
            if self._lost and self._writer.put([_lost_line(self._lost)]):
                self._lost_before += self._lost
                self._lost = 0
            # After a gap, the first record to be written is the one that tells it.
            taken = 0 if self._lost else self._writer.put(lines)
            if taken < len(lines) and not self._lost:
                log.warning("the journal is not written as fast as it is made: records are lost")
            self._lost += len(lines) - taken

    def close(self, timeout: float = CLOSE_TIMEOUT_S) -> int:
        """Writes the rest and closes the file. Waits up to ``timeout`` seconds for that.

        Returns the number of records, at most, that did not reach the file since it was opened.
        Raises OSError when the file can't be written.
        """
        try:
            self._hand_over()
        finally:
            left = self._writer.close(timeout)
        return self._lost_before + self._lost + left


def _standard_output() -> int:
    if sys.stdout is None:
        raise OSError(
            errno.EBADF,
            "standard output, where the journal goes, is closed: name a file by SPOT_JOURNAL, or "
            "'none'",
        )
    return os.dup(sys.stdout.fileno())


def _end_cut_line(fd: int) -> None:
    # A killed incarnation may have left half a line, which the next one must not continue.
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        os.write(fd, b"\n")


def _lost_line(count: int) -> str:
    return _as_json({"kind": "lost", "at": round(time.monotonic(), 6), "count": count}) + "\n"

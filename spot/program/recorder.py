"""The journal: what a node publishes, receives and is told, as JSON lines (``docs/journal.md``).

A record costs about a microsecond where it is made: one formatted string, appended to a list.
A thread writes the list to the file ten times a second, and ``close`` writes the rest.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spot.errors import HostUnreachable, SpotError
from spot.program.payload import counter_of, publisher_of
from spot.program.settings import JOURNAL_NONE, JOURNAL_STDOUT

if TYPE_CHECKING:
    from spot.message import Event, Message

__all__ = ["JOURNAL_VERSION", "Recorder"]

JOURNAL_VERSION = 1
FLUSH_INTERVAL_S = 0.1
RECENT_MAX = 16
EVENT_FIELDS = ("node", "endpoint", "topics", "reason", "delay", "count")
NOT_RECENT = ("start", "stop", "publish_error")
"""Long ones, and those that may be many."""

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return _as_json(text)


class Recorder:
    """Appends records to a journal file. All methods may be called from any thread.

    ``journal`` is a path, ``-`` for standard output, or ``none``. Opening it raises OSError.
    ``run`` must be running in a thread, or nothing is written before ``close``.
    """

    def __init__(self, journal: str) -> None:
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT_MAX)
        """The newest records, but for those of single messages."""
        self._lines: list[str] = []
        self._lock = threading.Lock()
        if journal == JOURNAL_STDOUT:
            self._fd = os.dup(sys.stdout.fileno())
        else:
            path = os.devnull if journal == JOURNAL_NONE else journal
            try:
                self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise OSError(error.errno, f"journal {path}: {error.strerror}") from error
            self._end_cut_line()

    def _end_cut_line(self) -> None:
        # A killed incarnation may have left half a line: the next one must not continue it.
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")

    def record(self, kind: str, at: float | None = None, **fields: Any) -> None:
        """One record of any kind. ``at`` is ``time.monotonic()`` seconds, default now."""
        at = time.monotonic() if at is None else at
        record = {"kind": kind, "at": round(at, 6), **fields}
        if kind not in NOT_RECENT:
            self.recent.append(record)
        self._lines.append(_as_json(record) + "\n")

    def publish(self, at: float, topic: str, counter: int) -> None:
        """A publish that was accepted; ``at`` is when it was called."""
        self._lines.append(
            f'{{"kind":"publish","at":{at:.6f},"topic":{_quoted(topic)},"counter":{counter}}}\n'
        )

    def publish_error(self, at: float, topic: str, counter: int, error: SpotError) -> None:
        """A publish that raised, so that this counter must never arrive anywhere."""
        said: dict[str, Any] = {"errno": error.errno, "error": str(error)}
        if isinstance(error, HostUnreachable):
            said |= {"reason": error.reason, "unknown": error.unknown}
        self.record("publish_error", at, topic=topic, counter=counter, **said)

    def recv(self, message: Message) -> None:
        """A message that ``recv`` returned just now."""
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
        """EHOSTUNREACH that ``recv`` raised just now."""
        self.record(
            "host_unreachable", node=error.node, topics=list(error.topics), reason=error.reason
        )

    def event(self, event: Event) -> None:
        """An event of the library, with those of its fields that say something."""
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
            self.flush()

    def flush(self) -> None:
        """Writes what was recorded so far. Raises OSError when the file can't be written."""
        with self._lock:
            # Copy, then delete what was copied: records are appended meanwhile.
            lines = self._lines[:]
            del self._lines[: len(lines)]
            data = memoryview("".join(lines).encode())
            while data:
                data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        """Writes the rest and closes the file. Raises OSError when it can't be written."""
        try:
            self.flush()
        finally:
            os.close(self._fd)

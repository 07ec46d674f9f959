"""Log lines on standard error, as text for people or JSON for machines.

They go through a ``BoundedWriter``: no thread of the node waits for a terminal or a pipe that takes
nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from datetime import UTC, datetime

from spot.program.bounded_writer import BoundedWriter

__all__ = ["StandardError", "start_logging"]

BUFFER_BYTES_MAX = 1 << 20
CLOSE_TIMEOUT_S = 1.0


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_time(record)} {record.levelname.lower():7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class StandardError:
    """Standard error, without waiting for its reader. Lines that find no room are counted."""

    def __init__(self) -> None:
        if sys.stderr is None:  # it was closed
            fd, encoding = os.open(os.devnull, os.O_WRONLY), "utf-8"
        else:
            fd, encoding = os.dup(sys.stderr.fileno()), sys.stderr.encoding
        self._writer = BoundedWriter(fd, BUFFER_BYTES_MAX, encoding=encoding)
        self._lost = 0

    def write_line(self, text: str) -> None:
        """Has a line written. Any thread may call it."""
        before = f"({self._lost} lines were lost here: nobody read them)\n" if self._lost else ""
        # There is nowhere to tell of an error: the reader has gone.
        with contextlib.suppress(OSError):
            if self._writer.put([f"{before}{text}\n"]):
                self._lost = 0
            else:
                self._lost += 1

    def close(self) -> None:
        """Waits for what was written, a second at most."""
        with contextlib.suppress(OSError):
            self._writer.close(CLOSE_TIMEOUT_S)


class _Handler(logging.Handler):
    def __init__(self, stderr: StandardError) -> None:
        super().__init__()
        self._stderr = stderr

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._stderr.write_line(self.format(record))
        except Exception:  # noqa: BLE001  as handlers of logging do
            self.handleError(record)


def start_logging(level: str, log_format: str) -> StandardError:
    """Sends this process's log to standard error. ``log_format`` is ``text`` or ``json``."""
    stderr = StandardError()
    handler = _Handler(stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return stderr

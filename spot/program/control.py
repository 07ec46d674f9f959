"""The control socket of a node: one line of JSON in, one JSON object out.

A client of the unix socket may send a command (``commands``) and gets its answer. A client that
sends an empty line, or nothing, gets the status document (``docs/journal.md``).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spot.errors import Closed

__all__ = ["LINE_BYTES_MAX", "ControlServer", "ask"]

log = logging.getLogger(__name__)

SILENCE_S = 2.0
"""If a client has not sent a whole line by then, the server answers what it has sent."""
SEND_TIMEOUT_S = 2.0
"""If a client doesn't take its answer for so long, the server drops it."""
LINE_BYTES_MAX = 1 << 20
CLIENTS_MAX = 16
"""Clients that are served at the same time. More wait for their turn."""
GLANCE_S = 0.1
_PATH_BYTES_MAX = 107


class ControlServer:
    """Answers each connection to a unix socket on a thread of its own, then closes it.

    ``answer`` gets the line of a client, without its end. Several threads may call it at once.
    Making a server raises OSError when the path can't be bound or another node answers there. The
    server replaces a socket file that a killed node left behind.
    """

    def __init__(self, path: str, answer: Callable[[bytes], dict[str, Any]]) -> None:
        self._path = Path(path)
        self._answer = answer
        self._free = threading.BoundedSemaphore(CLIENTS_MAX)
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _reachable(self._path) as address:
                self._bind(address)
            self._socket.listen()
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"control socket {path}: {error.strerror}") from error

    def _bind(self, address: str) -> None:
        try:
            self._socket.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if _answers(address):
                raise OSError(
                    errno.EADDRINUSE, "another node answers there; choose another path"
                ) from error
            self._path.unlink()
            self._socket.bind(address)

    def run(self) -> None:
        """Serves until ``close``."""
        while not self._closed:
            if not self._free.acquire(timeout=GLANCE_S):
                continue
            try:
                client, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(
                target=self._serve, args=(client,), name="spot-control", daemon=True
            ).start()

    def close(self) -> None:
        """Ends ``run`` and removes the socket file."""
        self._closed = True
        # shutdown wakes the thread in accept. close alone would not.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, contextlib.suppress(OSError):
                answer = self._answer_to(_read_line(client))
                client.settimeout(SEND_TIMEOUT_S)
                client.sendall(json.dumps(answer).encode() + b"\n")
        finally:
            self._free.release()

    def _answer_to(self, line: bytes) -> dict[str, Any]:
        if len(line) > LINE_BYTES_MAX:
            return {"error": f"the line is longer than {LINE_BYTES_MAX} bytes"}
        try:
            return self._answer(line)
        except Closed:
            return {"error": "the node is leaving"}
        except Exception as error:
            log.exception("the control socket could not answer %r", line[:80])
            return {"error": f"{type(error).__name__}: {error}"}


def ask(
    path: str | os.PathLike[str], line: bytes = b"", timeout: float = 2.0
) -> dict[str, Any] | None:
    """The answer of the node that serves ``path`` to a line. Without a line: its status document.

    None: no answer in ``timeout`` s.
    """
    until = time.monotonic() + timeout
    said = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.settimeout(timeout)
            with _reachable(Path(path)) as address:
                client.connect(address)
            # A user's node may answer and close without reading the line. So the answer ends with
            # its line, and errors before or after it do not count.
            with contextlib.suppress(OSError):
                if line:
                    client.sendall(line + b"\n")
                client.shutdown(socket.SHUT_WR)
            while not said.endswith(b"\n"):
                client.settimeout(max(until - time.monotonic(), 0.001))
                chunk = client.recv(1 << 16)
                if not chunk:
                    break
                said += chunk
        except OSError:
            if not said:
                return None
    try:
        document = json.loads(said)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _read_line(client: socket.socket) -> bytes:
    until = time.monotonic() + SILENCE_S
    line = bytearray()
    while b"\n" not in line and len(line) <= LINE_BYTES_MAX:
        client.settimeout(max(until - time.monotonic(), 0.001))
        try:
            chunk = client.recv(1 << 16)
        except TimeoutError:
            break
        if not chunk:
            break
        line += chunk
    return bytes(line.partition(b"\n")[0])


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(SEND_TIMEOUT_S)
        # EAGAIN: somebody listens, and has not accepted those who asked before.
        return probe.connect_ex(address) in (0, errno.EAGAIN)


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """The path in a form that fits a socket address, which holds 107 bytes at most."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)

"""A tiny TCP proxy that cuts, swallows and slows, one thread a direction."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

CHUNK_BYTES = 4096
POLL_S = 0.02


class Proxy:
    """Forwards connections to a port of this machine.

    While it is ``down`` it takes no connections. ``swallow`` holds directions whose bytes vanish:
    ``"up"`` from the dialler to the target, ``"down"`` the other way. ``rate`` bounds both
    directions, in bytes a second.
    """

    def __init__(self, target_port: int, *, rate: float | None = None) -> None:
        self.target_port = target_port
        self.rate = rate
        self.swallow: set[str] = set()
        self.down = False
        self.accepted_at: list[float] = []
        self._ended = False
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted_at.append(time.monotonic())
            if self.down:
                near.close()
                continue
            far = socket.socket()
            if self.rate is not None:
                # The kernel must not take in at once what the link would carry in seconds.
                for end in (near, far):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK_BYTES)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK_BYTES)
            try:
                far.connect(("127.0.0.1", self.target_port))
            except OSError:
                near.close()
                far.close()
                continue
            self._sockets |= {near, far}
            for source, sink, direction in ((near, far, "up"), (far, near, "down")):
                threading.Thread(
                    target=self._carry, args=(source, sink, direction), name="proxy", daemon=True
                ).start()

    def _carry(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                if direction in self.swallow:
                    continue
                if self.rate is not None:
                    time.sleep(len(chunk) / self.rate)
                sink.sendall(chunk)
        except OSError:
            pass
        self._end(source, sink)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            self._sockets.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self) -> None:
        """Closes every connection; new ones are carried, unless it is ``down``."""
        self._end(*self._sockets)

    def close(self) -> None:
        self._ended = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

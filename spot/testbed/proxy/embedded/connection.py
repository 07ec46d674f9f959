"""One proxied connection: the client's socket, the upstream's, and a link each way.

Closing follows Toxiproxy. When a stream ends, and everything before its end was sent, the socket
that it leads to is closed, and so is the other direction. There is no half-closed state.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from typing import cast

from spot.testbed.proxy.embedded.address import split_address
from spot.testbed.proxy.embedded.link import ToxicLink
from spot.testbed.proxy.embedded.stage import PlacedToxic

__all__ = ["Connection", "End", "ReadBuffer"]

log = logging.getLogger(__name__)

READ_BYTES = 256 * 1024
"""How much is read at once without toxics."""
CHUNK_BYTES = 32 * 1024
"""How much is read at once with toxics: Toxiproxy's size."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


class ReadBuffer:
    """One buffer that all sockets read into, as each handles its bytes at once.

    If a socket could not send all of them, it keeps a view of the buffer, which is then renewed.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Takes a new buffer, and leaves the old one to the holders of its views."""
        self.view = memoryview(bytearray(READ_BYTES))


class End(asyncio.BufferedProtocol):
    """One socket: ``outgoing`` takes the bytes read here, ``incoming`` brings the bytes to send."""

    outgoing: ToxicLink
    incoming: ToxicLink
    peer: End

    def __init__(self, connection: Connection, buffer: ReadBuffer) -> None:
        self._connection = connection
        self._buffer = buffer
        self._room = asyncio.Event()
        self._room.set()
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reads nothing until the connection starts."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=0)
        self.transport.pause_reading()
        self._connection.on_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer to read into."""
        view = self._buffer.view
        return view[:CHUNK_BYTES] if self.outgoing.has_toxics else view

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self.outgoing.feed(self._buffer.view[:nbytes])
        if self.peer.is_full:
            self._buffer.renew()

    def eof_received(self) -> bool:
        """The other side sends no more; the socket stays until its incoming stream has ended."""
        self.outgoing.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by either side."""
        self.is_lost = True
        self._room.set()
        self._connection.on_lost(self)

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self._room.clear()
        self.incoming.throttle()

    def resume_writing(self) -> None:
        """The kernel takes bytes again."""
        self._room.set()
        self.incoming.throttle()

    # What links call.

    @property
    def is_full(self) -> bool:
        """Whether bytes wait here for the kernel to take them."""
        return not self._room.is_set()

    def put(self, data: bytes | memoryview) -> None:
        """Sends bytes. Ignored once the socket is closing."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        """Closes when all is sent."""
        if self.transport is not None:
            self.transport.close()

    async def room(self) -> None:
        """Returns when the kernel has taken what was put."""
        await self._room.wait()

    def pause(self) -> None:
        """Reads no more for now."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Reads again."""
        if self.transport is not None:
            self.transport.resume_reading()

    def reset_on_close(self) -> None:
        """From now on, closing sends RST and forgets what was not sent."""
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def abort(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            self.transport.abort()


class Connection:
    """Takes one client, dials ``upstream`` for it, and carries their bytes until one of them ends.

    ``toxics``: gives the toxics of a direction when the upstream has answered.
    ``on_closed``: called once, when both sockets are closed.
    """

    def __init__(
        self,
        upstream: str,
        toxics: Callable[[str], Iterable[PlacedToxic]],
        buffer: ReadBuffer,
        on_closed: Callable[[Connection], None],
    ) -> None:
        self._upstream = upstream
        self._toxics = toxics
        self._on_closed = on_closed
        self._dial: asyncio.Task[None] | None = None
        self._aborted = False
        self.closed = asyncio.Event()
        self.links: dict[str, ToxicLink] = {}
        """By direction; empty until the upstream has answered."""
        self.client = End(self, buffer)
        self._server = End(self, buffer)
        self.client.peer, self._server.peer = self._server, self.client

    def on_made(self, end: End) -> None:
        """A socket is there: the client's, or, later, the upstream's."""
        if self._aborted:  # accepted or dialled at the moment when the proxy was disabled
            end.abort()
        elif end is self.client:
            self._dial = asyncio.create_task(self._dial_upstream())
        else:
            self._start()

    def on_lost(self, end: End) -> None:
        """A socket is gone."""
        if not self.links:
            self._finish()
            return
        end.outgoing.end()
        if self.client.is_lost and self._server.is_lost:
            self._finish()

    def abort(self) -> None:
        """Closes both sockets at once."""
        self._aborted = True
        if self._dial is not None:
            self._dial.cancel()
        self.client.abort()
        self._server.abort()

    async def _dial_upstream(self) -> None:
        # Like Toxiproxy's, this dial has no time limit; but disabling the proxy ends it here.
        try:
            host, port = split_address(self._upstream)
            await asyncio.get_running_loop().create_connection(
                lambda: self._server, host or "localhost", int(port)
            )
        except (OSError, ValueError) as error:
            log.warning("upstream %s: %s", self._upstream, error)
            self.client.abort()

    def _start(self) -> None:
        upstream, downstream = list(self._toxics("upstream")), list(self._toxics("downstream"))
        up = ToxicLink(self.client, self._server, upstream)
        down = ToxicLink(self._server, self.client, downstream)
        self.links = {"upstream": up, "downstream": down}
        self.client.outgoing = self._server.incoming = up
        self._server.outgoing = self.client.incoming = down
        if any(placed.toxic.resets_on_close for placed in upstream + downstream):
            self.client.reset_on_close()
            self._server.reset_on_close()
        up.throttle()
        down.throttle()

    def _finish(self) -> None:
        if not self.closed.is_set():
            for link in self.links.values():
                link.abort()
            self.closed.set()
            self._on_closed(self)

"""One proxy: a listener, the connections that came by it, and its toxics."""

from __future__ import annotations

import asyncio
from typing import Any

from spot.testbed.proxy.embedded.address import listen_on, resolve_address, shown_address
from spot.testbed.proxy.embedded.connection import Connection, End, ReadBuffer
from spot.testbed.proxy.embedded.stage import PlacedToxic

__all__ = ["EmbeddedProxy"]


class EmbeddedProxy:
    """Not listening until ``start``. ``listen`` and ``upstream`` are ``host:port``."""

    def __init__(self, name: str, listen: str, upstream: str, buffer: ReadBuffer) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.toxics: list[PlacedToxic] = []
        self._buffer = buffer
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    @property
    def enabled(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "toxics": self.toxics_json(),
        }

    def toxics_json(self) -> list[dict[str, Any]]:
        """The toxics, those of the upstream direction first."""
        ordered = [*self.toxics_of("upstream"), *self.toxics_of("downstream")]
        return [placed.to_json() for placed in ordered]

    def toxics_of(self, direction: str) -> list[PlacedToxic]:
        """The toxics of one direction, in the order in which bytes pass them."""
        return [placed for placed in self.toxics if placed.direction == direction]

    async def start(self) -> None:
        """Listens, if it doesn't yet; from then on ``listen`` has the port. Raises ListenError."""
        if self._server is None:
            listener = await listen_on(self.listen)
            self.listen = shown_address(listener)
            self._server = await asyncio.get_running_loop().create_server(
                self._accept, sock=listener, start_serving=False
            )
            await self._server.start_serving()

    async def stop(self) -> None:
        """Listens no more, and closes every connection. Returns when they are closed."""
        if self._server is not None:
            self._server.close()
            self._server = None
            for connection in list(self._connections):
                connection.abort()
            for connection in list(self._connections):
                await connection.closed.wait()

    async def differs(self, listen: str, upstream: str) -> bool:
        """Whether these addresses differ from the proxy's own. Raises ListenError."""
        return self.listen != await resolve_address(listen) or self.upstream != upstream

    async def update(self, listen: str, upstream: str, enabled: bool) -> None:
        """Other addresses close all connections; the same change nothing. Raises ListenError."""
        if await self.differs(listen, upstream):
            await self.stop()
            self.listen, self.upstream = listen, upstream
        if enabled:
            await self.start()
        else:
            await self.stop()

    def find_toxic(self, name: str) -> PlacedToxic | None:
        """The toxic of this name. None: there is none."""
        return next((placed for placed in self.toxics if placed.name == name), None)

    def add_toxic(self, placed: PlacedToxic) -> None:
        """Adds it behind the others of its direction, to living connections as well."""
        self.toxics.append(placed)
        for connection in self._living():
            connection.links[placed.direction].add(placed)

    def toxic_changed(self, placed: PlacedToxic) -> None:
        """The attributes or toxicity of a toxic have changed. Open connections take the new
        values."""
        for connection in self._living():
            connection.links[placed.direction].update(placed)

    def remove_toxic(self, placed: PlacedToxic) -> None:
        """Takes it away, from living connections as well."""
        self.toxics.remove(placed)
        for connection in self._living():
            connection.links[placed.direction].remove(placed)

    async def reset(self) -> None:
        """Listens again, without toxics. Raises ListenError."""
        await self.start()
        for placed in list(self.toxics):
            self.remove_toxic(placed)

    def _accept(self) -> End:
        connection = Connection(
            self.upstream, self.toxics_of, self._buffer, self._connections.discard
        )
        if self._server is None:
            # Taken in the very moment the proxy was stopped: asyncio makes no transport for it and
            # tells nobody, so waiting for it to close would have no end.
            connection.abort()
        else:
            self._connections.add(connection)
        return connection.client

    def _living(self) -> list[Connection]:
        return [connection for connection in self._connections if connection.links]

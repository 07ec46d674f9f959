"""Just enough HTTP/1.1 to serve the API: h11 knows the protocol, asyncio the sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

__all__ = ["Request", "Response", "serve_http"]

log = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
BODY_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """A request."""

    method: str
    target: str
    """Path and query, encoded as they came."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Response:
    """A response. Without a body, no content type is sent."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


async def serve_http(handler: Handler, host: str, port: int) -> asyncio.Server:
    """Answers requests on this address until the server is closed. Raises OSError."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _converse(handler, reader, writer)
        except OSError as error:
            log.debug("API connection lost: %s", error)
        finally:
            writer.close()

    return await asyncio.start_server(converse, host, port)


async def _converse(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    connection = h11.Connection(h11.SERVER)
    while True:
        try:
            request = await _receive(connection, reader, writer)
        except h11.RemoteProtocolError as error:
            with contextlib.suppress(h11.LocalProtocolError):
                wrong = Response(error.error_status_hint, f"{error}\n".encode(), "text/plain")
                await _send(connection, writer, wrong)
            return
        if request is None:
            return
        await _send(connection, writer, await handler(request))
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _receive(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """The next request. None: there won't be one."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(connection.send(go_on) or b"")
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise h11.RemoteProtocolError("request body too large", 413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Request(
                head.method.decode("ascii"),
                head.target.decode("ascii", errors="replace"),
                {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
                bytes(body),
            )
        else:
            return None


async def _send(
    connection: h11.Connection, writer: asyncio.StreamWriter, response: Response
) -> None:
    headers = dict(response.headers)
    if response.body:
        headers["Content-Type"] = response.content_type
    if response.status != HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = str(len(response.body))
    head = h11.Response(status_code=response.status, headers=list(headers.items()))
    events: list[h11.Event] = [head]
    if response.body:
        events.append(h11.Data(data=response.body))
    events.append(h11.EndOfMessage())
    writer.write(b"".join(connection.send(event) or b"" for event in events))
    await writer.drain()

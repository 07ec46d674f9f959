"""Endpoints: ``tcp://host:port``, ``tcp://[::1]:port``, ``ipc:///path``, ``inproc://name``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spot.errors import InvalidArgument

__all__ = ["Endpoint", "parse_endpoint"]

_TCP = re.compile(r"^(\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>\d{1,5}|\*)$")
_IPC_PATH_BYTES_MAX = 107


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed endpoint."""

    text: str
    """The endpoint as it was written."""
    transport: str
    """``tcp``, ``ipc`` or ``inproc``."""
    host: str = ""
    """The host of a tcp endpoint, without brackets; else empty."""
    port: int = 0
    """The port of a tcp endpoint; 0 stands for any free port."""
    name: str = ""
    """The path of an ipc endpoint, the name of an inproc endpoint; else empty."""

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

    @property
    def host_to_look_up(self) -> bytes | str:
        """The host for ``socket.getaddrinfo``: as bytes, if it is ASCII.

        For a str, Python loads the codec "idna" from a file at the first look-up. A process that
        has no free descriptor can't. One that may not read the file any more, as it has given up
        root or changed its root directory, fails in each later look-up, too.
        """
        return self.host.encode() if self.host.isascii() else self.host


def parse_endpoint(text: object, *, setting: str = "endpoint", binding: bool = False) -> Endpoint:
    """Parses an endpoint.

    Args:
        text: The endpoint.
        setting: What the text of an error calls the endpoint.
        binding: Whether it is an endpoint to listen on. If so, ``*`` as the host stands for every
            interface, and port 0 or ``*`` for any free port. Default False.

    Returns:
        The parts of the endpoint.

    Raises:
        InvalidArgument: The endpoint is not valid. The text says why.
    """
    if not isinstance(text, str):
        raise InvalidArgument(f"{setting} must be a str, not {type(text).__name__}: {text!r:.80}")

    def bad(why: str) -> InvalidArgument:
        return InvalidArgument(f"{setting} {text!r:.120}: {why}", endpoint=str(text))

    transport, sep, rest = text.partition("://")
    if not sep or transport not in ("tcp", "ipc", "inproc"):
        raise bad("it must begin with tcp://, ipc:// or inproc://")
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise bad("it contains a control character")
    if transport != "tcp":
        if not rest:
            raise bad("the name is missing")
        if transport == "ipc" and len(rest.encode()) > _IPC_PATH_BYTES_MAX:
            raise bad(f"the path is longer than {_IPC_PATH_BYTES_MAX} bytes")
        return Endpoint(text, transport, name=rest)
    match = _TCP.match(rest)
    if match is None:
        raise bad("it must be tcp://host:port")
    host = match["v6"] or match["host"]
    port = 0 if match["port"] == "*" else int(match["port"])
    if port > 65535:
        raise bad(f"port {port} is larger than 65535")
    if not binding and (port == 0 or host == "*"):
        raise bad("a peer needs a host and a port from 1 to 65535")
    return Endpoint(text, transport, host=host, port=port)

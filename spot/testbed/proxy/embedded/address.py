"""Addresses as Toxiproxy, a Go program, takes and shows them, with its errors for wrong ones."""

from __future__ import annotations

import asyncio
import os
import socket

__all__ = ["ListenError", "listen_on", "resolve_address", "shown_address", "split_address"]

PORT_MAX = 65_535
BACKLOG = 1024


class ListenError(OSError):
    """An address that is wrong, or can't be bound. The text is Toxiproxy's."""


def split_address(address: str) -> tuple[str, str]:
    """``host:port`` or ``[host]:port`` in two. Raises ListenError."""
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ListenError(f"address {address}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ListenError(f"address {address}: too many colons in address")
    return host, port


async def resolve_address(address: str) -> str:
    """As a listening proxy shows it: a name becomes its first address, IPv4 if there is one.

    Raises ListenError. Nothing at all, and ``:5555``, stay as they are but for the colon.
    """
    if not address:
        return ":0"
    host, text = split_address(address)
    port = _port(text)
    return _join(await _lookup(host), port) if host else f":{port}"


async def listen_on(address: str) -> socket.socket:
    """A listening socket. No host, and ``0.0.0.0``, mean every address, IPv6 as well.

    Raises ListenError.
    """
    try:
        host, text = split_address(address or ":0")
        port = _port(text)
        found = await _lookup(host) if host not in ("", "0.0.0.0", "::") else "::"  # noqa: S104
    except ListenError as error:
        raise ListenError(f"listen tcp: {error}") from None
    wildcard = found == "::"
    listener = socket.socket(socket.AF_INET6 if ":" in found else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if wildcard:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((found, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        shown = f":{port}" if wildcard else _join(found, port)
        reason = os.strerror(error.errno or 0).lower()
        raise ListenError(f"listen tcp {shown}: bind: {reason}") from error
    return listener


def shown_address(listener: socket.socket) -> str:
    """Where this socket listens."""
    host, port = listener.getsockname()[:2]
    return _join(host, port)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port(text: str) -> int:
    try:
        port = int(text or "0")
    except ValueError:
        try:
            return socket.getservbyname(text, "tcp")
        except OSError:
            raise ListenError(f"lookup tcp/{text}: unknown port") from None
    if not 0 <= port <= PORT_MAX:
        raise ListenError(f"address {text}: invalid port")
    return port


async def _lookup(host: str) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise ListenError(f"lookup {host}: no such host") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])

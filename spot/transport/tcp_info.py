"""What the kernel knows about a connected descriptor of libzmq, and how to end the connection."""

from __future__ import annotations

import os
import socket
import stat
import struct

_TCP_INFO_BYTES = 256
_TCP_INFO_BYTES_RECEIVED = 128

Names = tuple[object, object]


def _probe(fd: int) -> socket.socket:
    """Makes a second socket for the same connection. Raises OSError if the descriptor is closed."""
    own = os.dup(fd)
    try:
        return socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise


def names_of(fd: int) -> Names | None:
    """The two addresses of a connection, (own, peer's). None if the connection has ended."""
    try:
        with _probe(fd) as probe:
            return probe.getsockname(), probe.getpeername()
    except OSError:
        return None


def inode_of(fd: int) -> int | None:
    """What tells the socket behind a descriptor from all others; None if it is none (any more)."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else None


def bytes_received(fd: int) -> int | None:
    """How many bytes have arrived on a connection. None where the kernel doesn't say.

    libzmq hands over only complete frames. TCP_INFO (Linux) counts the bytes of incomplete ones,
    too.
    """
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        with _probe(fd) as probe:
            info = probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(info) < _TCP_INFO_BYTES_RECEIVED + 8:
        return None
    (received,) = struct.unpack_from("=Q", info, _TCP_INFO_BYTES_RECEIVED)
    return int(received)


def hang_up(fd: int, names: Names) -> None:
    """Ends a connection, if its descriptor still refers to the connection with these addresses.

    libzmq has no call to close one accepted connection. It closes it when the stream ends.
    """
    try:
        with _probe(fd) as probe:
            if (probe.getsockname(), probe.getpeername()) == names:
                probe.shutdown(socket.SHUT_RDWR)
    except OSError:
        return

"""The zmq socket of a node: addresses, frames, monitor events, and the ends of connections.

A node has one ROUTER, which binds and dials. Each dial gets a routing id that can't be guessed.
libzmq's own reconnecting is off, as the core decides when to dial again.

Encryption would go here: CURVE is a set of options of the socket, made before ``bind`` and
``connect``. Which keys may connect is answered in zap.py.

Not thread-safe: the node's lock guards every call but ``poll_fds``.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq
from zmq import zmq_poll

from spot.config import Config
from spot.core.effects import Frame
from spot.core.membership.timing import greeting_timeout
from spot.endpoint import Endpoint
from spot.errors import AddressInUse, EndpointExists, InvalidArgument, SpotError
from spot.transport import zap
from spot.transport.limits import (
    check_descriptors,
    check_threads,
    system_error,
    too_many_threads,
)
from spot.transport.tcp_info import bytes_received, inode_of
from spot.transport.unauthenticated import UnauthenticatedConnections

HANDSHAKE_MS = 1000
FRAME_SLACK_BYTES = 1 << 20
SOCKETS_MAX = 65_000
UNBIND_S = 0.5
# What libzmq opens and starts for the first socket of a process, with the ZAP handler; for the
# sockets of a node; and for a listener.
CONTEXT_DESCRIPTORS = 6
CONTEXT_THREADS = 3
NODE_DESCRIPTORS = 3
LISTENER_DESCRIPTORS = 1
# Plain numbers, as the enums cost more than the calls that use them.
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)
_NOBLOCK = int(zmq.NOBLOCK)
_SNDMORE = int(zmq.SNDMORE)
# zmq_socket_monitor(3). (zmq.utils.monitor would import asyncio for it: 17 ms a process.)
_MONITOR_EVENT = struct.Struct("=Hi")

_MONITORED = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_LISTENING
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class _SharedContext:
    """The zmq context of the process, with its ZAP handler.

    All nodes share it, so that they can reach one another by inproc.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._abandoned: list[zmq.Context[zmq.Socket[bytes]]] = []
        os.register_at_fork(after_in_child=self._after_fork)

    def get(self) -> zmq.Context[zmq.Socket[bytes]]:
        """The context. Raises TooManyOpenFiles or TooManyThreads if it can't be made."""
        with self._lock:
            if self._context is None:
                check_descriptors(CONTEXT_DESCRIPTORS + NODE_DESCRIPTORS, _START)
                # The node starts one more.
                check_threads(CONTEXT_THREADS + 1, _START)
                self._context = _make_context()
            return self._context

    def _after_fork(self) -> None:
        # A context can't be ended in a child: its threads are the parent's. It is kept, unused.
        if self._context is not None:
            self._abandoned.append(self._context)
        self._context = None
        self._lock = threading.Lock()


_START = "start a node"


def _make_context() -> zmq.Context[zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        context.set(zmq.MAX_SOCKETS, SOCKETS_MAX)
        zap.start_handler(context)
    except zmq.ZMQError as error:
        context.destroy(linger=0)
        raise system_error(_START, error.errno) from error
    except RuntimeError as error:
        context.destroy(linger=0)
        raise too_many_threads(_START) from error
    return context


_shared = _SharedContext()


class ZmqTransport:
    """The sockets of one node: the ``Transport`` of real nodes (spot/transport/interface.py)."""

    def __init__(self, config: Config, warn: Callable[..., None]) -> None:
        self._socket, self._monitor = _open_sockets(config)
        sock = self._socket
        # These methods of zmq.Socket do more than is needed for each message.
        plain: Any = super(zmq.Socket, sock)
        self._send = plain.send
        self._recv = plain.recv
        self._polled = [(sock, _POLLIN)]
        self._monitor_fd = int(self._monitor.getsockopt(zmq.FD))
        self._socket_fd = int(sock.getsockopt(zmq.FD))
        self._bound: dict[str, str] = {}
        self._address_of: dict[bytes, str] = {}
        self._dial_to: dict[str, bytes] = {}
        self._conn_of: dict[int, bytes] = {}
        self._fd_of: dict[bytes, int] = {}
        self._closed_fds: set[int] = set()
        # The inodes of this node's listeners and connections, by descriptor.
        self._inode_of: dict[int, int] = {}
        self._received: dict[bytes, int] = {}
        self._ended: list[tuple[bytes, str]] = []
        self.unauthenticated = UnauthenticatedConnections(
            greeting_timeout(config.peer_timeout) + 1,
            warn,
            is_quiet=config.log_level in ("error", "critical"),
        )
        # A descriptor that was never asked for input may not report the first.
        self.read_monitor()

    @property
    def poll_fds(self) -> tuple[int, int]:
        """The descriptors to poll for reading: those of the socket and of its monitor."""
        return self._socket_fd, self._monitor_fd

    # Endpoints

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(self._bound.values())

    def is_bound(self, address: str) -> bool:
        """Whether it is an address of this node. Such an address must not be dialled: libzmq keys
        bound and dialled addresses by their text, and ends all with the same text at once.
        """
        return address in self._bound.values()

    def bind(self, endpoint: Endpoint) -> str:
        """Binds, and returns the endpoint with its port resolved.

        libzmq tells the monitor of it: the caller reads that before giving up the lock.
        """
        if endpoint.text in self._bound or endpoint.text in self._bound.values():
            raise EndpointExists(
                f"this node is bound to {endpoint.text} already", endpoint=endpoint.text
            )
        check_descriptors(LISTENER_DESCRIPTORS, f"bind {endpoint.text}")
        if endpoint.transport == "ipc":
            _check_path(endpoint)
        address = endpoint.text
        if endpoint.transport == "tcp":
            address = f"tcp://{_bindable(endpoint)}:{endpoint.port or '*'}"
        self._end_dial_to(address)
        self._socket.setsockopt(zmq.IPV6, int(endpoint.is_ipv6))
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            raise _bind_error(endpoint, error) from error
        resolved = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(resolved, bytes)
        found = resolved.rstrip(b"\0").decode()
        any_port = endpoint.transport == "tcp" and endpoint.port == 0
        self._bound[found if any_port else endpoint.text] = found
        return found

    def connect(self, conn: bytes, address: str) -> bytes | None:
        """Dials an address without names in it. None if begun, else the dial that leads there.

        Raises OSError when libzmq refuses the address, or no descriptor is left. Then libzmq would
        not tell that it has not dialled.
        """
        other = self._dial_to.get(address)
        if other is not None:
            return other
        os.close(os.eventfd(0, os.EFD_CLOEXEC))
        self._socket.setsockopt(zmq.IPV6, int("[" in address))
        self._socket.setsockopt(zmq.CONNECT_ROUTING_ID, conn)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            raise OSError(error.errno, error.strerror) from error
        self._address_of[conn] = address
        self._dial_to[address] = conn
        return None

    def disconnect(self, conn: bytes) -> None:
        """Ends a dial. Its connection ends with one of the next calls on the socket."""
        address = self._address_of.pop(conn, None)
        if address is None:
            return
        if self._dial_to.get(address) == conn:
            del self._dial_to[address]
        with suppress(zmq.ZMQError):
            self._socket.disconnect(address)

    def _end_dial_to(self, address: str) -> None:
        """Ends the dials to an endpoint that this node is about to bind."""
        conn = self._dial_to.get(address)
        if conn is not None and conn not in self._fd_of:
            self.disconnect(conn)
            self._ended.append((conn, "this node binds that endpoint itself"))

    def _unbind(self) -> None:
        """libzmq closes listeners in its own thread, and the monitor then reports it."""
        open_still = set(self._bound.values())
        for text in self._bound.values():
            try:
                self._socket.unbind(text)
            except zmq.ZMQError:
                open_still.discard(text)
            if text.startswith("inproc:"):
                open_still.discard(text)
        until = time.monotonic() + UNBIND_S
        while open_still and time.monotonic() < until:
            if self._monitor.poll(10):
                head, endpoint = self._monitor.recv_multipart()
                if _MONITOR_EVENT.unpack(head)[0] == zmq.EVENT_CLOSED:
                    open_still.discard(endpoint.decode(errors="replace"))

    # Frames

    def has_input(self) -> bool:
        """Whether ``receive`` has something. Also lets libzmq do delayed work."""
        # This is quicker than to get EVENTS, for which pyzmq makes an enum of the option.
        return bool(zmq_poll(self._polled, 0))

    def receive(self) -> tuple[bytes, Frame] | None:
        """The next frame and its connection. None if there is none, or if it is to be ignored."""
        try:
            head = self._recv(_NOBLOCK, False)
        except zmq.Again:
            return None
        if not head.more:
            return None  # the rest of a message of which an interrupted call took the head
        conn = head.bytes
        frame = self._recv(0, False)
        parts: list[bytes] = [frame.bytes]
        first = frame
        while frame.more:
            frame = self._recv(0, False)
            parts.append(frame.buffer)
        if conn not in self._fd_of and not self._attribute(conn, first):
            return None
        return conn, tuple(parts)

    def _attribute(self, conn: bytes, frame: zmq.Frame) -> bool:
        """Notes which descriptor a connection has. False if it was closed meanwhile."""
        try:
            fd = int(frame.get(zmq.SRCFD))
        except (zmq.ZMQError, ValueError):
            self._fd_of[conn] = -1
            return True
        self.read_monitor()
        if fd in self._closed_fds:
            return False
        self._fd_of[conn] = fd
        self._conn_of[fd] = conn
        return True

    def send(self, conn: bytes, parts: Frame) -> bool:
        """Sends a frame. False if the connection does not exist or has ended."""
        try:
            self._send(conn, _SNDMORE | _NOBLOCK)
        except zmq.ZMQError:
            return False
        last = len(parts) - 1
        for at, part in enumerate(parts):
            self._send(part, _SNDMORE if at < last else 0)
        return True

    # Ends of connections

    def read_monitor(self) -> None:
        """Notes which connections were made and which have ended, for ``take_ended``."""
        while int(self._monitor.getsockopt(_EVENTS)) & _POLLIN:
            head, endpoint = self._monitor.recv_multipart()
            kind, fd = _MONITOR_EVENT.unpack(head)
            address = endpoint.decode(errors="replace")
            if kind == zmq.EVENT_LISTENING:
                self._note_inode(fd)
            elif kind == zmq.EVENT_ACCEPTED:
                self._forget_fd(fd)
                self._note_inode(fd)
                self.unauthenticated.accept(fd, address, time.monotonic())
            elif kind == zmq.EVENT_CONNECTED:
                self._forget_fd(fd)
                self._note_inode(fd)
                conn = self._dial_to.get(address)
                if conn is not None:
                    self._conn_of[fd] = conn
                    self._fd_of[conn] = fd
            elif kind == zmq.EVENT_DISCONNECTED:
                self._on_disconnected(fd)
            elif kind == zmq.EVENT_CLOSED:
                self._inode_of.pop(fd, None)
                conn = self._dial_to.get(address)
                if conn is not None and conn not in self._fd_of:
                    self._ended.append((conn, "connection refused"))

    def _note_inode(self, fd: int) -> None:
        inode = inode_of(fd)
        if inode is not None:
            self._inode_of[fd] = inode

    def _forget_fd(self, fd: int) -> None:
        self._closed_fds.discard(fd)
        self.unauthenticated.forget(fd)
        stale = self._conn_of.pop(fd, None)
        if stale is not None:
            self._ended.append((stale, "closed"))

    def _on_disconnected(self, fd: int) -> None:
        self._inode_of.pop(fd, None)
        accepted = self.unauthenticated.forget(fd)
        conn = self._conn_of.pop(fd, None)
        if conn is not None:
            self._ended.append((conn, "closed"))
            return
        self._closed_fds.add(fd)
        if accepted is not None:
            self.unauthenticated.refused += 1
            self.unauthenticated.log_refusal(accepted, "it ended without a greeting of SPOT")

    def log_refusal(self, conn: bytes, why: str) -> None:
        accepted = self.unauthenticated.find(self._fd_of.get(conn, -1))
        if accepted is not None:
            self.unauthenticated.log_refusal(accepted, why)

    def excuse_unauthenticated(self, late: float, now: float) -> None:
        self.unauthenticated.excuse(late, now)

    def end_unauthenticated(self, now: float, is_link: Callable[[bytes], bool]) -> None:
        self.unauthenticated.end_overdue(now, lambda fd: is_link(self._conn_of.get(fd, b"")))

    @property
    def ended(self) -> bool:
        """Whether ``take_ended`` has something."""
        return bool(self._ended)

    def take_ended(self) -> list[tuple[bytes, str]]:
        """Connections that have ended, with the reason. Read the frames that they sent first."""
        ended = self._ended
        if ended:
            self._ended = []
            for conn, _ in ended:
                self.forget(conn)
        return ended

    def forget(self, conn: bytes) -> None:
        """The node no longer needs a connection."""
        fd = self._fd_of.pop(conn, None)
        if fd is not None and self._conn_of.get(fd) == conn:
            del self._conn_of[fd]
        self._received.pop(conn, None)
        self.disconnect(conn)

    def progressed(self, conn: bytes) -> bool:
        """Whether bytes arrived on a connection since this was last asked.

        libzmq hands over a frame when it is complete. On a slow link that takes longer than a peer
        may be silent. The kernel counts the bytes that have arrived (TCP_INFO, Linux).
        """
        fd = self._fd_of.get(conn, -1)
        received = bytes_received(fd) if fd >= 0 else None
        if received is None:
            return False
        before = self._received.get(conn)
        self._received[conn] = received
        return before is not None and received != before

    def close(self) -> None:
        """Ends all connections, frees the ports and removes the files of ipc before it returns."""
        self._unbind()
        for text in self._bound.values():
            _remove_path(text)
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)

    def close_in_child(self) -> None:
        """Gives up, in a forked child, the listeners and connections of the parent's node.

        Else ports would stay bound, and connections open, for as long as the child lives. libzmq
        must not be called: its threads are the parent's alone. A number may stand for another file
        by now, but its inode does not.
        """
        for fd, inode in self._inode_of.items():
            if inode_of(fd) == inode:
                os.close(fd)
        self._inode_of.clear()


def _open_sockets(config: Config) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    """The ROUTER of a node, and its monitor."""
    context = _shared.get()
    sock: zmq.Socket[bytes] | None = None
    try:
        sock = context.socket(zmq.ROUTER)
        sock.setsockopt(zmq.ROUTER_MANDATORY, 1)
        sock.setsockopt(zmq.RECONNECT_IVL, -1)
        sock.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        sock.setsockopt(zmq.CONNECT_TIMEOUT, HANDSHAKE_MS)
        sock.setsockopt(zmq.MAXMSGSIZE, config.max_message_bytes + FRAME_SLACK_BYTES)
        sock.setsockopt(zmq.SNDHWM, 0)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.BACKLOG, 512)
        sock.setsockopt(zmq.ZAP_DOMAIN, zap.DOMAIN)
        sock.setsockopt(zmq.TCP_KEEPALIVE, 1)
        sock.setsockopt(zmq.TCP_KEEPALIVE_IDLE, config.keepalive_idle)
        sock.setsockopt(zmq.TCP_KEEPALIVE_INTVL, config.keepalive_interval)
        sock.setsockopt(zmq.TCP_KEEPALIVE_CNT, config.keepalive_count)
        return sock, sock.get_monitor_socket(_MONITORED)
    except zmq.ZMQError as error:
        if sock is not None:
            sock.close(linger=0)
        raise system_error(_START, error.errno) from error


def _bindable(endpoint: Endpoint) -> str:
    if endpoint.host == "*":
        return "*"
    if endpoint.is_ipv6:
        return f"[{endpoint.host}]"
    try:
        host = endpoint.host_to_look_up
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError, LookupError):
        return endpoint.host  # the name of an interface, perhaps
    return str(found[0][4][0])


def _bind_error(endpoint: Endpoint, error: zmq.ZMQError) -> SpotError:
    text = endpoint.text
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return system_error(f"bind {text}", error.errno)
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"can't bind {text}: the address is in use. Stop what listens there, "
            "or bind another port (0 takes any free one)",
            endpoint=text,
        )
    return InvalidArgument(
        f"can't bind {text}: {error.strerror}. It must be an address of this machine", endpoint=text
    )


def _check_path(endpoint: Endpoint) -> None:
    """Checks the path first: libzmq removes any file that stands where an ipc socket is to be."""
    path = endpoint.name
    if _is_listening(path):
        raise AddressInUse(
            f"can't bind {endpoint.text}: another process listens there. Choose another path",
            endpoint=endpoint.text,
        )
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise InvalidArgument(
            f"can't bind {endpoint.text}: what stands there is no socket. Choose another path",
            endpoint=endpoint.text,
        )
    if not path.startswith("@") and not os.path.isdir(os.path.dirname(path) or "."):
        raise InvalidArgument(
            f"can't bind {endpoint.text}: there is no directory {os.path.dirname(path)!r}. "
            "Make the directory, or choose another path",
            endpoint=endpoint.text,
        )


def _remove_path(endpoint: str) -> None:
    """Removes the file of an ipc socket of this node, which libzmq leaves behind."""
    transport, _, path = endpoint.partition("://")
    if transport == "ipc" and not path.startswith("@"):
        with suppress(OSError):
            if not _is_listening(path):
                os.unlink(path)


def _is_listening(path: str) -> bool:
    """Whether a socket is bound to a path. Does not wait. Raises OSError if it can't ask."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError as error:
            # It accepts no more connections now, or none of this type.
            return error.errno in (errno.EAGAIN, errno.EPROTOTYPE)
    return True

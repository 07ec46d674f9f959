"""Turns an endpoint into an address that can be dialled.

A look-up of a name may take seconds, so each runs in a thread of its own.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from spot.endpoint import Endpoint, parse_endpoint
from spot.runtime.signal_lock import SignalLock


class Resolved(NamedTuple):
    """The outcome of a look-up: an address, or the reason why there is none."""

    address: str = ""
    error: str = ""


Answer = Callable[[Resolved], None]


class Resolver(Protocol):
    """Finds the addresses of endpoints."""

    def resolve(self, endpoint: str, answer: Answer) -> Resolved | None:
        """Lock held. The outcome, if no name has to be looked up.

        Otherwise None: ``answer`` is called later, in another thread, with the lock held.
        """


class ThreadResolver:
    """The resolver of a node. ``lock`` is the node's lock."""

    def __init__(self, lock: SignalLock) -> None:
        self._lock = lock
        self._running: set[str] = set()
        self._stopped = False

    def stop(self) -> None:
        """Lock held. The node closes. Look-ups in progress get no answer."""
        self._stopped = True

    def resolve(self, endpoint: str, answer: Answer) -> Resolved | None:
        """Lock held. See Resolver."""
        parsed = parse_endpoint(endpoint)
        address = _numeric_address(parsed)
        if address is not None:
            return Resolved(address)
        host = parsed.host
        if host in self._running:
            return Resolved(error=f"the name {host} is still being looked up")

        def run() -> None:
            found = _look_up(parsed)
            with self._lock:
                self._running.discard(host)
                if not self._stopped:
                    answer(found)

        try:
            threading.Thread(target=run, name="spot-resolve", daemon=True).start()
        except RuntimeError as error:
            return Resolved(error=f"the name {host} can't be looked up: {error}")
        # The thread waits for the lock before it removes the name again.
        self._running.add(host)
        return None


def _numeric_address(endpoint: Endpoint) -> str | None:
    """The address to dial if no name has to be looked up for it, else None."""
    if endpoint.transport != "tcp":
        return endpoint.text
    try:
        ipaddress.ip_address(endpoint.host.partition("%")[0])
    except ValueError:
        return None
    return _tcp_address(endpoint.host, endpoint.port)


def _look_up(endpoint: Endpoint) -> Resolved:
    """The address of a tcp endpoint with a name; IPv4 first. May block for seconds."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Resolved(error=f"the name {endpoint.host} can't be resolved: {error}")
    found.sort(key=lambda item: item[0] != socket.AF_INET)
    return Resolved(_tcp_address(str(found[0][4][0]), endpoint.port))


def _tcp_address(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

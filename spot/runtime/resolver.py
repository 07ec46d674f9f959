"""Turns an endpoint into the addresses that can be dialled, and says which is next.

A look-up of a name may take seconds, so each runs in a thread of its own.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Container
from typing import NamedTuple, Protocol

from spot.endpoint import Endpoint, parse_endpoint
from spot.runtime.signal_lock import SignalLock


class Resolved(NamedTuple):
    """The outcome of a look-up: at least one address, or the reason why there is none."""

    addresses: tuple[str, ...] = ()
    error: str = ""


Answer = Callable[[Resolved], None]


class Resolver(Protocol):
    """Finds the addresses of endpoints."""

    def resolve(self, endpoint: str, answer: Answer) -> Resolved | None:
        """Lock held. Returns the addresses of an endpoint, or an error, if no look-up is needed.

        Otherwise returns None, and another thread calls ``answer`` later, with the lock held.
        """


class AddressRotation:
    """Which of its addresses an endpoint is dialled at next.

    An address is dialled again until a dial to it fails. Then it is the turn of the first one in
    the resolver's order that has not failed. When all have failed, it begins again.
    """

    def __init__(self) -> None:
        # Of endpoints with several addresses: the one that was dialled last, and those that failed.
        self._dialled: dict[str, str] = {}
        self._failed: dict[str, set[str]] = {}

    def pick(self, endpoint: str, addresses: tuple[str, ...]) -> str:
        """The address to dial now. ``addresses`` are those that the endpoint has now."""
        if len(addresses) == 1:
            self._forget(endpoint)
            return addresses[0]
        failed = self._failed.setdefault(endpoint, set())
        failed.intersection_update(addresses)
        dialled = self._dialled.get(endpoint)
        if dialled not in addresses or dialled in failed:
            if failed.issuperset(addresses):
                failed.clear()
            dialled = next(address for address in addresses if address not in failed)
        self._dialled[endpoint] = dialled
        return dialled

    def failed(self, endpoint: str) -> None:
        """The last dial of an endpoint has failed."""
        if endpoint in self._dialled:
            self._failed[endpoint].add(self._dialled[endpoint])

    def keep(self, endpoints: Container[str]) -> None:
        """Forgets the endpoints that are not among these."""
        for endpoint in [known for known in self._dialled if known not in endpoints]:
            self._forget(endpoint)

    def _forget(self, endpoint: str) -> None:
        self._dialled.pop(endpoint, None)
        self._failed.pop(endpoint, None)


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
            return Resolved((address,))
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
    """The addresses of a tcp endpoint with a name, in the system's order. May block for seconds."""
    try:
        host = endpoint.host_to_look_up
        found = socket.getaddrinfo(host, endpoint.port, type=socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001  whatever it is, the dial has failed
        # Resolvers that a program has patched in raise errors of their own.
        return Resolved(error=f"the name {endpoint.host} can't be resolved: {error}")
    addresses = (_tcp_address(str(item[4][0]), endpoint.port) for item in found)
    return Resolved(tuple(dict.fromkeys(addresses)))


def _tcp_address(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

"""Dialling: names are looked up by threads of their own, as that may take seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from spot.core.node import NodeCore
from spot.endpoint import parse_endpoint
from spot.runtime.wakeups import Readers
from spot.transport.zmq_transport import Transport, look_up, numeric_address


class Dialling:
    """Carries out the dials that the core wants. What says "lock held" needs the node's lock."""

    def __init__(self, core: NodeCore, transport: Transport, readers: Readers) -> None:
        self._core = core
        self._transport = transport
        self._readers = readers
        self._resolving: set[str] = set()
        self._stopped = False

    def stop(self) -> None:
        """Lock held. The node closes: names that are being looked up are not dialled any more."""
        self._stopped = True

    def dial(self, conn: bytes, endpoint: str, now: float, act: Callable[[], None]) -> None:
        """Lock held. Dials; ``act`` is called later, when a name was looked up first."""
        parsed = parse_endpoint(endpoint)
        address = numeric_address(parsed)
        if address is not None:
            self._connect(conn, address, now)
            return
        if parsed.host in self._resolving:
            self._core.lost(conn, f"the name {parsed.host} is still being looked up", now)
            return
        self._resolving.add(parsed.host)

        def resolve() -> None:
            why = ""
            found = ""
            try:
                found = look_up(parsed)
            except (OSError, UnicodeError) as error:
                why = f"the name {parsed.host} can't be resolved: {error}"
            with self._readers.lock:
                self._resolving.discard(parsed.host)
                if self._stopped:
                    return
                if found:
                    self._connect(conn, found, time.monotonic())
                else:
                    self._core.lost(conn, why, time.monotonic())
                act()

        threading.Thread(target=resolve, name="spot-resolve", daemon=True).start()

    def _connect(self, conn: bytes, address: str, now: float) -> None:
        if conn not in self._core.links.by_conn:
            return
        if self._transport.is_bound(address):
            self._core.itself(conn, now)
            return
        try:
            other = self._transport.connect(conn, address)
        except OSError as error:
            self._core.lost(conn, f"can't dial {address}: {error.strerror}", now)
            return
        if other is not None:
            self._core.same(conn, other, now)
        else:
            self._core.made(conn, now)

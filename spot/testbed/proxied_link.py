"""The handle of one proxied link, with which faults and tests break and heal it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spot.testbed.proxy import Proxy, Toxic

__all__ = ["ProxiedLink"]


@dataclass(frozen=True)
class ProxiedLink:
    """The link of a pair of nodes, and the proxy that all of its traffic passes.

    It is the same for Toxiproxy and the embedded proxy. Every call may raise ProxyError. Safe to
    use from several threads.
    """

    dialler: str
    listener: str
    proxy: Proxy
    """The proxy, as an object of toxiproxy-python."""
    address: tuple[str, int]
    """The address of the proxy's port from this machine. A connection to it ends at ``listener``,
    as those of the dialler do."""

    @property
    def pair(self) -> tuple[str, str]:
        """Dialler and listener."""
        return self.dialler, self.listener

    @property
    def is_enabled(self) -> bool:
        """Whether the proxy listens. Asks the server."""
        return self.proxy.refresh().enabled

    def disable(self) -> None:
        """Closes the pair's connection at once, and refuses new ones: a cut that both ends see."""
        self.proxy.disable()

    def enable(self) -> None:
        """Listens again; toxics stay."""
        self.proxy.enable()

    def toxics(self) -> dict[str, Toxic]:
        """Its toxics by name."""
        return self.proxy.toxics()

    def add_toxic(
        self,
        type: str,  # noqa: A002  Toxiproxy's name for it
        *,
        towards: str | None = None,
        toxicity: float = 1.0,
        **attributes: int,
    ) -> None:
        """Adds a toxic to the bytes on their way to one node. Open connections get it too.

        ``towards``: the node that the bytes go to; None: adds a toxic in each direction.
        ``attributes``: those of Toxiproxy (``latency=200`` in ms, ``rate=64`` in kB/s). The toxic
        is named after type and stream. Raises ValueError if ``towards`` is not an end of this link.
        """
        for stream in self.streams(towards):
            self.proxy.add_toxic(type, stream=stream, toxicity=toxicity, attributes=attributes)

    def remove_toxic(self, type: str, *, towards: str | None = None) -> None:  # noqa: A002
        """Removes the toxics that ``add_toxic`` with the same arguments added."""
        for stream in self.streams(towards):
            self.proxy.destroy_toxic(f"{type}_{stream}")

    def blackhole(self, *, towards: str | None = None) -> None:
        """Drops all bytes on their way to one node (None: to both); connections stay open.

        It is the ``timeout`` toxic with 0 ms. Healing closes the connections that lost bytes.
        """
        self.add_toxic("timeout", towards=towards, timeout=0)

    def heal(self) -> None:
        """Removes every toxic and enables the proxy."""
        self.proxy.destroy_toxics()
        self.proxy.enable()

    def streams(self, towards: str | None = None) -> tuple[str, ...]:
        """Toxiproxy's names of the directions: towards one node, or both (None).

        Raises ValueError if ``towards`` is not an end of this link.
        """
        by_node: Mapping[str | None, tuple[str, ...]] = {
            None: ("upstream", "downstream"),
            self.listener: ("upstream",),
            self.dialler: ("downstream",),
        }
        if towards not in by_node:
            raise ValueError(
                f"{towards!r} is no end of the link of {self.dialler} and {self.listener}"
            )
        return by_node[towards]

"""Edges: one proxy for every pair of nodes in which one dials the other.

    dialler ──> 127.0.0.1:port (edge) ──> upstream (the address that the target binds)

The dialler gets the edge's address instead of the target's, so that a fault on the edge acts only
on that pair. ``upstream`` streams run from dialler to target, ``downstream`` streams back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spot.testbed.errors import ClusterError
from spot.testbed.ports import LOOPBACK, PortReservation
from spot.testbed.proxy.client import Proxy, Toxiproxy
from spot.testbed.proxy.errors import ProxyNotFound

__all__ = ["EdgeProxy", "Pair", "delete_edges", "edge_name", "find_edges", "make_edges"]

Pair = tuple[str, str]
"""Dialler and target."""

SEPARATOR = "~"
"""Separates run, dialler and target in the name of a proxy. Node names don't contain it."""


@dataclass(frozen=True)
class EdgeProxy:
    """The proxy between two nodes. Toxics go on ``proxy``."""

    dialler: str
    target: str
    proxy: Proxy

    @property
    def pair(self) -> Pair:
        """Dialler and target."""
        return self.dialler, self.target

    @property
    def address(self) -> tuple[str, int]:
        """Where the dialler finds the target, as a socket takes it."""
        host, _colon, port = self.proxy.listen.rpartition(":")
        return host, int(port)

    @property
    def endpoint(self) -> str:
        """Where the dialler finds the target, as a node takes it."""
        return f"tcp://{self.proxy.listen}"


def edge_name(run_id: str, dialler: str, target: str) -> str:
    """The name of the proxy. Raises ClusterError when a part can't stand in one."""
    for part in (run_id, dialler, target):
        if not part or SEPARATOR in part or "/" in part:
            raise ClusterError(f"{part!r} can't name an edge: it is empty or has '~' or '/' in it")
    return SEPARATOR.join((run_id, dialler, target))


def make_edges(
    server: Toxiproxy,
    run_id: str,
    upstreams: Mapping[Pair, str],
    ports: PortReservation | None = None,
) -> dict[Pair, EdgeProxy]:
    """Makes a proxy for each pair, to the upstream address (``127.0.0.1:5555``) given for it.

    ``ports``: the reservation that gives their ports, so that an edge that is disabled for a while
    finds its port free again. None: any ports, for servers on other machines.

    All or nothing. Raises ProxyError, PortInUse, ClusterError.
    """
    wanted = [
        {"name": edge_name(run_id, *pair), "upstream": upstream.removeprefix("tcp://")}
        for pair, upstream in upstreams.items()
    ]
    if ports is not None:
        for proxy, port in zip(wanted, ports.free(len(wanted)), strict=True):
            proxy["listen"] = f"{LOOPBACK}:{port}"
    try:
        made = server.populate(wanted)
    except BaseException:
        delete_edges(server, run_id)
        raise
    return {pair: EdgeProxy(*pair, proxy) for pair, proxy in zip(upstreams, made, strict=True)}


def find_edges(server: Toxiproxy, run_id: str) -> dict[Pair, EdgeProxy]:
    """The edges that a run has at this server, made by any process."""
    found = {}
    for name, proxy in server.proxies().items():
        parts = name.split(SEPARATOR)
        if len(parts) == 3 and parts[0] == run_id:
            found[parts[1], parts[2]] = EdgeProxy(parts[1], parts[2], proxy)
    return found


def delete_edges(server: Toxiproxy, run_id: str) -> int:
    """Deletes the run's proxies and nothing else. Returns how many they were."""
    edges = find_edges(server, run_id)
    for edge in edges.values():
        try:
            edge.proxy.destroy()
        except ProxyNotFound:
            continue  # someone else was quicker
    return len(edges)

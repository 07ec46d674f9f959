"""The proxy server of a run whose nodes are processes of this machine."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from spot.testbed.backends.backend import RUN_VARIABLE, NodeState
from spot.testbed.edges import Edge, edges
from spot.testbed.ports import LOOPBACK, PortReservation
from spot.testbed.proxied_link import ProxiedLink
from spot.testbed.proxy import (
    ProxyError,
    ProxyServer,
    delete_edges,
    edge_name,
    make_edges,
    open_server,
)
from spot.testbed.run import Run

__all__ = ["proxied_link", "proxy_server", "proxy_state", "start_proxy", "stop_proxy"]


def start_proxy(run: Run, ports: PortReservation) -> dict[str, dict[str, str]]:
    """Finds or starts a server, and makes an edge for each pair.

    Returns what each node dials, by peer. The addresses of the nodes must stand in ``run.nodes``.
    Raises ProxyError, PortInUse.
    """
    server = open_server(run.proxy_log_file, variables={RUN_VARIABLE: run.run_id}, ports=ports)
    run.proxy = server.to_json()
    run.save()
    is_here = urlsplit(server.url).hostname in (LOOPBACK, "localhost")
    wanted = {
        (edge.dialler, edge.listener): str(run.nodes[edge.listener]["address"])
        for edge in edges(run.topology)
    }
    # A server on another machine has its own ports.
    made = make_edges(server.client(), run.run_id, wanted, ports if is_here else None)
    dials: dict[str, dict[str, str]] = {name: {} for name in run.topology.names}
    for (dialler, listener), edge in made.items():
        dials[dialler][listener] = edge.endpoint
    return dials


def stop_proxy(run: Run) -> None:
    """Ends the server if it is the run's own, else deletes the run's edges."""
    server = proxy_server(run)
    if server is None:
        return
    server.stop()
    if server.process is None:
        with contextlib.suppress(ProxyError):  # it is gone, and the edges with it
            delete_edges(server.client(), run.run_id)


def proxy_server(run: Run) -> ProxyServer | None:
    """The run's server. None: it has none."""
    return None if run.proxy is None else ProxyServer.from_json(run.proxy)


def proxy_state(run: Run) -> NodeState | None:
    """The state of the run's server, by its process, or by its answer if it is another's."""
    server = proxy_server(run)
    if server is None:
        return None
    if server.process is not None and server.process.is_paused:
        return "paused"
    return "running" if server.is_alive else "exited"


def proxied_link(run: Run, edge: Edge) -> ProxiedLink:
    """The handle of this edge. Raises ProxyError."""
    server = proxy_server(run)
    if server is None:
        raise ProxyError(f"run {run.run_id} has no proxy server")
    proxy = server.client().get_proxy(edge_name(run.run_id, edge.dialler, edge.listener))
    if proxy is None:
        raise ProxyError(
            f"the proxy server at {server.url} has lost the edge of {edge.dialler} and "
            f"{edge.listener}: was it restarted or reset? Start the cluster again"
        )
    host, _, port = proxy.listen.rpartition(":")
    return ProxiedLink(edge.dialler, edge.listener, proxy, (host, int(port)))

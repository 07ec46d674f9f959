"""The proxies between nodes: Toxiproxy or the embedded proxy, with the same calls for both.

server = open_server(Path("proxy.log"))
edges = make_edges(server.client(), "run-1", {("a", "b"): "127.0.0.1:5555"})
edges["a", "b"].proxy.add_toxic("latency", attributes={"latency": 200})
server.stop()
"""

from spot.testbed.proxy.client import Proxy, Toxic, Toxiproxy
from spot.testbed.proxy.edges import (
    EdgeProxy,
    Pair,
    delete_edges,
    edge_name,
    find_edges,
    make_edges,
)
from spot.testbed.proxy.errors import (
    ProxyCallInvalid,
    ProxyConflict,
    ProxyError,
    ProxyNotFound,
    ProxyNotStarted,
    ProxyRefused,
    ProxyTimeout,
    ProxyUnreachable,
)
from spot.testbed.proxy.server import (
    ProxyServer,
    ServerKind,
    choose_server,
    find_toxiproxy,
    open_server,
)

__all__ = [
    "EdgeProxy",
    "Pair",
    "Proxy",
    "ProxyCallInvalid",
    "ProxyConflict",
    "ProxyError",
    "ProxyNotFound",
    "ProxyNotStarted",
    "ProxyRefused",
    "ProxyServer",
    "ProxyTimeout",
    "ProxyUnreachable",
    "ServerKind",
    "Toxic",
    "Toxiproxy",
    "choose_server",
    "delete_edges",
    "edge_name",
    "find_edges",
    "find_toxiproxy",
    "make_edges",
    "open_server",
]

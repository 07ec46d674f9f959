"""What tests of nodes share: the types of the fixtures in conftest.py, and small questions."""

from __future__ import annotations

from collections.abc import Callable

from spot import Spot
from tests.library.child import Child
from tests.library.proxy import Proxy

MakeNode = Callable[..., Spot]
StartChild = Callable[..., Child]
MakeProxy = Callable[..., Proxy]

ANY_PORT = "tcp://127.0.0.1:0"


def is_up(node: Spot, peer_id: str) -> bool:
    """Whether a peer, by endpoint or node id, is linked."""
    return any(peer.state == "up" for peer in node.peers() if peer_id in (peer.endpoint, peer.node))


def endpoint_of(node: Spot) -> str:
    """The first endpoint that the node is bound to."""
    return node.endpoints[0]

"""A host and its peers without sockets: nodes of the pure core, wired in memory."""

from __future__ import annotations

from itertools import count

from spot import Config
from spot.core.effects import Frame
from spot.core.node import NodeCore

__all__ = ["NOW", "Star"]

NOW = 100.0
"""The time at which everything happens."""
ENDPOINT = "tcp://127.0.0.1:1"
STEPS_MAX = 100
WINDOW_MSGS = 1 << 30
UNLIMITED = 1 << 60


class Star:
    """A host that this many peers have dialled. No frame is under way when it is made."""

    def __init__(self, peers: int) -> None:
        tokens = count(1)
        config = Config(sndhwm=WINDOW_MSGS, rcvhwm=WINDOW_MSGS)

        def core(node: str) -> NodeCore:
            return NodeCore(config, node, next(tokens), NOW, lambda: 0.5, lambda: next(tokens))

        self.host = core("host")
        self.peers: dict[bytes, NodeCore] = {}
        self._conns: dict[bytes, bytes] = {}
        for index in range(peers):
            peer = core(f"peer-{index}")
            peer.peers.add(ENDPOINT, NOW)
            peer.tick(NOW)
            ((conn, _),) = peer.effects.dials
            peer.effects.dials = []
            name = f"conn-{index}".encode()
            self.peers[name] = peer
            self._conns[name] = conn
            peer.made(conn, NOW)
        self.run_dry()

    def run_dry(self) -> None:
        """Delivers all frames that are under way, in both directions."""
        for _ in range(STEPS_MAX):
            moved = False
            for name, peer in self.peers.items():
                for _, frame in peer.take_sends(NOW):
                    self.host.frame(name, frame, NOW)
                    moved = True
            for name, frame in self.host.take_sends(NOW):
                self.arrive(name, frame)
                moved = True
            if not moved:
                return
        raise AssertionError("frames go to and fro for ever")

    def arrive(self, name: bytes, frame: Frame) -> None:
        """A frame of the host arrives at the peer with that connection."""
        self.peers[name].frame(self._conns[name], frame, NOW)

    def give_credit(self) -> None:
        """Gives the host endless credit, as only what it sends is measured."""
        for link in self.host.links.by_node.values():
            link.data.limit_msgs = link.data.limit_bytes = UNLIMITED

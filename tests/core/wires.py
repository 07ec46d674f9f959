"""Nodes wired in memory: every frame, and every end of a connection, is delivered when the test
says so, in order within one direction of a connection, and in any order between them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from spot.config import Config
from spot.core.data.inbox import Delivery, MultiDelivery, Notice
from spot.core.effects import Frame
from spot.core.node import NodeCore
from spot.message import Event, Message, Peer

WALL_NS = 1_700_000_000_000_000_000


def new_cluster(
    node: str, config: Config | None = None, *, now: float = 0.0, seed: int = 0
) -> NodeCore:
    """A node whose random numbers come from a seed."""
    random = Random(f"{node} {seed} {now}")
    started = WALL_NS + int(now * 1e9)
    return NodeCore(
        config or Config(),
        node,
        started,
        now,
        random.random,
        lambda: random.getrandbits(63) | 1,
    )


class Node:
    """A node, what it was told, and the application that takes from it."""

    def __init__(self, cluster: NodeCore) -> None:
        self.core = cluster
        self.events: list[Event] = []
        self.unnamed_refusals: list[str] = []
        self.messages: list[Message] = []
        self.notices: list[Notice] = []
        self.held: Delivery | MultiDelivery | None = None

    def take(self, now: float) -> bool:
        """Takes the next delivery or notice, as recv does; False when there is none."""
        if self.held is not None:
            held, self.held = self.held, None
            self.core.taken(held, now)
        item = self.core.take()
        if isinstance(item, Notice):
            self.notices.append(item)
        elif item is not None:
            self.held = item
            self.messages += item.messages()
        return item is not None

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def peer(self, endpoint: str) -> Peer:
        (found,) = [peer for peer in self.core.peers.describe() if peer.endpoint == endpoint]
        return found


@dataclass(eq=False)
class End:
    """One end of a connection: whose it is, its name there, and what is on its way to it."""

    node: Node
    conn: bytes
    arriving: deque[Frame | None] = field(default_factory=deque)
    closed: bool = False


class Wires:
    """The network. An endpoint leads to the node that listens there, or to nobody."""

    def __init__(self) -> None:
        self.now = 100.0
        self.listening: dict[str, Node] = {}
        self.nodes: list[Node] = []
        self.ends: dict[tuple[int, bytes], End] = {}
        self.others: dict[End, End] = {}
        self.accepted = 0

    def add(self, name: str, *endpoints: str, config: Config | None = None, seed: int = 0) -> Node:
        node = Node(new_cluster(name, config, now=self.now, seed=seed))
        self.nodes.append(node)
        for endpoint in endpoints:
            self.listening[endpoint] = node
        return node

    def crash(self, node: Node, *, drop: bool = False) -> None:
        """The process is gone: its connections close, perhaps before what it sent has arrived."""
        self.nodes.remove(node)
        for endpoint in [name for name, one in self.listening.items() if one is node]:
            del self.listening[endpoint]
        for end in [end for end in self.ends.values() if end.node is node]:
            self._close(end, drop=drop)

    @property
    def connections(self) -> int:
        return sum(not end.closed for end in self.ends.values()) // 2

    def _close(self, end: End, *, drop: bool = False) -> None:
        other = self.others[end]
        if drop:
            other.arriving.clear()
        end.arriving.clear()
        end.closed = True
        del self.ends[id(end.node), end.conn]
        if not other.closed:
            other.arriving.append(None)

    def work(self, node: Node) -> None:
        """Carries out what a node wants done, as the event loop does."""
        cluster = node.core
        effects = cluster.effects
        while True:
            for conn, frame in cluster.take_sends(self.now):
                end = self.ends.get((id(node), conn))
                if end is not None and not end.closed:
                    other = self.others[end]
                    if not other.closed:
                        other.arriving.append(frame)
            hangups, effects.hangups = effects.hangups, []
            for conn in hangups:
                end = self.ends.get((id(node), conn))
                if end is not None:
                    self._close(end)
            dials, effects.dials = effects.dials, []
            for conn, endpoint in dials:
                self._dial(node, conn, endpoint)
            node.events += effects.events
            effects.events = []
            node.unnamed_refusals += [why for _, why in effects.unnamed_refusals]
            effects.unnamed_refusals = []
            if not (effects.sends or effects.touched or effects.dials or effects.hangups):
                return

    def _dial(self, node: Node, conn: bytes, endpoint: str) -> None:
        target = self.listening.get(endpoint)
        if target is None:
            node.core.lost(conn, "connection refused", self.now)
            return
        self.accepted += 1
        ours = End(node, conn)
        theirs = End(target, b"\x00" + self.accepted.to_bytes(8, "big"))
        for end, other in ((ours, theirs), (theirs, ours)):
            self.ends[id(end.node), end.conn] = end
            self.others[end] = other
        node.core.made(conn, self.now)

    def waiting(self) -> list[End]:
        return [end for end in self.ends.values() if end.arriving]

    def deliver_one(self, choice: int) -> None:
        """What comes next at one of the ends arrives, if anything is on its way."""
        waiting = self.waiting()
        if waiting:
            self.deliver(waiting[choice % len(waiting)])

    def deliver(self, end: End) -> None:
        """The next that is on its way to this end arrives."""
        item = end.arriving.popleft()
        if item is None:
            end.closed = True
            del self.ends[id(end.node), end.conn]
            end.node.core.lost(end.conn, "closed", self.now)
        else:
            end.node.core.frame(end.conn, item, self.now)
        self.work(end.node)

    def tick(self, node: Node) -> None:
        node.core.tick(self.now)
        self.work(node)

    def run_dry(self) -> None:
        """Delivers until nothing is on its way."""
        for _ in range(100_000):
            waiting = self.waiting()
            if not waiting:
                return
            for end in waiting:
                if end.arriving:
                    self.deliver(end)
        raise AssertionError("frames go to and fro for ever")

    def settle(self, seconds: float) -> None:
        """Lets so much time go by, all of it without delay."""
        until = self.now + seconds
        for node in self.nodes:
            self.work(node)
        while True:
            self.run_dry()
            due = min(node.core.deadline for node in self.nodes)
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            for node in self.nodes:
                if self.now >= node.core.deadline:
                    self.tick(node)

"""The faults: each lasts a while and then heals itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.connections import Connection, End, Frame
from tests.simulation.deadlines import SLACK_S, Deadlines
from tests.simulation.node import Node

if TYPE_CHECKING:
    from tests.simulation.world import World

RESTART_S = 0.1
ADD_S = 0.1
FLOOD_FRAME = (b"\xff" * 40,)


class Stranger:
    """A host that is no node: it connects, says something, and waits."""

    listening = False
    frozen = False
    off = False

    def __init__(self, name: str) -> None:
        self.name = name

    def accepted(self, end: End) -> None: ...

    def arrived(self, conn: bytes, frame: Frame) -> None: ...

    def ended(self, conn: bytes, why: str) -> None: ...


class Faults:
    """Does to a world what a plan says. The public methods are the kinds of faults."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._network = world.network
        self._random = world.random
        self._deadlines = Deadlines(world)

    # Of the network

    def cut(self, one: str, other: str, lasts: float) -> None:
        self._network.cut(one, other, drop=self._random.random() < 0.5)

        def mend() -> None:
            self._network.mend(one, other)
            self._deadlines.expect_link(one, other)

        self._world.later(lasts, mend)

    def blackhole(self, one: str, other: str, ways: str, holding: bool, lasts: float) -> None:
        """``ways``: both, there, or back. ``holding``: bytes wait for the heal."""
        directions = {"both": ((one, other), (other, one)), "there": ((one, other),)}
        for source, target in directions.get(ways, ((other, one),)):
            self._network.mute(source, target, holding=holding)
            heal = partial(self._network.unmute, source, target, holding=holding)
            self._world.later(lasts, heal)
        self._deadlines.expect_noticed(one, other, lasts)
        self._deadlines.expect_noticed(other, one, lasts)

    def latency(self, one: str, other: str, latency: float, lasts: float) -> None:
        for wire in (self._network.wire(one, other), self._network.wire(other, one)):
            before = wire.latency
            wire.latency = latency
            self._world.later(lasts, partial(setattr, wire, "latency", before))

    def narrow(self, one: str, other: str, rate: float, lasts: float) -> None:
        """``rate`` is in bytes per second."""
        for wire in (self._network.wire(one, other), self._network.wire(other, one)):
            wire.rate = rate
            wire.narrowed_at = self._network.now
            self._world.later(lasts, partial(setattr, wire, "rate", 0.0))

    # Of nodes

    def crash(self, name: str, silent: bool, lasts: float) -> None:
        """``silent``: the machine loses its power, and nothing ends its connections."""
        node = self._world.nodes[name]
        if not node.listening:
            return
        node.frozen = node.held = False
        peers = list(node.core.links.by_node)
        node.stop()
        if silent:
            for peer in peers:
                self._deadlines.expect_noticed(peer, name, lasts)
            self._network.power_off(node)
        else:
            self._network.crash(node, drop=self._random.random() < 0.5)
        self._start_after(node, lasts)

    def leave(self, name: str, lasts: float) -> None:
        node = self._world.up(name)
        if node is not None:
            node.leave()
            self._start_after(node, lasts)

    def _start_after(self, node: Node, seconds: float) -> None:
        def start() -> None:
            if node.closing and node.listening:
                self._start_after(node, RESTART_S)
            elif not node.listening:
                node.taking = True
                node.start()

        self._world.later(seconds, start)

    def pause(self, name: str, frozen: bool, lasts: float) -> None:
        """``frozen``: SIGSTOP. Otherwise a call that keeps the interpreter."""
        node = self._world.nodes[name]
        if node.is_still:
            return
        node.frozen, node.held = frozen, not frozen
        connections = self._disturb(node, lasts)
        for peer in list(node.core.links.by_node):
            self._deadlines.expect_noticed(peer, name, lasts)

        def go_on() -> None:
            if connections:
                self._disturb(node, lasts)

        self._go_on_after(node, lasts, go_on)

    def _go_on_after(
        self, node: Node, seconds: float, first: Callable[[], None] | None = None
    ) -> None:
        life = node.life

        def go_on() -> None:
            if node.life == life and node.listening:
                if first is not None:
                    first()
                self._world.oracle.lives[node.name].still(self._network.now)
                self._world.oracle.note(node.name, "goes on")
                node.resume(late_input=self._random.random() < 0.5)

        self._world.later(seconds, go_on)

    def _disturb(self, node: Node, lasts: float) -> list[Connection]:
        """A pause disturbs nothing if peers need not notice it."""
        found = []
        for name, other in self._world.nodes.items():
            timeout = min(node.plan.config.peer_timeout, other.plan.config.peer_timeout)
            wire = self._network.wire(node.name, name)
            slack = 4 * (wire.latency + node.lag + other.lag) + SLACK_S
            short = timeout - 2 * self._deadlines.interval(node, other) - slack
            if name != node.name and lasts > short:
                for connection in self._network.between(node.name, name):
                    connection.disturb("pause", self._network.now)
                    found.append(connection)
        return found

    def sleep(self, lasts: float) -> None:
        """The machine that all nodes are on sleeps. No node may be blamed for it."""
        nodes = self._world.nodes.values()
        if any(node.listening and node.is_still for node in nodes):
            return
        for node in nodes:
            if node.listening:
                node.frozen = True
                self._go_on_after(node, lasts + self._random.uniform(0, 0.02))

    def lag(self, name: str, lag: float, lasts: float) -> None:
        """A node that is starved: it notices what arrives up to ``lag`` seconds late."""
        node = self._world.nodes[name]
        node.lag = lag
        if node.listening:
            self._world.oracle.lives[name].still(self._network.now + lasts + lag)
        self._world.later(lasts, lambda: setattr(node, "lag", node.plan.lag))

    def slow(self, name: str, lasts: float) -> None:
        """An application that does not receive."""
        node = self._world.nodes[name]
        node.taking = False

        def take() -> None:
            node.taking = True
            if not node.is_still:
                node.use()

        self._world.later(lasts, take)

    def hwm(self, name: str, sndhwm: int, rcvhwm: int) -> None:
        node = self._world.up(name)
        if node is not None:
            node.set_hwm(sndhwm, rcvhwm)

    # Of people

    def remove(self, one: str, other: str, lasts: float) -> None:
        """A peer is removed, and added again."""
        node = self._world.up(one)
        if node is None:
            return
        endpoints = [peer for peer in node.plan.peers if peer.startswith(f"tcp://{other}")]
        self._disturb_pair(one, other)
        for endpoint in endpoints or [other]:
            node.remove_peer(endpoint)

        def add() -> None:
            again = self._world.up(one)
            if again is None:
                self._world.later(ADD_S, add)
                return
            self._disturb_pair(one, other)
            for endpoint in endpoints:
                again.add_peer(endpoint)
            again.core.peers.readmit(other)

        self._world.later(lasts, add)

    def _disturb_pair(self, one: str, other: str) -> None:
        for connection in self._network.between(one, other):
            connection.disturb("remove", self._network.now)

    def stranger(self, name: str, seed: int) -> None:
        """A client that speaks no SPOT connects."""
        random = Random(seed)
        end = self._network.dial(Stranger(f"stranger-{seed}"), b"\x01", name)
        for _ in range(random.randint(0, 5)):
            part = random.randbytes(random.randint(0, 40))
            self._network.send(end, (part,) * random.randint(1, 2))
        if random.random() < 0.5:
            self._world.later(random.uniform(0, 2), lambda: self._network.close(end))

    def flood(self, name: str, lasts: float) -> None:
        """A client that speaks no SPOT sends without end, and faster than the node reads."""
        end = self._network.dial(Stranger(f"flood-{name}"), b"\x01", name)

        def begin() -> None:
            if end.peer is not None:
                self._world.nodes[name].flooded(end.peer.conn, FLOOD_FRAME)
                self._world.later(lasts, lambda: self._network.close(end))

        self._world.later(ADD_S, begin)

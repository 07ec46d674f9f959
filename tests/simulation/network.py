"""Simulated time, and a network whose wires can be cut, muted, slowed and healed."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from random import Random

from tests.simulation.connections import Cell, Connection, End, Frame, Host, Wire, ends_of

CONNECT_TIMEOUT_S = 1.0
"""Seconds until libzmq gives up a connect, or a handshake, that gets no answer."""


class Network:
    """The clock, the queue of what happens next, and all wires and connections."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        self.hosts: dict[str, Host] = {}
        self.handled = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self._conns = count(1)
        self._wires: dict[tuple[str, str], Wire] = {}
        self._connections: dict[tuple[str, str], list[Connection]] = {}
        self.latencies = (0.0002, 0.01)

    # Time

    def at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (moment, next(self._count), what))

    def run(self, until: float) -> None:
        """Lets time pass."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            moment, _, what = heapq.heappop(queue)
            self.now = max(self.now, moment)
            self.handled += 1
            what()
        self.now = until

    # Wires and faults

    def wire(self, source: str, target: str) -> Wire:
        wire = self._wires.get((source, target))
        if wire is None:
            latency = self.random.uniform(*self.latencies)
            wire = self._wires[source, target] = Wire(latency)
            if source != target:
                self._wires[target, source] = Wire(latency)
        return wire

    def between(self, one: str, other: str) -> list[Connection]:
        """The connections of two hosts that may still be open at one end."""
        pair = (one, other) if one < other else (other, one)
        found = self._connections.get(pair, [])
        found[:] = [connection for connection in found if self.is_open(connection)]
        return list(found)

    @staticmethod
    def is_open(connection: Connection) -> bool:
        end = connection.dialler
        assert end is not None
        return end.open or (end.peer is not None and end.peer.open)

    @staticmethod
    def is_whole(connection: Connection) -> bool:
        """Whether both ends are open. An end that lost its peer in silence lingers for a while."""
        return all(end.open for end in ends_of(connection))

    def connections_of(self, name: str) -> list[Connection]:
        pairs = [pair for pair in self._connections if name in pair]
        return [connection for pair in pairs for connection in self.between(*pair)]

    def cut(self, one: str, other: str, *, drop: bool) -> None:
        """Ends all connections of a pair, and refuses new ones. ``drop``: frames are lost."""
        for wire in (self.wire(one, other), self.wire(other, one)):
            wire.cuts += 1
        for connection in self.between(one, other):
            self._sever(connection, "cut", drop=drop)

    def mend(self, one: str, other: str) -> None:
        for wire in (self.wire(one, other), self.wire(other, one)):
            wire.cuts -= 1

    def mute(self, source: str, target: str, *, holding: bool) -> None:
        """From now on nothing arrives from one host at the other."""
        wire = self.wire(source, target)
        if holding:
            wire.holds += 1
        else:
            wire.eats += 1
        for connection in self.between(source, target):
            connection.disturb("blackhole", self.now)

    def unmute(self, source: str, target: str, *, holding: bool) -> None:
        wire = self.wire(source, target)
        if holding:
            wire.holds -= 1
            if not wire.holds:
                self._release(source, target)
            return
        wire.eats -= 1
        if not wire.eats:
            for connection in self.between(source, target):
                if any(end.lossy and end.host.name == source for end in ends_of(connection)):
                    self._sever(connection, "heal of a blackhole", drop=True)

    def _release(self, source: str, target: str) -> None:
        for connection in self.between(source, target):
            for end in ends_of(connection):
                if end.host.name == source and end.held:
                    self.at(self.now + end.wire.latency, lambda end=end: self._land_held(end))  # type: ignore[misc]

    def _land_held(self, end: End) -> None:
        if end.wire.holds:
            return
        held, end.held = end.held, []
        for cell in held:
            if end.wire.eats:
                end.lossy = True
            else:
                self._hand_over(end, cell)

    def _sever(self, connection: Connection, why: str, *, drop: bool) -> None:
        connection.disturb(why, self.now)
        if not connection.made:
            return
        for end in ends_of(connection):
            if drop:
                self._drop_flight(end)
            self._finish(end)

    def _finish(self, end: End) -> None:
        """The end goes on its way. A host that has not learned of it sends on, to no effect."""
        self._put(end, None)
        end.finished = True

    @staticmethod
    def _drop_flight(end: End) -> None:
        for cell in end.flight:
            cell.lost = True
        end.flight.clear()
        end.held.clear()

    # Connections

    def dial(self, host: Host, conn: bytes, target: str) -> End:
        """Begins a connection. Frames may be sent at once, and leave when it is made."""
        connection = Connection()
        wire = self.wire(host.name, target)
        end = connection.dialler = End(connection, host, conn, wire)
        back = self.wire(target, host.name)
        pair = (host.name, target) if host.name < target else (target, host.name)
        self._connections.setdefault(pair, []).append(connection)
        if wire.cuts or wire.is_dead or back.is_dead:
            connection.disturb("made during a fault", self.now)
        self.at(self.now + wire.latency, lambda: self._reach(end, target))
        return end

    def _reach(self, end: End, target: str) -> None:
        if not end.open:
            return
        host = self.hosts[target]
        wire = end.wire
        back = self.wire(target, end.host.name)
        if wire.is_dead or back.is_dead or host.frozen or host.off:
            end.connection.disturb("made during a fault", self.now)
            self.at(self.now + CONNECT_TIMEOUT_S, lambda: self._fail(end, "closed"))
        elif wire.cuts or not host.listening:
            end.connection.disturb("made during a fault", self.now)
            self.at(self.now + wire.latency, lambda: self._fail(end, "connection refused"))
        else:
            self.at(self.now + 2 * wire.latency, lambda: self._establish(end, host))

    def _fail(self, end: End, why: str) -> None:
        if end.open and not end.connection.made:
            end.open = False
            end.host.ended(end.conn, why)

    def _establish(self, end: End, host: Host) -> None:
        if not end.open:
            return
        wire = end.wire
        back = self.wire(host.name, end.host.name)
        if wire.is_dead or back.is_dead or host.frozen or host.off:
            end.connection.disturb("made during a fault", self.now)
            self.at(self.now + CONNECT_TIMEOUT_S, lambda: self._fail(end, "closed"))
            return
        if wire.cuts or not host.listening:
            end.connection.disturb("made during a fault", self.now)
            self._fail(end, "closed")
            return
        connection = end.connection
        connection.made = True
        conn = b"\x00" + next(self._conns).to_bytes(4, "big")
        other = End(connection, host, conn, back)
        end.peer = other
        other.peer = end
        host.accepted(other)
        for frame in connection.waiting:
            self._put(end, frame)
        connection.waiting.clear()

    def send(self, end: End, frame: Frame) -> bool:
        """False if the connection is known to have ended at this end."""
        if not end.open:
            return False
        if not end.connection.made:
            end.connection.waiting.append(frame)
        elif not end.finished:
            self._put(end, frame)
        return True

    def _put(self, end: End, frame: Frame | None) -> None:
        wire = end.wire
        begins = self.now + wire.latency
        flight = end.flight
        if flight and flight[-1].lands > begins:
            begins = flight[-1].lands
        lands = begins
        if wire.rate and frame is not None:
            lands += sum(map(len, frame)) / wire.rate
        cell = Cell(frame, begins, lands, wire.rate)
        flight.append(cell)
        self.at(lands, lambda: self._land(end, cell))

    def _land(self, end: End, cell: Cell) -> None:
        if cell.lost:
            return
        end.flight.popleft()
        if end.wire.eats:
            end.lossy = True
        elif end.wire.holds or end.held:
            end.held.append(cell)
        else:
            self._hand_over(end, cell)

    def _hand_over(self, end: End, cell: Cell) -> None:
        peer = end.peer
        assert peer is not None
        host = peer.host
        if host.off:
            return
        if not peer.open:
            # After a power cut a machine does not know the connection, and rejects it.
            if end.open and cell.frame is not None and end.connection.forgotten:
                self._put(peer, None)
            return
        if cell.frame is None:
            # A process that is stopped learns of it when it goes on.
            peer.open = host.frozen
            host.ended(peer.conn, "closed")
        else:
            end.landed += sum(map(len, cell.frame))
            host.arrived(peer.conn, cell.frame)

    def close(self, end: End, *, drop_unsent: bool = False) -> None:
        """One end ends the connection. ``drop_unsent``: frames sent just now do not leave."""
        if not end.open:
            return
        end.open = False
        if not end.connection.made:
            return
        if drop_unsent:
            flight = end.flight
            while flight and flight[-1].begins >= self.now + end.wire.latency:
                flight.pop().lost = True
        self._finish(end)

    def crash(self, host: Host, why: str = "crash", *, drop: bool) -> None:
        """The process of a host ends, or is killed. Its kernel ends its connections."""
        for connection in self.connections_of(host.name):
            connection.disturb(why, self.now)
            for end in ends_of(connection):
                if end.host is host:
                    if drop:
                        self._drop_flight(end)
                    self.close(end)

    def power_off(self, host: Host) -> None:
        """The machine of a host stops without a word."""
        host.off = True
        for connection in self.connections_of(host.name):
            connection.disturb("power", self.now)
            connection.forgotten = True
            for end in ends_of(connection):
                if end.host is host:
                    end.open = False
                    self._drop_flight(end)

    def received(self, end: End) -> float:
        """How many bytes have arrived at this end, including those of incomplete frames."""
        source = end.peer
        if source is None:
            return 0.0
        found = float(source.landed)
        if source.flight and not source.wire.is_dead:
            cell = source.flight[0]
            if cell.frame is not None and self.now > cell.begins:
                found += (self.now - cell.begins) * cell.rate
        return found

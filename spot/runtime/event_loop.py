"""The event loop of a node: it reads what has arrived, does what is due, and sends what can go.

The thread that polls the transport calls ``after_poll`` after each poll. A call that has changed
the core calls ``act``. The loop knows neither zmq nor threads. It has a transport, a clock and a
way to wake the thread that polls. Real nodes run it on zmq (threads.py). The simulation in
tests/simulation runs the same code on a simulated network.

The transport may report input only once, and any use of the transport may swallow that report
(zmq's descriptor is edge-triggered). So the loop has one rule: a thread that has used the transport
asks it for input before giving up the lock, and reads what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import NoReturn, Protocol

from spot.core.effects import Frame
from spot.core.membership.timing import lateness
from spot.core.node import NodeCore
from spot.errors import Closed
from spot.message import Event
from spot.runtime.publish_buffers import PublishBuffers
from spot.runtime.resolver import AddressRotation, Resolved, Resolver
from spot.transport.interface import Transport

FRAMES_PER_TURN = 64
TURN_S = 0.05
"""A turn ends after so many frames or seconds: heartbeats and other threads come in between."""
SETTLE_S = (0.002, 0.02)
"""Seconds until the loop looks at the transport again after it ended a connection in libzmq."""


class Waker(Protocol):
    """How the loop reaches the threads of its node. See Wakeups.

    ``io_polls`` says that the I/O thread polls the transport.
    """

    io_polls: bool

    def wake(self) -> None:
        """Makes the thread that polls take a turn now."""

    def tell_progress(self) -> None:
        """Makes threads that wait in a call check what they wait for."""


class EventSink(Protocol):
    """The receiver of events. See EventLog."""

    def tell(self, events: Iterable[Event]) -> None:
        """Takes events, in their order."""

    def tell_bad_frame(self, error: Exception) -> None:
        """Takes note of a frame that the core has failed on."""


class EventLoop:
    """Runs one NodeCore on one transport. Each method needs the node's lock.

    ``clock`` gives seconds, as ``time.monotonic`` does. ``fail`` takes an error that a turn has not
    expected, after which the loop can't go on; it raises Closed.
    """

    def __init__(
        self,
        core: NodeCore,
        transport: Transport,
        clock: Callable[[], float],
        waker: Waker,
        buffers: PublishBuffers,
        resolver: Resolver,
        events: EventSink,
        fail: Callable[[Exception], NoReturn],
    ) -> None:
        self._core = core
        self._transport = transport
        self._clock = clock
        self._waker = waker
        self._buffers = buffers
        self._resolver = resolver
        self._rotation = AddressRotation()
        self._events = events
        self._fail = fail
        self.closed = False
        # There may be input that no poll will report. The next thread to poll asks first.
        self.unasked = False
        # Until when the reading thread polls. 0 while no thread polls.
        self.poll_until = 0.0
        self._unsent: list[bytes] = []
        self._settle: list[float] = []

    # Before and after a poll

    def before_poll(self) -> bool:
        """Does what can be done without waiting. False if there is nothing: then poll."""
        if self._buffers.dirty:
            self.flush()
        elif self._core.effects.touched:
            self.act()
        elif self.unasked:
            self.serve(lead=True)
        else:
            return False
        return True

    def begin_poll(self) -> float:
        """Returns the latest time at which the poll is to end."""
        self.poll_until = self.due()
        return self.poll_until

    def due(self) -> float:
        """The next time at which something is to be done, even if nothing arrives."""
        due = self._core.deadline
        return min(due, self._settle[0]) if self._settle else due

    def after_poll(self, *, readable: bool, monitor: bool, lead: bool) -> None:
        """A poll has ended. ``readable`` and ``monitor`` say what the transport has.

        ``lead``: the thread that polled waits in a call for what arrives.
        """
        if self.closed:
            return
        self.poll_until = 0.0
        if self._settle:
            now = self._clock()
            self._settle = [at for at in self._settle if at > now]
            monitor = True
        self.serve(readable=readable, monitor=monitor, lead=lead)

    # A turn

    def serve(self, *, readable: bool = False, monitor: bool = False, lead: bool = False) -> None:
        """One turn: reads what has arrived, does what is due, sends what can go."""
        try:
            self._take_turn(readable, monitor, lead)
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001  the node is torn: it ends
            self._fail(error)

    def _take_turn(self, readable: bool, monitor: bool, lead: bool) -> None:
        transport = self._transport
        now = self._clock()
        more = readable or transport.has_input()
        self.unasked = False
        left = FRAMES_PER_TURN
        while True:
            if more:
                left, more = self._read(left, now, lead=lead)
            if monitor:
                monitor = False
                transport.read_monitor()
            if not more:
                # Frames that peers sent before their connection ended have been read now.
                self._lose_ended(now)
            if now >= self._core.deadline:
                self._do_due(now)
            used = self.carry_out(now)
            if self.unasked:
                return
            if not left:
                # There may be more, and no poll would report it.
                self.unasked = True
                self._waker.wake()
                return
            more = used and transport.has_input()
            if not more:
                return

    def _read(self, left: int, now: float, *, lead: bool) -> tuple[int, bool]:
        """Reads up to ``left`` frames. Returns how many more may be read, and whether there are."""
        transport = self._transport
        inbox = self._core.inbox
        more = True
        while more and left:
            received = transport.receive()
            if received is not None:
                self._hand_over(*received, now)
            left -= 1
            if self._clock() - now > TURN_S:
                left = 0
            if lead and inbox.items and not self._waker.io_polls:
                # These messages are handed out first. The next thread to poll asks for more.
                self.unasked = True
                break
            more = transport.has_input()
        return left, more

    def _hand_over(self, conn: bytes, parts: Frame, now: float) -> None:
        try:
            self._core.frame(conn, parts, now)
        except Exception as error:  # noqa: BLE001
            # A frame that the core fails on ends its link, not the node.
            self._events.tell_bad_frame(error)
            self._core.give_up(conn, "a frame could not be handled", now)

    def _lose_ended(self, now: float) -> None:
        """Connections that have ended, or that took no frame, are lost to the core."""
        if self._unsent:
            self._lose_unsent(now)
        if self._transport.ended:
            for conn, why in self._transport.take_ended():
                self._core.lost(conn, why, now)

    def _lose_unsent(self, now: float) -> None:
        unsent, self._unsent = self._unsent, []
        for conn in unsent:
            self._core.lost(conn, "closed", now)

    def _do_due(self, now: float) -> None:
        """The core's deadline has come."""
        core = self._core
        transport = self._transport
        late = lateness(core.deadline, now)
        for conn in core.quiet(now):
            if transport.progressed(conn):
                core.alive(conn, now)
        core.tick(now)
        if late:
            # This node was itself stopped, and has not yet read the greetings that came meanwhile.
            transport.excuse_unauthenticated(late, now)
        else:
            transport.end_unauthenticated(now, core.is_link)

    # What the core wants done

    def flush(self) -> None:
        """Orders the messages that were published, and sends them."""
        if self.closed:
            raise Closed("the node is closed")
        try:
            began = self._clock()
            count = self._buffers.order()
            self.act()
            self._buffers.note_flush(count, began, self._clock())
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001  the node is torn: it ends
            self._fail(error)

    def act(self) -> None:
        """After a call has changed the core: carries out the effects, and reads what came."""
        try:
            self._act()
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001  the node is torn: it ends
            self._fail(error)

    def _act(self) -> None:
        now = self._clock()
        if self.carry_out(now):
            more = self._transport.has_input()
            if more or self._unsent or self._transport.ended:
                # This waits if the last turn handed out what it had read before it asked again.
                self.serve(readable=more)
                return
            self.unasked = False
        if now >= self._core.deadline:
            # Threads that use the node all the time may keep the lock from the I/O thread.
            self.serve()

    def carry_out(self, now: float) -> bool:
        """Sends, dials, ends connections and tells events, as the core has decided.

        True if the transport was used: then the caller must ask it for input.
        """
        core = self._core
        effects = core.effects
        used = False
        while (
            effects.touched or effects.sends or effects.dials or effects.hangups or effects.rerouted
        ):
            used = True
            if effects.rerouted:
                effects.rerouted = False
                # Publishes that were accepted for a lost host wait for that host.
                self._buffers.order()
                self._buffers.retire()
            for conn, parts in core.take_sends(now):
                if not self._transport.send(conn, parts):
                    self._unsent.append(conn)
            if self._unsent and not self._transport.has_input():
                self._lose_unsent(now)
            if effects.hangups:
                hangups, effects.hangups = effects.hangups, []
                for conn in hangups:
                    self._transport.forget(conn)
                self._settle = [now + wait for wait in SETTLE_S]
            if effects.dials:
                dials, effects.dials = effects.dials, []
                for conn, endpoint in dials:
                    self._dial(conn, endpoint, now)
        if effects.unnamed_refusals:
            refusals, effects.unnamed_refusals = effects.unnamed_refusals, []
            for conn, why in refusals:
                self._transport.log_refusal(conn, why)
        if effects.events:
            events, effects.events = effects.events, []
            self._rotate(events)
            self._events.tell(events)
            effects.progress = True
        if effects.progress:
            effects.progress = False
            self._waker.tell_progress()
        if core.deadline < self.poll_until or (self._settle and self._settle[0] < self.poll_until):
            self._waker.wake()
        return used

    # Dials

    def _dial(self, conn: bytes, endpoint: str, now: float) -> None:
        found = self._resolver.resolve(endpoint, partial(self._answer_dial, conn))
        if found is not None:
            self._connect(conn, found, now)

    def _answer_dial(self, conn: bytes, found: Resolved) -> None:
        """A name was looked up. If the node fails, nobody here is to be told."""
        with suppress(Closed):
            try:
                self._connect(conn, found, self._clock())
            except Exception as error:  # noqa: BLE001  the node is torn: it ends
                self._fail(error)
            self.act()

    def _connect(self, conn: bytes, found: Resolved, now: float) -> None:
        core = self._core
        link = core.links.by_conn.get(conn)
        if link is None or link.endpoint is None:
            return
        if found.error:
            core.lost(conn, found.error, now)
            return
        self._rotation.keep(core.dials.by_endpoint)
        address = self._rotation.pick(link.endpoint, found.addresses)
        if self._transport.is_bound(address):
            core.itself(conn, now)
            return
        try:
            other = self._transport.connect(conn, address)
        except OSError as error:
            core.lost(conn, f"can't dial {address}: {error.strerror}", now)
            return
        if other is not None:
            if not core.is_link(other):
                self._rotation.failed(link.endpoint)
            core.same(conn, other, now)
        else:
            core.made(conn, now)

    def _rotate(self, events: Iterable[Event]) -> None:
        """An endpoint whose dial has failed is dialled at its next address."""
        for event in events:
            if event.kind in ("dial_failed", "refused") and event.endpoint is not None:
                self._rotation.failed(event.endpoint)

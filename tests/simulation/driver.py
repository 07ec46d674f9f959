"""Runs the event loop of real nodes, spot/runtime/event_loop.py, on the simulated network.

Two things differ from the threads of real nodes: no thread ever waits for another, and time passes
only between turns. A host takes a turn when its poll ends: when its transport has something, when
the time that the loop gave has come, or when the loop woke it. Nothing else starts a turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from random import Random
from typing import NoReturn

from spot.core.membership.timing import greeting_timeout
from spot.core.node import NodeCore
from spot.message import Event
from spot.runtime.event_loop import EventLoop
from spot.runtime.publish_buffers import PublishBuffers
from spot.runtime.resolver import Answer, Resolved
from tests.simulation.connections import End, Frame
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, target_of
from tests.simulation.plan import NodePlan
from tests.simulation.transport import SimulatedTransport

TIMER_S = 0.0005
"""Polls count in milliseconds, and end late rather than early."""
TURN_S = 0.005
"""How long a turn takes that stops before it has read everything."""
ARMED_NAP_S = 0.0003
"""How long after it was armed the I/O thread looks."""
LATE_INPUT_S = 0.002

log = logging.getLogger("spot")


def _fail(error: Exception) -> NoReturn:
    """No schedule may make a turn fail."""
    raise error


class Driver:
    """A host of the network that runs one NodeCore at a time.

    ``frozen`` is a process that is stopped. ``held`` is a process in a call that keeps the
    interpreter: its sockets work, but no thread reads them. ``leads`` says that the application
    waits in a call, and polls itself. Otherwise the I/O thread polls.
    """

    core: NodeCore
    loop: EventLoop
    buffers: PublishBuffers

    def __init__(self, network: Network, oracle: Oracle, plan: NodePlan, random: Random) -> None:
        self.network = network
        self.oracle = oracle
        self.plan = plan
        self.name = plan.name
        self.random = random
        self.listening = False
        self.frozen = False
        self.held = False
        self.off = False
        self.lag = plan.lag
        self.life = 0
        self.sndhwm_max = plan.config.sndhwm
        self.rcvhwm_max = plan.config.rcvhwm
        self.rearm()

    def rearm(self) -> None:
        """Nothing of a former incarnation is left."""
        patience = greeting_timeout(self.plan.config.peer_timeout) + 1
        self.transport = SimulatedTransport(self.network, self, patience, self.random)
        self.io_polls = False
        self._in_turn = False
        self._is_woken = False
        self._is_looking_up = False
        self._timer_at = 0.0

    def run(self, core: NodeCore) -> None:
        """Begins an incarnation with a new core."""
        self.core = core
        self.buffers = PublishBuffers(core, self)
        self.loop = EventLoop(
            core, self.transport, lambda: self.network.now, self, self.buffers, self, self, _fail
        )

    @property
    def ends(self) -> dict[bytes, End]:
        return self.transport.ends

    @property
    def is_still(self) -> bool:
        return self.frozen or self.held or not self.listening

    @property
    def leads(self) -> bool:
        raise NotImplementedError

    def use(self) -> None:
        """Anything may have happened. The application goes on."""
        raise NotImplementedError

    def resume(self, *, late_input: bool) -> None:
        """Goes on after a stop. ``late_input``: it looks at the clock before the input is there."""
        self.frozen = False
        self.held = False
        if not self.listening:
            return
        if late_input:
            self.transport.withhold()
            self._later(LATE_INPUT_S, self._release)
        self.take_turn()

    def _release(self) -> None:
        self.transport.release()
        self._look()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        """Does something later, in this incarnation."""
        life = self.life

        def do() -> None:
            if self.life == life and self.listening:
                what()

        self.network.at(self.network.now + seconds, do)

    # The host's side of the network

    def accepted(self, end: End) -> None:
        self.transport.accepted(end)
        self._look()

    def arrived(self, conn: bytes, frame: Frame) -> None:
        if self.listening:
            self.transport.arrived(conn, frame)
            self._look()

    def flooded(self, conn: bytes, frame: Frame) -> None:
        """From now on there is always one more of this frame to read, until the connection ends."""
        if self.listening:
            self.transport.flood(conn, frame)
            self._look()

    def ended(self, conn: bytes, why: str) -> None:
        if self.listening:
            self.transport.has_ended(conn, why)
            self._look()

    # What the loop needs: a waker, the I/O thread, a resolver, a sink of events

    def wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            if not self._in_turn:
                self._later(0.0, self._look)

    def tell_progress(self) -> None:
        if self.leads and not self._in_turn:
            self.wake()

    def wake_io_thread(self) -> None:
        self._later(ARMED_NAP_S, self._flush_armed)

    def _flush_armed(self) -> None:
        if self.is_still:
            self._later(ARMED_NAP_S, self._flush_armed)
            return
        self.buffers.armed = False
        if self.buffers.dirty:
            self.loop.flush()

    def resolve(self, endpoint: str, answer: Answer) -> Resolved:
        return Resolved((f"{target_of(endpoint)}:{endpoint.rpartition(':')[2]}",))

    def tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self.oracle.happened(self, event)

    def tell_bad_frame(self, error: Exception) -> None:
        log.error("%s: a frame could not be handled", self.name, exc_info=error)

    # Turns

    def _look(self) -> None:
        """The poll may have ended. A host that is starved notices later."""
        if self.is_still or self._is_looking_up:
            return
        if not self.lag:
            self._end_poll()
            return
        self._is_looking_up = True
        self._later(self.lag * self.random.random(), self._look_up)

    def _look_up(self) -> None:
        self._is_looking_up = False
        if not self.is_still:
            self._end_poll()

    def _end_poll(self) -> None:
        due = self.network.now >= self.loop.poll_until
        if due or self._is_woken or self.transport.is_ready:
            self.take_turn()

    def take_turn(self) -> None:
        """A turn as the threads of a real node take it, and the application's part in it."""
        self._in_turn = True
        self._is_woken = False
        readable, monitor = self.transport.poll()
        self.loop.after_poll(readable=readable, monitor=monitor, lead=self.leads)
        self.use()
        while self.leads and not self._is_woken and self.loop.before_poll():
            self.use()
        self._in_turn = False
        self.oracle.check_queues(self)
        if self.transport.is_read:
            for conn in self.transport.told_ended:
                self.oracle.check_forgotten(self, conn)
            self.transport.told_ended.clear()
        self.loop.begin_poll()
        if self._is_woken:
            self._later(TURN_S, self._look)
        self._set_timer()

    def act(self) -> None:
        """A call of the application has changed the core."""
        self.loop.act()
        self.oracle.check_queues(self)

    def _set_timer(self) -> None:
        until = self.loop.poll_until
        now = self.network.now
        if now < self._timer_at <= until + TIMER_S or self.is_still:
            return
        self._timer_at = max(until, now) + TIMER_S
        self._later(self._timer_at - now, self._ring)

    def _ring(self) -> None:
        # It has rung. Its moment may lie a rounding error ahead, and would count as pending.
        self._timer_at = 0.0
        if self.is_still:
            return
        if self.network.now >= self.loop.poll_until:
            self._look()
        else:
            self._set_timer()

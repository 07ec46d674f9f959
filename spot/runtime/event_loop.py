"""Turns: reading what has arrived, doing what is due, sending what can go.

Whoever leads, or stands in, takes a turn after each poll; a call that has changed the core acts.

zmq's descriptor is edge-triggered, and any call on the socket may eat the edge. Hence the rule
that holds the threads together: whoever has used the socket asks for input before it lets go
of the lock, and reads what there is.
"""

from __future__ import annotations

import logging
import os
import time

from spot.core.effects import Frame
from spot.core.membership.timing import lateness
from spot.core.node import NodeCore
from spot.runtime.event_log import Telling
from spot.runtime.publish_buffers import Lanes
from spot.runtime.resolver import Dialling
from spot.runtime.wakeups import Readers
from spot.transport.zmq_transport import Transport

log = logging.getLogger("spot")

FRAMES_PER_TURN = 64
TURN_S = 0.05
"""However much there is to read, heartbeats and other threads come in between."""
SETTLE_S = (0.002, 0.02)


class Turns:
    """What is done with one NodeCore and one Transport, all of it with the lock held."""

    def __init__(
        self,
        core: NodeCore,
        transport: Transport,
        lanes: Lanes,
        readers: Readers,
        telling: Telling,
    ) -> None:
        self._core = core
        self._transport = transport
        self._lanes = lanes
        self._readers = readers
        self._telling = telling
        self.dialling = Dialling(core, transport, readers)
        # Whether there may be input for which nobody has asked: then who polls asks first.
        self.unasked = False
        # Until when the thread that reads polls, 0 while none does.
        self.poll_until = 0.0
        self._unsent: list[bytes] = []
        # When to look at the monitor again: a hangup takes libzmq a moment.
        self._settle: list[float] = []
        self._socket_fd = transport.poll_fds[0]

    def due(self) -> float:
        """Lock held. When something is to be done, though nothing comes."""
        due = self._core.deadline
        return min(due, self._settle[0]) if self._settle else due

    def after_poll(self, ready: list[tuple[int, int]], wake: int, *, lead: bool) -> None:
        """Lock held. After a poll, which found these descriptors readable."""
        self.poll_until = 0.0
        monitor = False
        if self._settle:
            now = time.monotonic()
            self._settle = [at for at in self._settle if at > now]
            monitor = True
        readable = False
        for fd, _ in ready:
            if fd == self._socket_fd:
                readable = True
            elif fd == wake:
                os.eventfd_read(wake)
                if self._readers.waiting:
                    # The main thread may be among them, and a signal have come.
                    self._readers.changed.notify_all()
            else:
                monitor = True
        self.serve(ready=readable, monitor=monitor, lead=lead)

    def serve(self, *, ready: bool = False, monitor: bool = False, lead: bool = False) -> None:
        """Lock held. Reads what has arrived, does what is due, sends what can go.

        ``ready`` and ``monitor`` say that the poll found the socket, or its monitor, readable;
        ``lead`` that a thread waits for what there is.
        """
        core = self._core
        transport = self._transport
        inbox = core.inbox
        now = time.monotonic()
        left = FRAMES_PER_TURN
        more = ready or transport.has_input()
        self.unasked = False
        while True:
            while more and left:
                received = transport.receive()
                if received is not None:
                    self._hand_over(*received, now)
                left -= 1
                if time.monotonic() - now > TURN_S:
                    left = 0
                if lead and inbox.items and not self._readers.io_polls:
                    # What came is handed out first; who polls next asks whether there is more.
                    self.unasked = True
                    break
                more = transport.has_input()
            if monitor:
                monitor = False
                transport.read_monitor()
            if self._unsent and not more:
                self._lose_unsent(now)
            if transport.ended and not more:
                # What they sent before their end has been read.
                for conn, why in transport.take_ended():
                    core.lost(conn, why, now)
            if now >= core.deadline:
                late = lateness(core.deadline, now)
                for conn in core.quiet(now):
                    if transport.progressed(conn):
                        core.alive(conn, now)
                core.tick(now)
                if late:
                    # A node that was itself stopped has not yet read who greeted meanwhile.
                    transport.strangers.excuse(late, now)
                else:
                    transport.end_strangers(now, core.is_link)
            used = self.carry_out(now)
            if self.unasked:
                return
            if not left:
                # There may be more, of which no descriptor tells.
                self.unasked = True
                self._readers.wake()
                return
            more = used and transport.has_input()
            if not more:
                return

    def _hand_over(self, conn: bytes, parts: Frame, now: float) -> None:
        try:
            self._core.frame(conn, parts, now)
        except Exception:
            # Whatever a peer managed to upset, it is this link that ends, not the node.
            log.exception("%s: a frame could not be handled; its link ends", self._core.node)
            self._core.give_up(conn, "a frame could not be handled", now)

    def carry_out(self, now: float) -> bool:
        """Lock held. Sends, dials and hangs up as the core has decided, and tells of it.

        True if the socket was used: then somebody has to ask it for input.
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
                # What was accepted for a host that is lost waits for it.
                self._lanes.order()
                self._lanes.retire()
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
                    self.dialling.dial(conn, endpoint, now, self.act)
        if effects.unnamed_refusals:
            strangers, effects.unnamed_refusals = effects.unnamed_refusals, []
            for conn, why in strangers:
                self._transport.tell_stranger(conn, why)
        if effects.events:
            events, effects.events = effects.events, []
            self._telling.tell(events)
            effects.progress = True
        if effects.progress:
            effects.progress = False
            self._readers.tell_progress()
        if core.deadline < self.poll_until or (self._settle and self._settle[0] < self.poll_until):
            self._readers.wake()
        return used

    def _lose_unsent(self, now: float) -> None:
        """Lock held. What the peers had sent before their end has been read."""
        unsent, self._unsent = self._unsent, []
        for conn in unsent:
            self._core.lost(conn, "closed", now)

    def act(self) -> None:
        """Lock held. After a call has changed the core: carries it out, and reads what came."""
        now = time.monotonic()
        if self.carry_out(now):
            if self._transport.has_input():
                self.serve(ready=True)
                return
            self.unasked = False
        if now >= self._core.deadline:
            # Threads that use the node all the time may keep the lock from who is to tick.
            self.serve()

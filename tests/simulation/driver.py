"""Runs the real core on the simulated network, by the rules of spot/runtime/event_loop.py."""

from __future__ import annotations

from collections import deque
from random import Random

from spot.core.membership.timing import greeting_timeout, lateness
from spot.core.node import NodeCore
from tests.simulation.connections import End, Frame
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, target_of
from tests.simulation.plan import NodePlan

FRAMES_PER_TURN = 64
TIMER_S = 0.0005
"""Timers are rounded up to milliseconds."""
LATE_INPUT_S = 0.002
HANGUP_DROPS = 0.3
"""How often what was sent just before a hang-up does not leave any more."""


class Driver:
    """A host of the network that runs one NodeCore at a time.

    ``frozen`` is a process that is stopped; ``held`` one in a call that keeps the interpreter:
    its sockets work, nobody looks.
    """

    core: NodeCore

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
        self._patience = greeting_timeout(plan.config.peer_timeout) + 1
        self.rearm()

    def rearm(self) -> None:
        """Nothing of a former life is left."""
        self.ends: dict[bytes, End] = {}
        self._dialled: dict[str, bytes] = {}
        self._frames: deque[tuple[bytes, Frame]] = deque()
        self._endings: list[tuple[bytes, str]] = []
        self._unsent: list[bytes] = []
        self._late_frames: deque[tuple[bytes, Frame]] | None = None
        self._late_endings: list[tuple[bytes, str]] | None = None
        self._counted: dict[bytes, float] = {}
        self._unproved: dict[bytes, float] = {}
        self._timer_at = 0.0
        self._woken = False

    @property
    def is_still(self) -> bool:
        return self.frozen or self.held or not self.listening

    def use(self) -> None:
        """Anything may have happened: the application goes on."""
        raise NotImplementedError

    def resume(self, *, late_input: bool) -> None:
        """Goes on after a stop. ``late_input``: it looks at the clock before the input is there."""
        self.frozen = False
        self.held = False
        if not self.listening:
            return
        if not late_input:
            self.serve()
            return
        frames, self._frames = self._frames, deque()
        endings, self._endings = self._endings, []
        self.serve()
        self._late_frames, self._late_endings = frames, endings

        def arrive() -> None:
            if self._late_frames is frames:
                self._frames, self._endings = frames, endings
                self._late_frames = self._late_endings = None
                self.wake()

        self.network.at(self.network.now + LATE_INPUT_S, arrive)

    # The host's side of the network

    def accepted(self, end: End) -> None:
        self.ends[end.conn] = end
        self._unproved[end.conn] = self.network.now + self._patience

    def arrived(self, conn: bytes, frame: Frame) -> None:
        if not self.listening:
            return
        if self._late_frames is not None:
            self._late_frames.append((conn, frame))
        else:
            self._frames.append((conn, frame))
            self.wake()

    def ended(self, conn: bytes, why: str) -> None:
        if not self.listening:
            return
        if self._late_endings is not None:
            self._late_endings.append((conn, why))
        else:
            self._endings.append((conn, why))
            self.wake()

    # The driver

    def wake(self) -> None:
        if self.is_still or self._woken:
            return
        if not self.lag:
            self.serve()
            return
        self._woken = True
        life = self.life
        delay = self.lag * self.random.random()

        def wake_up() -> None:
            if self.life == life and self.listening:
                self._woken = False
                if not self.is_still:
                    self.serve()

        self.network.at(self.network.now + delay, wake_up)

    def serve(self) -> None:
        cluster = self.core
        now = self.network.now
        left = FRAMES_PER_TURN
        while True:
            while left and self._frames:
                conn, frame = self._frames.popleft()
                if conn in self.ends:
                    cluster.frame(conn, frame, now)
                left -= 1
            if left:
                self._lose_unsent(now)
                endings, self._endings = self._endings, []
                for conn, _ in endings:
                    self.forget(conn)
                for conn, why in endings:
                    cluster.lost(conn, why, now)
                    self.oracle.check_forgotten(self, conn)
            if now >= cluster.deadline:
                late = lateness(cluster.deadline, now)
                for conn in cluster.quiet(now):
                    if self._progressed(conn):
                        cluster.alive(conn, now)
                cluster.tick(now)
                if late:
                    for conn, until in self._unproved.items():
                        self._unproved[conn] = min(now + self._patience, until + late)
                else:
                    self._end_strangers()
            self._carry_out()
            if not left:
                left = FRAMES_PER_TURN
            elif not self._frames:
                break
        self._set_timer()
        self.use()

    def _lose_unsent(self, now: float) -> None:
        """What the peers had sent before their end has been read."""
        unsent, self._unsent = self._unsent, []
        for conn in unsent:
            self.core.lost(conn, "closed", now)

    def act(self) -> None:
        self._carry_out()
        self._set_timer()

    def _carry_out(self) -> None:
        cluster = self.core
        effects = cluster.effects
        now = self.network.now
        while effects.touched or effects.sends or effects.dials or effects.hangups:
            for conn, frame in cluster.take_sends(now):
                end = self.ends.get(conn)
                if end is None or not self.network.send(end, frame):
                    self._unsent.append(conn)
            if not self._frames:
                self._lose_unsent(now)
            hangups, effects.hangups = effects.hangups, []
            for conn in hangups:
                self.forget(conn)
            dials, effects.dials = effects.dials, []
            for conn, endpoint in dials:
                self._dial(conn, endpoint)
        events = effects.events
        if events:
            effects.events = []
            for event in events:
                self.oracle.happened(self, event)
        effects.unnamed_refusals.clear()
        effects.rerouted = False
        self.oracle.check_queues(self)

    def _dial(self, conn: bytes, endpoint: str) -> None:
        target = target_of(endpoint)
        address = f"{target}:{endpoint.rpartition(':')[2]}"
        other = self._dialled.get(address)
        now = self.network.now
        if other is not None:
            self.core.same(conn, other, now)
            return
        self._dialled[address] = conn
        self.ends[conn] = self.network.dial(self, conn, target)
        self.core.made(conn, now)

    def forget(self, conn: bytes) -> None:
        """Nothing more is wanted of a connection; one that was dialled ends."""
        end = self.ends.pop(conn, None)
        self._counted.pop(conn, None)
        self._unproved.pop(conn, None)
        for address, dialled in self._dialled.items():
            if dialled == conn:
                del self._dialled[address]
                assert end is not None
                self.network.close(end, drop_unsent=self.random.random() < HANGUP_DROPS)
                break

    def _end_strangers(self) -> None:
        """Ends connections that were accepted and did not become links in time."""
        now = self.network.now
        for conn in [conn for conn, until in self._unproved.items() if until <= now]:
            del self._unproved[conn]
            end = self.ends.get(conn)
            if end is not None and end.open and not self.core.is_link(conn):
                self.network.close(end)
                self._endings.append((conn, "closed"))

    def _progressed(self, conn: bytes) -> bool:
        end = self.ends.get(conn)
        if end is None:
            return False
        received = self.network.received(end)
        before = self._counted.get(conn)
        self._counted[conn] = received
        # What had come of a frame when its wire died is not counted any more: that is no news.
        return before is not None and received > before

    def _set_timer(self) -> None:
        deadline = self.core.deadline
        now = self.network.now
        if now < self._timer_at <= deadline + TIMER_S or self.is_still:
            return
        self._timer_at = max(deadline, now) + TIMER_S
        life = self.life

        def ring() -> None:
            if self.life != life or self.is_still:
                return
            if self.network.now >= self.core.deadline:
                self.wake()
            else:
                self._set_timer()

        self.network.at(self._timer_at, ring)

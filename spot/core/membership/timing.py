"""The timing of heartbeats and of liveness, as pure functions.

The end that dialled beats, and the other end answers each beat at once. So a node with many peers
gets their answers together, and wakes less often than if all of them beat on their own. The
interval is a third of the shorter ``peer_timeout`` at the most, so that two beats may be lost or
late before a peer is given up. Any traffic is a sign of life. Each end also says how long ago it
heard the other. So both ends learn that one direction of a link is dead.

Beats fall on quarters of the interval by the clock, which the nodes of one machine share. So a node
wakes once for several beats, which costs half as much as one wake for each beat. No more than a
quarter of the nodes beat at once.
"""

from __future__ import annotations

from math import floor

STEPS_PER_INTERVAL = 4
ROUNDING_STEPS = 1e-6
UNHEARD_INTERVALS = 1.5
"""A peer that was not heard for this many intervals has missed a beat."""
LATE_S = 0.1
"""Seconds: a node that looks at its deadlines later than this was stopped or starved."""


def beat_interval(heartbeats: tuple[float, float], peer_timeouts: tuple[float, float]) -> float:
    """Seconds between the heartbeats of a link, from the settings of its two ends."""
    return min(*heartbeats, *(timeout / 3 for timeout in peer_timeouts))


def next_beat(now: float, interval: float) -> float:
    """When to beat next: three quarters of an interval to one interval from now."""
    step = interval / STEPS_PER_INTERVAL
    # After a beat in time, the next follows one interval later, however the beat was rounded.
    return floor((now + interval) / step + ROUNDING_STEPS) * step


def lateness(due: float, now: float) -> float:
    """How long this node itself was not looking. Its peers are not blamed for that time."""
    late = now - due
    return late if late > LATE_S else 0.0


def is_silent(heard_at: float, now: float, peer_timeout: float) -> bool:
    """Whether a peer is lost because nothing was heard of it."""
    return now - heard_at >= peer_timeout


def greeting_timeout(peer_timeout: float) -> float:
    """Seconds that a dial may take until the peer has greeted."""
    return max(1.0, peer_timeout)

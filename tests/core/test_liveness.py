"""When a peer counts as lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.membership.timing import (
    LATE_S,
    beat_interval,
    greeting_timeout,
    is_silent,
    lateness,
    next_beat,
)
from tests.core.fixed import examples


@pytest.mark.parametrize(
    ("heartbeats", "timeouts", "interval"),
    [
        ((0.5, 0.5), (2.0, 2.0), 0.5),
        ((0.5, 0.2), (2.0, 2.0), 0.2),
        ((0.2, 0.5), (2.0, 2.0), 0.2),
        ((0.5, 0.5), (2.0, 0.3), 0.1),
        ((0.5, 0.5), (0.3, 2.0), 0.1),
        ((10.0, 10.0), (1.5, 60.0), 0.5),
        ((0.01, 10.0), (0.3, 0.3), 0.01),
    ],
)
def test_beat_interval(
    heartbeats: tuple[float, float], timeouts: tuple[float, float], interval: float
) -> None:
    # Two beats must be able to get lost before the more impatient end accuses the other.
    assert beat_interval(heartbeats, timeouts) == pytest.approx(interval)
    turned = beat_interval(heartbeats[::-1], timeouts[::-1])
    assert turned == pytest.approx(interval), "both ends must come to the same"


@examples(300)
@given(
    now=st.floats(0, 1e7),
    interval=st.sampled_from([0.01, 0.1, 0.2, 1 / 3, 0.5, 2.0]),
    late=st.floats(0, 0.2),
)
def test_next_beat_is_never_later_than_an_interval(
    now: float, interval: float, late: float
) -> None:
    # The bound on how soon a silent peer is told counts on it; too many beats cost for nothing.
    due = next_beat(now, interval)
    assert 0.74 * interval <= due - now <= 1.001 * interval
    again = next_beat(due + late * interval, interval)
    assert again - due == pytest.approx(interval, abs=1e-3 * interval), "it keeps its place"


def test_nodes_of_one_clock_beat_together() -> None:
    # A mesh of fifty on one machine is woken for each beat by itself otherwise.
    started = [1000.0 + 0.01 * index for index in range(50)]
    beats = {round(next_beat(at, 0.5) % 0.5, 6) for at in started}
    assert len(beats) == 4


@pytest.mark.parametrize(
    ("due", "now", "late"),
    [
        (10.0, 9.0, 0.0),
        (10.0, 10.0, 0.0),
        (10.0, 10.0 + LATE_S / 2, 0.0),
        (10.0, 10.0 + LATE_S * 2, LATE_S * 2),
        (10.0, 20.0, 10.0),
    ],
)
def test_lateness(due: float, now: float, late: float) -> None:
    # A node that was stopped must not accuse its peers; a timer's usual delay is no excuse.
    assert lateness(due, now) == pytest.approx(late)


@pytest.mark.parametrize(
    ("heard_at", "now", "peer_timeout", "silent"),
    [
        (10.0, 10.0, 2.0, False),
        (10.0, 11.9, 2.0, False),
        (10.0, 12.0, 2.0, True),
        (10.0, 99.0, 2.0, True),
        (10.0, 10.25, 0.3, False),
        (10.0, 10.5, 0.3, True),
        (10.0, 9.0, 0.3, False),
    ],
)
def test_is_silent(heard_at: float, now: float, peer_timeout: float, silent: bool) -> None:
    # The promise of how soon a blackhole is told hangs on this bound.
    assert is_silent(heard_at, now, peer_timeout) is silent


@pytest.mark.parametrize(
    ("peer_timeout", "seconds"), [(0.3, 1.0), (1.0, 1.0), (2.0, 2.0), (60.0, 60.0)]
)
def test_greeting_timeout(peer_timeout: float, seconds: float) -> None:
    # Behind a proxy with a dead upstream no greeting comes: a dial has to end by itself, but
    # not sooner than a slow network can greet.
    assert greeting_timeout(peer_timeout) == seconds

"""The waits between dials."""

from hypothesis import given
from hypothesis import strategies as st

from spot.core.membership.backoff import Backoff
from tests.core.fixed import examples

STEPS = st.floats(0.001, 100)


@examples(200)
@given(
    first=STEPS,
    factor=st.floats(1, 1000),
    randoms=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=40),
)
def test_waits_stay_within_half_and_all_of_a_doubling_step(
    first: float, factor: float, randoms: list[float]
) -> None:
    # Outside of it, a cluster that comes back is stormed, or found late.
    most = first * factor
    left = iter(randoms)
    backoff = Backoff(first, most, lambda: next(left))
    for nth, random in enumerate(randoms):
        step = min(first * 2**nth, most)
        assert backoff.step == step
        wait = backoff.draw()
        assert wait == step * (0.5 + 0.5 * random)
        assert step / 2 <= wait <= step <= most


def test_steps_of_the_default_settings() -> None:
    # The documented waits: 100 ms doubled up to 5 s, and then for ever 5 s.
    backoff = Backoff(0.1, 5.0, lambda: 0.0)
    steps = [round(2 * backoff.draw(), 3) for _ in range(9)]
    assert steps == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_restart_goes_back_to_the_first_step() -> None:
    # After a link that held, the next outage is retried quickly again.
    backoff = Backoff(0.1, 5.0, lambda: 0.5)
    first = backoff.draw()
    for _ in range(20):
        backoff.draw()
    assert backoff.draw() == 5.0 * 0.75
    backoff.restart()
    assert backoff.draw() == first


def test_ten_years_of_waits_neither_overflow_nor_grow() -> None:
    # "For ever" is meant: a step that was doubled without bound would become infinite.
    backoff = Backoff(0.1, 5.0, lambda: 0.999)
    assert all(backoff.draw() <= 5.0 for _ in range(5_000))
    assert backoff.step == 5.0


def test_equal_bounds_give_a_jittered_constant() -> None:
    # Who sets both to the same value wants no doubling, and still no herd.
    backoff = Backoff(1.0, 1.0, iter([0.0, 0.5, 0.25]).__next__)
    assert [backoff.draw() for _ in range(3)] == [0.5, 0.75, 0.625]

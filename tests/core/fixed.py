"""How many examples the properties here draw; how, the profile in tests/conftest.py says."""

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """The profile of one property, with so many examples."""
    return settings(
        max_examples=count,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

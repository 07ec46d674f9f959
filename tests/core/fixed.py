"""How the examples of the properties in this folder are drawn: the same ones in every run."""

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """The profile of one property, with so many examples."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.ports import neighbouring_ports

# What a shell runs in the background ignores Ctrl-C, and so do the programs that tests start there.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Suites within tests have homes of their own, and share what it takes seconds to make.
os.environ.setdefault("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))

# A property says what holds, not how fast: the 200 ms that an example has by default are a hiccup.
# The examples are the same in every run: what is new is looked for with more of them, by hand.
settings.register_profile(
    "spot",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("spot")


@pytest.fixture
def free_ports() -> Iterator[int]:
    """The first of three neighbouring ports, held for nodes that the test starts."""
    with neighbouring_ports(3) as first:
        yield first

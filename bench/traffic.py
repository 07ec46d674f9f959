"""The messages that every contestant sends, and how a round trip is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice

from bench.row import Figures, Load

__all__ = [
    "NUMBER_BYTES",
    "Lost",
    "in_batches",
    "latencies",
    "numbers",
    "payloads",
    "quantile",
    "topics",
]

NUMBER_BYTES = 8
WARM_UP_TRIPS = 50
"""Round trips at the start that are made but not counted, as caches and buffers are cold."""


class Lost(Exception):
    """A message is missing, came twice, came out of order or is damaged."""


def numbers(count: int) -> list[bytes]:
    """The counters 1 to ``count``, as the payloads begin with them."""
    return [number.to_bytes(NUMBER_BYTES) for number in range(1, count + 1)]


def payloads(load: Load) -> list[bytes]:
    """The load's messages: a counter, padded with zeros to the payload's size."""
    filling = bytes(load.payload_bytes - NUMBER_BYTES)
    return [number + filling for number in numbers(load.messages)]


def topics(load: Load) -> list[str]:
    """The names of the load's topics, all of the same length."""
    return [f"bench:{index:06}" for index in range(load.topics)]


def in_batches(items: Sequence[bytes], size: int) -> list[list[bytes]]:
    """The items in lists of ``size``. The last may be shorter."""
    rest = iter(items)
    return [list(islice(rest, size)) for _ in range(0, len(items), size)]


def latencies(trip: Callable[[bytes], bytes], sent: Sequence[bytes]) -> Figures:
    """Makes a round trip with each payload. Returns p50 and p99 in seconds, without the warm-up."""
    clock = time.perf_counter
    times = []
    for payload in sent:
        began = clock()
        answer = trip(payload)
        times.append(clock() - began)
        if answer != payload:
            raise Lost(f"{payload!r} was sent, {answer!r} came back")
    counted = sorted(times[WARM_UP_TRIPS:])
    return {"p50": quantile(counted, 0.50), "p99": quantile(counted, 0.99)}


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that is at least as large as this share of the sorted values."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

"""What the calls share: the node's core and driver, and how a timeout is read."""

from __future__ import annotations

import time

from spot.config import Config
from spot.driver import Driver
from spot.errors import InvalidArgument

FOREVER_S = 1e8
"""Longer timeouts wait for as long as it takes: locks and polls can't count so far."""


class Calls:
    """A node's core and driver. The lock of the driver guards the core."""

    def __init__(self, config: Config, node_id: str) -> None:
        self._config = config
        self._node_id = node_id
        self._driver = Driver(config, node_id)
        self._cluster = self._driver.cluster
        self._traffic = self._driver.cluster.traffic


def deadline(timeout: float | None) -> float | None:
    """The moment when a timeout ends. InvalidArgument if it is none."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidArgument(f"timeout must be None or seconds from 0, not {timeout!r}")
    return time.monotonic() + timeout if timeout < FOREVER_S else None

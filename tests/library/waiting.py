"""Waiting on conditions with deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable

from spot import HostUnreachable, Message, Spot

DEADLINE_S = 5.0
GLANCE_S = 0.005


def wait_until(
    condition: Callable[[], object], deadline_s: float = DEADLINE_S, *, what: str = "it"
) -> float:
    """Waits until the condition is true, and returns how many seconds that took."""
    began = time.monotonic()
    while not condition():
        took = time.monotonic() - began
        assert took < deadline_s, f"{what} did not happen within {deadline_s} s"
        time.sleep(GLANCE_S)
    return time.monotonic() - began


def stays(condition: Callable[[], object], for_s: float, *, what: str = "it") -> None:
    """Watches that the condition is true for so long."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        assert condition(), f"{what} did not last"
        time.sleep(GLANCE_S)


def receive(node: Spot, count: int, deadline_s: float = DEADLINE_S) -> list[Message]:
    """The next so many messages of a node, exactly."""
    found: list[Message] = []
    until = time.monotonic() + deadline_s
    while len(found) < count:
        left = until - time.monotonic()
        assert left > 0, f"{len(found)} of {count} messages came within {deadline_s} s"
        found += node.recv_many(count - len(found), timeout=left)
    return found


def receive_told(node: Spot, deadline_s: float = DEADLINE_S) -> HostUnreachable:
    """The next HostUnreachable of a node; messages before it are dropped."""
    until = time.monotonic() + deadline_s
    while True:
        left = until - time.monotonic()
        assert left > 0, f"HostUnreachable was not raised within {deadline_s} s"
        try:
            node.recv(timeout=left)
        except HostUnreachable as error:
            return error


def receive_until_data(node: Spot, data: bytes, deadline_s: float = DEADLINE_S) -> list[Message]:
    """All messages up to the one with this payload."""
    found: list[Message] = []
    until = time.monotonic() + deadline_s
    while not found or found[-1].data != data:
        left = until - time.monotonic()
        assert left > 0, f"no message {data!r:.40} within {deadline_s} s"
        message = node.recv(timeout=left)
        if message is not None:
            found.append(message)
    return found

"""How long a call may wait, as its argument ``timeout`` says it."""

from __future__ import annotations

import time
from typing import Final, TypeAlias

from spot.errors import InvalidArgument

__all__ = ["SEND_TIMEOUT", "Timeout"]

FOREVER_S = 1e8
"""Longer timeouts wait for as long as it takes: locks and polls can't count that far."""


class SendTimeout:
    """The type of SEND_TIMEOUT, which stands for the setting ``send_timeout`` of the node."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "SEND_TIMEOUT"


SEND_TIMEOUT: Final = SendTimeout()
"""The default ``timeout`` of ``publish`` and ``publish_many``: the setting ``send_timeout``."""

Timeout: TypeAlias = float | None | SendTimeout
"""What ``publish`` and ``publish_many`` take as ``timeout``: seconds from 0 (0: don't wait), None
(wait as long as it takes), or SEND_TIMEOUT. Other calls take ``float | None``.
"""


def check_timeout(timeout: Timeout) -> None:
    """Raises InvalidArgument unless this is a timeout that ``publish`` takes."""
    if not isinstance(timeout, SendTimeout):
        deadline(timeout)


def deadline(timeout: float | None) -> float | None:
    """When a timeout in seconds ends, on the clock ``time.monotonic()``. None: never.

    Raises InvalidArgument unless it is None or a number from 0.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidArgument(f"timeout must be None or seconds from 0, not {timeout!r}")
    return time.monotonic() + timeout if timeout < FOREVER_S else None

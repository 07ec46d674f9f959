"""Payloads that name their publisher and carry a number.

A payload begins with a decimal counter, which counts from 1 in each incarnation of the program. So
a receiver can tell which messages were lost, repeated or invented without trusting SPOT's own
sequence numbers. A payload to a topic of another node also names its publisher and the publisher's
incarnation. Other nodes may publish there, too, and a message may arrive when its publisher has
begun another incarnation.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Publisher", "counter_of", "numbered_payload", "publisher_of"]

_DIGITS_MAX = 20
_INCARNATION_BYTES_MAX = 20
_NAME_BYTES_MAX = 255


class Publisher(NamedTuple):
    """The publisher of a message to a topic of another node."""

    incarnation: str
    """The id of this incarnation of the program: letters and digits."""
    node: str


def numbered_payload(counter: int, size: int, publisher: Publisher | None = None) -> bytes:
    """The counter, a space, and dots up to ``size`` bytes. The counter alone if more don't fit.

    With a publisher: counter, ``@``, incarnation, ``@``, node and a space, even if that is larger
    than ``size``.
    """
    if publisher is not None:
        return f"{counter}@{publisher.incarnation}@{publisher.node} ".encode().ljust(size, b".")
    digits = b"%d" % counter
    return (digits + b" ").ljust(size, b".") if size > len(digits) else digits


def counter_of(data: bytes) -> int | None:
    """The counter that a payload begins with. None: the payload has no counter."""
    digits = data[:_DIGITS_MAX].split(b" ", 1)[0].split(b"@", 1)[0]
    return int(digits) if digits.isdigit() else None


def publisher_of(data: bytes) -> Publisher | None:
    """The publisher that a payload names beside its counter. None: it names none."""
    if b"@" not in data[: _DIGITS_MAX + 1]:  # nearly all payloads
        return None
    head, space, _ = data[: _DIGITS_MAX + _INCARNATION_BYTES_MAX + _NAME_BYTES_MAX + 3].partition(
        b" "
    )
    digits, _, rest = head.partition(b"@")
    incarnation, _, name = rest.partition(b"@")
    if not (space and name and digits.isdigit() and incarnation.isalnum()):
        return None
    return Publisher(incarnation.decode(), name.decode(errors="replace"))

"""Payloads that identify themselves by a counter and, in topics of other nodes, by a publisher.

A payload begins with a decimal counter, which counts from 1 in each incarnation of the program. So
a receiver can tell which messages were lost, repeated or invented without trusting SPOT's own
sequence numbers. A payload to a topic of another node also names its publisher and the publisher's
incarnation. Several nodes may publish to such a topic, and a message may arrive when its publisher
has begun another incarnation.
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
    """Identifies one incarnation of the program, by letters and digits."""
    node: str


def numbered_payload(counter: int, size: int, publisher: Publisher | None = None) -> bytes:
    """The counter, a space, and dots up to ``size`` bytes, or the counter alone if that is longer.

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
    """The publisher that a payload names after its counter. None: it names none."""
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

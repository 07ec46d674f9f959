"""Every record of the protocol has a handler, in the state of the link in which it may come."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spot.core.link import LinkState
from spot.core.wire import codec
from tests.core.wire_vectors import kinds
from tests.core.wires import new_cluster

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
ROW = re.compile(r"^\| ([0-9, ]+) \| ([A-Z_, ]+) \|", re.MULTILINE)


def documented() -> dict[str, int]:
    """The types of records that docs/protocol.md lists, by name."""
    found: dict[str, int] = {}
    for numbers, names in ROW.findall(PROTOCOL.read_text()):
        found |= dict(zip(names.split(", "), map(int, numbers.split(", ")), strict=True))
    return found


def test_documented_records_are_those_of_the_code() -> None:
    """Authors of other implementations, and of the next version, read the table."""
    assert documented() == kinds()


def test_every_record_has_a_handler() -> None:
    """A record without a handler would be skipped in silence, as those of later versions are."""
    handlers = new_cluster("a")._handlers
    assert set(handlers[LinkState.UP]) == set(documented().values())


@pytest.mark.parametrize(
    ("state", "kinds_then"),
    [
        (LinkState.DIALLING, {codec.HELLO, codec.REFUSE, codec.GOODBYE}),
        (LinkState.ANSWERED, {codec.CONFIRM, codec.REFUSE, codec.GOODBYE}),
    ],
)
def test_a_greeting_takes_only_its_records(state: LinkState, kinds_then: set[int]) -> None:
    """The table of states in docs/protocol.md names no others."""
    assert set(new_cluster("a")._handlers[state]) == kinds_then

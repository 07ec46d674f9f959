"""What a payload says of its publisher."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.program.payload import Publisher, counter_of, numbered_payload, publisher_of


@given(counter=st.integers(0, 10**18), size=st.integers(0, 300))
def test_payload_carries_its_counter_at_any_size(counter: int, size: int) -> None:
    """The checkers count by it: a payload too small must never cut a counter short."""
    payload = numbered_payload(counter, size)
    assert counter_of(payload) == counter
    assert len(payload) == max(size, len(str(counter)))
    assert publisher_of(payload) is None


@given(
    counter=st.integers(0, 10**18),
    size=st.integers(0, 300),
    publisher=st.builds(
        Publisher,
        incarnation=st.text("0123456789abcdef", min_size=1, max_size=16),
        node=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60),
    ),
)
def test_payload_to_a_topic_of_others_tells_its_publisher(
    counter: int, size: int, publisher: Publisher
) -> None:
    """Two publishers count alike, and so do two incarnations of one: a message must not be taken
    for another's.
    """
    payload = numbered_payload(counter, size, publisher)
    assert (counter_of(payload), publisher_of(payload)) == (counter, publisher)
    assert len(payload) >= size


@pytest.mark.parametrize("data", [b"", b" 1", b"hello", b"-1 .", b"1.5 .", b"12three", b"\xff"])
def test_payload_of_somebody_else_has_no_counter(data: bytes) -> None:
    """A message that a person publishes by hand must not be taken for traffic, or end the node."""
    assert counter_of(data) is None

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.testbed.proxy.embedded.go_json import BadBody, Number, parse_json

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _as_python(value: Any) -> Any:
    if isinstance(value, Number):
        return json.loads(value)
    if isinstance(value, list):
        return [_as_python(item) for item in value]
    if isinstance(value, dict):
        return {name: _as_python(item) for name, item in value.items()}
    return value


@settings(max_examples=50)
@given(_values, st.sampled_from([None, 1]), st.booleans())
def test_parse_reads_what_python_writes(value: Any, indent: int | None, ascii_only: bool) -> None:
    """It is a parser of our own, for the sake of its words: it must read all there is."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert _as_python(parse_json(text)) == value


@given(st.text(alphabet='{}[]",:\\ \n0123456789.-+eEtrufalsn\x00é'))
def test_parse_accepts_nothing_that_python_refuses(text: str) -> None:
    """Garbage is refused with words, never with a crash of the server."""
    try:
        value = parse_json(text)
    except BadBody:
        return
    expected, _end = json.JSONDecoder().raw_decode(text.lstrip(" \t\r\n"))
    assert _as_python(value) == expected


def test_parse_refuses_what_is_nested_too_deep() -> None:
    """A body of brackets must not end the server by its recursion."""
    with pytest.raises(BadBody, match="exceeded max depth"):
        parse_json("[" * 100_000)


def test_parse_ignores_what_follows_the_first_value() -> None:
    """As Go's decoder does."""
    assert parse_json(' {"a": null} {') == {"a": None}

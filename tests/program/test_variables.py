"""Settings that go through ``SPOT_*`` variables: what was written is read back, or refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot import Config, InvalidArgument
from spot.program.settings import PROGRAM_VARIABLES, ProgramSettings, variable_text

# What lists through variables have gone wrong by, more often than chance would have it.
ITEM = st.text(max_size=6) | st.text("ab ,\t\u00a0*:/", max_size=4)
ENDPOINT = ITEM.map(lambda text: f"ipc:///{text}") | st.just("tcp://b:5555")
LISTS = {
    "members": ITEM,
    "topics": ITEM,
    "subscribe": ITEM,
    "publish": ITEM,
    "bind": ENDPOINT,
    "cluster": ENDPOINT,
}
SCALARS = [item.name for item in fields(Config) if item.name not in LISTS]
OF_THE_PROGRAM = [name.removeprefix("SPOT_").lower() for name in PROGRAM_VARIABLES]

BESIDE = {
    "SPOT_MEMBERS": "a",
    "SPOT_RECONNECT_MIN": "0.001",
    "SPOT_RECONNECT_MAX": "1e9",
}
"""So that no value of another setting contradicts them."""


def _read(name: str, text: str) -> Any:
    settings = ProgramSettings.from_env({**BESIDE, f"SPOT_{name.upper()}": text})
    return getattr(settings if name in OF_THE_PROGRAM else settings.config, name)


def _written(name: str, value: object) -> tuple[str | None, str]:
    """The text of the variable, or None and why there is none."""
    try:
        return variable_text(name, value), ""
    except InvalidArgument as error:
        return None, str(error)


@given(st.data(), st.sampled_from(sorted(LISTS)))
def test_list_is_read_back_as_written_or_refused_by_name(data: st.DataObject, name: str) -> None:
    """A topic with a comma would become two, `" x "` another one, and "" would vanish."""
    items = data.draw(st.lists(LISTS[name], max_size=3))
    text, refusal = _written(name, items)
    if text is None:
        assert items
        assert name in refusal or "topic" in refusal
    else:
        assert _read(name, text) == tuple(items)


@given(
    st.sampled_from([*SCALARS, *OF_THE_PROGRAM]),
    st.none()
    | st.booleans()
    | st.integers(-2, 1 << 41)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a", " a", "none", "error", "info", "text", b"a", ("a",)]),
)
def test_value_is_read_back_as_written_or_refused_by_name(name: str, value: object) -> None:
    """A node would run with another value than the test says, and the test would pass."""
    text, refusal = _written(name, value)
    if text is None:
        assert name in refusal.lower() or "topic" in refusal
        return
    read = _read(name, text)
    if isinstance(value, str):  # the text of the variable
        assert text == value
    elif name == "publish":
        assert read == tuple(value)  # type: ignore[arg-type]
    else:
        assert read == value


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("topics", ["a", "b,c"], "topics: 'b,c' contains a comma, and SPOT_TOPICS is a list"),
        ("members", ("a", "b", ""), "members"),
        ("publish", [" x "], "publish: ' x ' begins or ends with white space"),
        ("cluster_name", " x", "cluster_name ' x' begins or ends with white space"),
        ("cluster_name", "", "is empty, which SPOT_CLUSTER_NAME can't carry"),
        ("node_id", None, "node_id None would be read from SPOT_NODE_ID as 'None'"),
        ("bind", ["ipc:///a,b"], "bind: 'ipc:///a,b' contains a comma"),
    ],
)
def test_what_a_variable_can_not_carry_is_named(name: str, value: object, says: str) -> None:
    """The message must say which setting, which text, and why."""
    with pytest.raises(InvalidArgument) as error:
        variable_text(name, value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("members", ["a", "b", "c"], "a,b,c"),
        ("members", "a,b", "a,b"),
        ("members", [], ""),
        ("send_timeout", None, "None"),
        ("require_quorum", True, "True"),
        ("require_quorum", 1, "1"),
        ("peer_timeout", 0.6, "0.6"),
        ("rate", 2.5, "2.5"),
        ("publish", ("x", "y"), "x,y"),
    ],
)
def test_what_a_variable_can_carry_becomes_its_text(name: str, value: object, text: str) -> None:
    """Sequences are joined, numbers and switches are written as variables have them."""
    assert variable_text(name, value) == text

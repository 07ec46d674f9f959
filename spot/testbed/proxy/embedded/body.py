"""Request bodies: the fields of JSON objects, read as Go reads them into its structs.

Names are compared without case, unknown ones ignored, and ``null`` means "as it was".
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from spot.testbed.proxy.embedded.go_json import BadBody, Number, parse_json

__all__ = ["BadBody", "Fields", "kind_of", "parse_body"]

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1


def parse_body(body: bytes) -> Any:
    """The first JSON value of the body. Raises BadBody."""
    return parse_json(body.decode("utf-8", errors="replace"))


class Fields:
    """The fields of one JSON object. Every call raises BadBody for a value of the wrong kind.

    ``type_name`` and ``struct_name`` are Go's names for the type of the object, for messages, such
    as ``toxiproxy.Proxy`` and ``Proxy``.
    """

    def __init__(self, value: Any, type_name: str, struct_name: str) -> None:
        if value is not None and not isinstance(value, dict):
            wrong = f"json: cannot unmarshal {kind_of(value)} into Go value of type {type_name}"
            raise BadBody(wrong)
        self._values = {name.lower(): given for name, given in (value or {}).items()}
        self._struct_name = struct_name

    def text(self, name: str, default: str) -> str:
        """A string. ``default`` when it is missing or null."""
        value = self._values.get(name)
        if value is None:
            return default
        if kind_of(value) != "string":
            raise self._wrong(name, kind_of(value), "string")
        return str(value)

    def flag(self, name: str, default: bool) -> bool:
        """A boolean, likewise."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, kind_of(value), "bool")
        return value

    def integer(self, name: str, default: int, go_type: str) -> int:
        """A whole number of 64 bits, likewise. ``go_type``: ``int64`` or ``int``."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, Number):
            raise self._wrong(name, kind_of(value), go_type)
        if re.fullmatch(r"-?\d{1,19}", value) and INTEGER_MIN <= int(value) <= INTEGER_MAX:
            return int(value)
        raise self._wrong(name, f"number {value}", go_type)

    def float32(self, name: str, default: float) -> float:
        """A number, rounded to 32 bits, likewise."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, Number):
            raise self._wrong(name, kind_of(value), "float32")
        try:
            return _shortest_float32(float(value))
        except OverflowError:
            raise self._wrong(name, f"number {value}", "float32") from None

    def inner(self, name: str, type_name: str, struct_name: str) -> Fields:
        """An object in this one; an empty one when it is missing or null."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(name, kind_of(value), type_name)
        return Fields(value, type_name, f"{struct_name}.{name}")

    def _wrong(self, name: str, given: str, wanted: str) -> BadBody:
        return BadBody(
            f"json: cannot unmarshal {given} into Go struct field "
            f"{self._struct_name}.{name} of type {wanted}"
        )


def kind_of(value: Any) -> str:
    """Go's word for the kind of a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Number):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _shortest_float32(value: float) -> float:
    """The shortest number that is the same in 32 bits. Raises OverflowError."""
    if math.isinf(value):
        raise OverflowError
    packed = struct.pack("f", value)
    shortened = (float(f"{value:.{digits}g}") for digits in range(1, 9))
    return next((short for short in shortened if struct.pack("f", short) == packed), value)

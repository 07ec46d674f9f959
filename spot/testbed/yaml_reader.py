"""Reads YAML that people write. Each error names the file, line and field, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import yaml

from spot.testbed.errors import ClusterError

__all__ = ["BadScenario", "Place", "Reader", "number", "read_yaml", "text", "truth", "whole"]

T = TypeVar("T")
D = TypeVar("D")

_REQUIRED: Any = object()
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


class BadScenario(ClusterError, ValueError):
    """A scenario can't be run as it is written. The text says where, and what to do.

    ``file``: as given; ``line``: counted from 1; ``field``: a path such as ``timeline[0].for``.
    """

    def __init__(self, why: str, *, file: str, line: int | None = None, field: str = "") -> None:
        where = [file, f"line {line}" if line else "", field]
        super().__init__(f"{', '.join(part for part in where if part)}: {why}")
        self.file = file
        self.line = line
        self.field = field


class Place:
    """One value of a file, and where it stands."""

    def __init__(self, file: str, loader: yaml.SafeLoader, node: yaml.Node, field: str) -> None:
        self._file = file
        self._loader = loader
        self._node = node
        self.field = field

    @property
    def value(self) -> Any:
        """The value that YAML reads. Raises BadScenario if it can't, because of an unknown tag."""
        try:
            return self._loader.construct_object(self._node, deep=True)
        except yaml.MarkedYAMLError as error:
            self.fail(str(error.problem or error))

    @property
    def line(self) -> int:
        """Where it begins, counted from 1."""
        return int(self._node.start_mark.line) + 1

    def fail(self, why: str) -> NoReturn:
        """Raises BadScenario for this place."""
        raise BadScenario(why, file=self._file, line=self.line, field=self.field)

    def items(self, of: str) -> Iterator[Place]:
        """The entries of a list. ``of`` says what they are, for the error if it is not a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            self.fail(f"{self.value!r} is no list: write a list of {of}")
        for place, node in enumerate(self._node.value):
            yield Place(self._file, self._loader, node, f"{self.field}[{place}]")

    def entries(self, of: str) -> dict[str, Place]:
        """The entries of a mapping by their keys, which must be text and differ."""
        if not isinstance(self._node, yaml.MappingNode):
            self.fail(f"{self.value!r} is no mapping: write {of}")
        found: dict[str, Place] = {}
        for key, node in self._node.value:
            named = Place(self._file, self._loader, key, self.field)
            name = named.value
            if not isinstance(name, str):
                named.fail(f"the key {name!r} is no text: put it in quotes if that is meant")
            if name in found:
                named.fail(f"{name} is written twice: delete one of them")
            field = f"{self.field}.{name}" if self.field else name
            found[name] = Place(self._file, self._loader, node, field)
        return found


class Reader:
    """The fields of one mapping, each read once. ``end`` refuses fields that nobody read."""

    def __init__(self, place: Place, of: str) -> None:
        self.place = place
        self._entries = place.entries(of)
        self._known: list[str] = []

    def has(self, name: str) -> bool:
        """Whether the field is written, and not as null."""
        return name in self._entries and self._entries[name].value is not None

    def take(self, name: str, read: Callable[[Place], T], default: D = _REQUIRED) -> T | D:
        """The field, read by ``read``. If it is missing: ``default``, or an error without one."""
        self._known.append(name)
        if self.has(name):
            return read(self._entries[name])
        if default is _REQUIRED:
            self.place.fail(f"{name} is missing: write '{name}: ...'")
        return default

    def at(self, name: str) -> Place:
        """The place of this field, or of the whole mapping if the field is missing."""
        return self._entries.get(name, self.place)

    def end(self) -> None:
        """Raises BadScenario when there are fields that were not taken."""
        for name, place in self._entries.items():
            if name not in self._known:
                place.fail(f"there is no field {name}: take one of {', '.join(self._known)}")


def read_yaml(content: str, file: str) -> Place:
    """The only document of a text. Raises BadScenario."""
    try:
        loader = yaml.SafeLoader(content)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = f"this is no YAML: {error.problem or error.context}"
        raise BadScenario(why, file=file, line=mark.line + 1 if mark else None) from error
    except yaml.YAMLError as error:
        raise BadScenario(f"this is no YAML: {error}", file=file) from error
    if node is None:
        raise BadScenario("it is empty: write at least a title and a topology", file=file)
    return Place(file, loader, node, "")


def text(place: Place) -> str:
    """A text that is not empty."""
    value = place.value
    if not isinstance(value, str) or not value.strip():
        place.fail(f"{value!r} is no text: write some, in quotes if it looks like something else")
    return value


def truth(place: Place) -> bool:
    """true or false."""
    value = place.value
    if not isinstance(value, bool):
        place.fail(f"{value!r} is neither true nor false")
    return value


def number(low: float, high: float, unit: str = "seconds") -> Callable[[Place], float]:
    """Reads a number within bounds, both included."""

    def read(place: Place) -> float:
        value = place.value
        # YAML 1.1 wants a point and a sign, as in 1.0e+9, and reads other forms as text.
        if isinstance(value, str) and _EXPONENT.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            place.fail(f"{value!r} is no number: write {unit}, from {low:g} to {high:g}")
        if not low <= value <= high:
            place.fail(f"{value:g} is out of bounds: write {unit}, from {low:g} to {high:g}")
        return float(value)

    return read


def whole(low: int, high: int, what: str) -> Callable[[Place], int]:
    """Reads a whole number within bounds, both included."""

    def read(place: Place) -> int:
        value = place.value
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            place.fail(f"{value!r} won't do: write a whole number of {what}, from {low} to {high}")
        return value

    return read

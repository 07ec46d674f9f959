"""Reads journals: what each node published, received and was told (``docs/journal.md``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from types import NoneType
from typing import Any, get_args

from spot.message import EventKind
from spot.program.commands import FIELDS
from spot.testbed.errors import ClusterError

__all__ = ["JOURNAL_VERSION", "KINDS", "BadJournal", "IncarnationRecords", "Journal", "Record"]

JOURNAL_VERSION = 1
_EVENT = ("node", "endpoint", "topics", "reason", "delay", "count")
KINDS: Mapping[str, tuple[str, ...]] = {
    "start": (
        *("version", "node", "pid", "wall", "incarnation", "endpoints", "rate", "publish"),
        *("payload_bytes", "config"),
    ),
    "publish": ("topic", "counter"),
    "publish_error": ("topic", "counter", "errno", "error", "reason", "unknown"),
    "recv": ("topic", "seq", "missed", "node", "epoch", "counter", "from", "incarnation"),
    "host_unreachable": ("node", "topics", "reason"),
    "sync": ("ok", "answers", "missing"),
    "command": (
        *("do", "ok", "took", "error", "errno", "answers", "flushed"),
        *dict.fromkeys(name for fields in FIELDS.values() for name in fields),
    ),
    "stop": ("reason", "metrics"),
    "closed": (),
    "lost": ("count",),
    **dict.fromkeys(get_args(EventKind), _EVENT),
    "view": (*_EVENT, "version", "reachable", "quorum", "conflicts"),
}
"""The kinds of record that SPOT's own node program writes, with the fields that each may have
beside ``kind`` and ``at``. Another program may record more.
"""
SHOWN_CHARS_MAX = 60

_shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
"""The names of the fields of all records so far. It has each sequence of names once."""

_decode = json.JSONDecoder().raw_decode
_NUMBER = (int, float)
_WHOLE_OR_NULL = (int, NoneType)
_REQUIRED: dict[str, tuple[tuple[str, tuple[type, ...]], ...]] = {
    "start": (("version", (int,)), ("node", (str,)), ("wall", _NUMBER)),
    "publish": (("topic", (str,)), ("counter", (int,))),
    "publish_error": (("topic", (str,)), ("counter", (int,))),
    "recv": (
        ("topic", (str,)),
        ("node", (str,)),
        ("counter", _WHOLE_OR_NULL),
        ("seq", _WHOLE_OR_NULL),
        ("missed", _WHOLE_OR_NULL),
        ("epoch", _WHOLE_OR_NULL),
    ),
    "host_unreachable": (("node", (str,)), ("topics", (list,)), ("reason", (str,))),
    "command": (("do", (str,)),),
    "lost": (("count", (int,)),),
}
"""Checkers need these fields of a record."""


class BadJournal(ClusterError):
    """A journal breaks its contract, or has an unknown version."""


class Record:
    """One line of a journal. It does not change.

    A run may leave a million records. So they share the names of their fields, and each keeps only
    the values.
    """

    __slots__ = ("_names", "_values", "at", "kind")

    kind: str
    at: float
    """Seconds of ``CLOCK_MONOTONIC``."""

    def __init__(self, kind: str, at: float, fields: Mapping[str, Any]) -> None:
        self.kind = kind
        self.at = at
        names = tuple(fields)
        self._names = _shapes.setdefault(names, names)
        self._values = tuple(fields.values())

    @property
    def fields(self) -> dict[str, Any]:
        """Everything else in the line, in a new dict."""
        return dict(zip(self._names, self._values, strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return (self.kind, self.at, self.fields) == (other.kind, other.at, other.fields)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Record({self.kind!r}, {self.at!r}, {self.fields!r})"


@dataclass(frozen=True)
class IncarnationRecords:
    """One incarnation of a node, from ``start`` on."""

    records: tuple[Record, ...]
    """All its records, in the order of the file."""

    def of(self, *kinds: str) -> Iterator[Record]:
        """The records of these kinds."""
        return (record for record in self.records if record.kind in kinds)

    @property
    def start(self) -> Record:
        """Its first record."""
        return self.records[0]

    @property
    def ended_well(self) -> bool:
        """Whether it left. False: it was killed."""
        return self.records[-1].kind == "closed"


@dataclass(frozen=True)
class Journal:
    """All incarnations of one node, oldest first."""

    incarnations: tuple[IncarnationRecords, ...] = ()
    lost: int = 0
    """The number of records that its file lacks, as it took them too slowly."""

    @property
    def records(self) -> Iterator[Record]:
        """The records of all incarnations, in the order of the file."""
        return (record for incarnation in self.incarnations for record in incarnation.records)

    @classmethod
    def read(cls, path: Path) -> Journal:
        """The journal in this file, or an empty one if there is no such file.

        Raises BadJournal, which names file and line.
        """
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                return cls.parse(file, str(path))
        except FileNotFoundError:
            return cls()

    @classmethod
    def parse(cls, lines: Iterable[str], name: str = "journal") -> Journal:
        """The journal in these lines. ``name``: its name in errors. Raises BadJournal.

        In each incarnation one line may be no JSON, as a killed node may leave half a line. It
        keeps kinds and fields that it doesn't know.
        """
        incarnations: list[list[Record]] = []
        lost = 0
        cut: int | None = None
        for number, line in enumerate(lines, 1):
            try:
                document = _document(line.strip())
            except ValueError:
                if cut is not None:
                    raise BadJournal(
                        f"{name}:{number}: this line is no JSON, and neither is line {cut} of the "
                        f"same incarnation: {line.strip()[:SHOWN_CHARS_MAX]!r}"
                    ) from None
                cut = number
                continue
            try:
                record = _record(document)
            except ValueError as error:
                raise BadJournal(f"{name}:{number}: {error}") from None
            if record.kind == "start":
                incarnations.append([])
                cut = None
            elif not incarnations:
                raise BadJournal(
                    f"{name}:{number}: a journal begins with a 'start' record, not {record.kind!r}"
                )
            if record.kind == "lost":
                lost += record.fields["count"]
            incarnations[-1].append(record)
        return cls(tuple(IncarnationRecords(tuple(records)) for records in incarnations), lost)


def _document(line: str) -> Any:
    """The same as json.loads, in two thirds of its time. Raises ValueError."""
    document, end = _decode(line)
    if end != len(line):
        raise ValueError("something stands behind the object")
    return document


def _record(document: Any) -> Record:
    """The record of one line. Raises ValueError, which says what is wrong with it."""
    if not isinstance(document, dict):
        raise ValueError(f"a record is an object, not {str(document)[:SHOWN_CHARS_MAX]}")
    kind, at = document.pop("kind", None), document.pop("at", None)
    if not isinstance(kind, str):
        raise ValueError(f"a record needs a 'kind' that is text, not {json.dumps(kind)}")
    if type(at) not in _NUMBER:
        raise ValueError(f"'at' of a {kind!r} record must be seconds, not {json.dumps(at)}")
    for name, types in _REQUIRED.get(kind, ()):
        value = document.get(name, ...)
        if type(value) not in types:
            said = "is missing" if value is ... else f"is {json.dumps(value)[:SHOWN_CHARS_MAX]}"
            raise ValueError(f"{name!r} of a {kind!r} record {said}: see docs/journal.md")
        if type(value) is str:
            document[name] = intern(value)  # a million messages, and few topics and nodes
    if kind == "start" and document["version"] != JOURNAL_VERSION:
        raise ValueError(
            f"this journal has version {document['version']}, and version {JOURNAL_VERSION} is "
            "what can be read: take the SPOT that wrote it"
        )
    return Record(intern(kind), float(at), document)

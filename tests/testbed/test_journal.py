"""Journals are what every verdict rests on: what is wrong with one is said, with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spot.testbed.journal import KINDS, BadJournal, Journal, Record

START = {"kind": "start", "at": 1.0, "version": 1, "node": "a", "wall": 1718000000.0}
RECV = {
    "kind": "recv", "at": 2.0, "topic": "b:data", "seq": 1, "missed": 0, "node": "b",
    "epoch": 1718000000012345678, "counter": 1,
}  # fmt: skip


def line(document: Any, **changes: Any) -> str:
    return json.dumps({**document, **changes}) + "\n"


def test_kinds_are_those_of_the_document() -> None:
    """Scenarios may name these only, and their authors look there."""
    text = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
    tables = text[text.index("## What the node did") : text.index("## An example")]
    cells = re.findall(r"^\| (`[^|]*) \|", tables, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(KINDS)


def test_journal_is_read_by_incarnations() -> None:
    """A restarted node goes on in the same file."""
    journal = Journal.parse(
        [line(START), line(RECV), line({"kind": "closed", "at": 3.0}), line(START, at=4.0)]
    )

    assert [len(incarnation.records) for incarnation in journal.incarnations] == [3, 1]
    assert [incarnation.ended_well for incarnation in journal.incarnations] == [True, False]
    assert journal.incarnations[1].start.at == 4.0
    assert [record.kind for record in journal.records] == ["start", "recv", "closed", "start"]
    assert [record.fields["counter"] for record in journal.incarnations[0].of("recv")] == [1]


def test_record_keeps_every_field_but_kind_and_time() -> None:
    """Fields that nobody knows today may matter to a reader of tomorrow."""
    journal = Journal.parse([line(START), line(RECV, **{"from": "c", "new": [1, {"x": None}]})])

    record = journal.incarnations[0].records[1]
    assert (record.kind, record.at) == ("recv", 2.0)
    wanted = {name: value for name, value in RECV.items() if name not in ("kind", "at")}
    assert record.fields == {**wanted, "from": "c", "new": [1, {"x": None}]}
    assert record == Record("recv", 2.0, record.fields)
    assert record != Record("recv", 2.1, record.fields)


def test_unknown_kinds_are_kept_and_mean_nothing() -> None:
    """Kinds may be added without a new version."""
    journal = Journal.parse([line(START), line({"kind": "weather", "at": 2, "rain": True})])

    assert journal.incarnations[0].records[1].kind == "weather"


@pytest.mark.parametrize("cut", ['{"kind":"rec', "", '{"kind":"publish","at":1.5} {"kind', "\x00"])
def test_half_a_line_is_skipped_once_a_incarnation(cut: str) -> None:
    """A killed node leaves half a line; the next incarnation begins on a line of its own."""
    journal = Journal.parse(
        [line(START), cut + "\n", line(START, at=5.0), line(RECV, at=6.0), cut + "\n"]
    )

    assert [len(incarnation.records) for incarnation in journal.incarnations] == [1, 2]


def test_second_broken_line_of_a_incarnation_is_an_error() -> None:
    """Twice is no killed node, but a writer that is broken."""
    with pytest.raises(
        BadJournal, match=r"b\.jsonl:4: this line is no JSON, and neither is line 2"
    ):
        Journal.parse([line(START), "{x\n", line(RECV), "{y\n"], "b.jsonl")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([RECV], "h:1: a journal begins with a 'start' record, not 'recv'"),
        ([START, [1]], "h:2: a record is an object"),
        ([START, {"at": 1.0}], "h:2: a record needs a 'kind'"),
        ([START, {**RECV, "at": "soon"}], "h:2: 'at' of a 'recv' record must be seconds"),
        ([START, {**RECV, "at": True}], "h:2: 'at' of a 'recv' record must be seconds"),
        ([START, {**RECV, "counter": "1"}], "h:2: 'counter' of a 'recv' record is \"1\""),
        ([START, {**RECV, "counter": True}], "h:2: 'counter' of a 'recv' record is true"),
        ([START, {**RECV, "missed": -0.5}], "h:2: 'missed' of a 'recv' record is -0.5"),
        ([START, {"kind": "publish", "at": 1, "counter": 1}], "'topic' of a 'publish' record is m"),
        ([{**START, "version": 2}], "h:1: this journal has version 2, and version 1 is what can"),
        ([{**START, "version": "1"}], "h:1: 'version' of a 'start' record is \"1\""),
        ([START, {"kind": "host_unreachable", "at": 1, "node": "b", "reason": "x"}], "'topics' of"),
    ],
)
def test_broken_contract_is_told_with_its_line(lines: list[Any], words: str) -> None:
    """The writer of a program of their own finds the mistake by it."""
    with pytest.raises(BadJournal) as raised:
        Journal.parse([json.dumps(one) + "\n" for one in lines], "h")

    assert words in str(raised.value)


def test_fields_that_may_be_unknown_may_be_null() -> None:
    """A program of another library has no sequence numbers, and need not make them up."""
    nothing = dict.fromkeys(("seq", "missed", "epoch", "counter"))
    journal = Journal.parse([line(START), line(RECV, **nothing)])

    assert journal.incarnations[0].records[1].fields["seq"] is None


def test_journal_is_read_from_a_file(tmp_path: Path) -> None:
    """Bytes cut within a character are half a line, too; a file that never was is no journal."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(START).encode() + '{"kind":"ä'.encode()[:-1])

    assert len(Journal.read(path).incarnations) == 1
    assert Journal.read(tmp_path / "none.jsonl") == Journal()


def test_empty_file_is_an_empty_journal() -> None:
    """A node that was never started leaves one."""
    assert Journal.parse([]).incarnations == ()

"""The bytes on the wire change only together with PROTOCOL_VERSION."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spot.core.wire import batches, codec
from tests.core import wire_vectors, write_vectors
from tests.core.wire_vectors import FORMS, Stored, current, decode, encode, from_text, kinds, load

STORED = load()
HOW = (
    "raise PROTOCOL_VERSION in spot/core/wire/codec.py, "
    "and run 'python -m tests.core.write_vectors'"
)


def test_vectors_belong_to_the_version_of_the_code() -> None:
    # A version names one way to write bytes, so the bytes of each version are written down.
    assert STORED.version == codec.PROTOCOL_VERSION, (
        f"the vectors are of version {STORED.version}, PROTOCOL_VERSION is "
        f"{codec.PROTOCOL_VERSION}: run 'python -m tests.core.write_vectors'"
    )
    missing = set(wire_vectors.EXAMPLES) - set(STORED.vectors)
    assert not missing, f"{missing} are not written: run 'python -m tests.core.write_vectors'"


def test_documentation_names_the_version() -> None:
    # Who writes a client of another language reads it there.
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    assert f"This is version {codec.PROTOCOL_VERSION}." in text


@pytest.mark.parametrize("name", STORED.vectors)
def test_fields_are_encoded_as_the_bytes_of_this_version(name: str) -> None:
    # Builds of one version understand each other only if they write the same bytes.
    vector = STORED.vectors[name]
    parts = [wire_vectors.to_text(part) for part in encode(vector.records)]
    assert parts == vector.parts, f"the bytes of {name} changed: {HOW}"


@pytest.mark.parametrize("name", STORED.vectors)
def test_bytes_of_this_version_are_decoded_to_the_fields(name: str) -> None:
    # What an older build of this version sends must mean the same to this one.
    vector = STORED.vectors[name]
    records = decode([from_text(part) for part in vector.parts])
    assert records == vector.records, f"the meaning of {name} changed: {HOW}"


def test_each_type_of_record_has_vectors() -> None:
    # A type without vectors could change unnoticed.
    found = Counter(
        kind
        for vector in STORED.vectors.values()
        for kind in {record["type"] for record in vector.records}
    )
    assert set(FORMS) == set(kinds())
    assert len(set(kinds().values())) == len(kinds())
    assert {kind for kind in kinds() if found[kind] < 2} == set()


@pytest.mark.parametrize("kind", ["DATA", "PUBLISH", "AGAIN", "FORWARD", "MULTI_DATA"])
def test_each_form_of_a_batch_has_vectors(kind: str) -> None:
    # Sizes of one kind and of many are written in two ways; an empty payload is easily forgotten.
    payloads = [
        [from_text(payload) for payload in record["payloads"]]
        for vector in STORED.vectors.values()
        for record in vector.records
        if record["type"] == kind
    ]
    sizes = [[len(payload) for payload in batch] for batch in payloads]
    assert any(len(each) > 1 and len(set(each)) == 1 and each[0] for each in sizes), "one size"
    assert any(len(set(each)) > 1 and 0 in each for each in sizes), "mixed sizes, one empty"
    assert any(set(each) == {0} for each in sizes), "all empty"


def test_vectors_have_payloads_on_both_sides_of_large() -> None:
    # One byte more, and a payload goes as a part of its own.
    text = wire_vectors.FILE.read_text()
    assert f'"5a*{batches.LARGE}"' in text
    assert f'"5a*{batches.LARGE - 1}"' in text


# The command that writes the file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "wire.json"
    file.write_text(write_vectors.text_of(current()))
    return file


def with_other_bytes(stored: Stored) -> Stored:
    vector = stored.vectors["PING"]
    return Stored(
        stored.version, {**stored.vectors, "PING": vector._replace(parts=[*vector.parts, "00"])}
    )


def test_what_is_written_is_what_was_encoded(path: Path) -> None:
    # The file is read by people and by the tests.
    assert load(path) == current()
    before = path.read_text()
    assert write_vectors.main(path) == 0
    assert path.read_text() == before == wire_vectors.FILE.read_text()


def test_changed_bytes_are_not_written_for_the_same_version(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Else to run the command would be a way around the rise.
    other = with_other_bytes(current())
    monkeypatch.setattr(write_vectors, "current", lambda: other)
    before = path.read_text()
    assert write_vectors.main(path) == 1
    assert "the bytes of PING changed, and PROTOCOL_VERSION is still" in capsys.readouterr().err
    assert path.read_text() == before
    higher = other._replace(version=other.version + 1)
    monkeypatch.setattr(write_vectors, "current", lambda: higher)
    assert write_vectors.main(path) == 0
    assert load(path) == higher


def test_vectors_may_be_added_but_not_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A vector that is removed with its record would hide that the record is gone.
    everything = current()
    fewer = everything._replace(
        vectors={name: one for name, one in everything.vectors.items() if name != "PONG"}
    )
    path.write_text(write_vectors.text_of(fewer))
    assert write_vectors.main(path) == 0
    assert load(path) == everything
    monkeypatch.setattr(write_vectors, "current", lambda: fewer)
    assert write_vectors.main(path) == 1
    assert "PONG" in capsys.readouterr().err


def test_a_version_is_never_used_again(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Builds of the higher version are out there.
    later = current()._replace(version=codec.PROTOCOL_VERSION + 1)
    path.write_text(write_vectors.text_of(later))
    assert write_vectors.main(path) == 1
    assert "never used again" in capsys.readouterr().err

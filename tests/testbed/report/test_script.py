"""The script of the pictures: made once, and kept."""

from __future__ import annotations

import gzip
from base64 import b64decode
from pathlib import Path

import pytest
import vl_convert

from spot.testbed.report.script import drawing_script


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache directory, and each script that is put together since."""
    made: list[str] = []

    def bundle(snippet: str) -> str:
        made.append(f"/* {len(made)} */ {snippet}")
        return made[-1]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    return made


def as_in_another_process() -> str:
    drawing_script.cache_clear()
    try:
        return gzip.decompress(b64decode(drawing_script())).decode()
    finally:
        drawing_script.cache_clear()


def test_script_is_put_together_once(made: list[str], tmp_path: Path) -> None:
    """It takes seconds, and each run of a scenario may be a process of its own."""
    first = as_in_another_process()
    assert as_in_another_process() == first == made[0]
    assert len(made) == 1
    (file,) = (tmp_path / "spot").iterdir()
    assert vl_convert.__version__ in file.name


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 99, b"0" * 64 + b"\nother"])
def test_damaged_cache_is_made_anew(made: list[str], tmp_path: Path, damage: bytes) -> None:
    """A page without its pictures would be what a full disk left weeks ago."""
    as_in_another_process()
    (file,) = (tmp_path / "spot").iterdir()
    file.write_bytes(damage)
    assert as_in_another_process() == made[1]
    assert as_in_another_process() == made[1]


def test_page_needs_no_cache(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that can't be written costs time, and nothing else."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for at in range(2):
        assert as_in_another_process() == made[at]

"""A bounded writer never makes its caller wait, and tells what it could not write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spot.program.bounded_writer import CHUNK_BYTES_MAX, BoundedWriter

LINE = "x" * 99 + "\n"
PIPE_BYTES = 64 * 1024


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def _wait(condition: Callable[[], object], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _read(reader: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(reader, size - len(data))
    return data


def test_bounded_writer_writes_everything_in_order(tmp_path: Path) -> None:
    """A file that can be written has every line, whoever puts how much."""
    path = tmp_path / "file"
    outlet = BoundedWriter(os.open(path, os.O_WRONLY | os.O_CREAT), 1 << 20)
    lines = [f"{number}\n" for number in range(10_000)]
    for at in range(0, len(lines), 7):
        assert outlet.put(lines[at : at + 7]) == len(lines[at : at + 7])
    assert outlet.close(10) == 0
    assert path.read_text() == "".join(lines)


def test_bounded_writer_that_nobody_reads_is_bounded_and_can_be_left(pipe: tuple[int, int]) -> None:
    """The node would grow until it is killed, or wait for ever."""
    outlet = BoundedWriter(pipe[1], 200_000)
    taken = sum(outlet.put([LINE] * 100) for _ in range(1000))
    # What the pipe holds, and what waits; a block that is being written counts until it is.
    assert 200_000 // len(LINE) <= taken <= (200_000 + PIPE_BYTES) // len(LINE)
    begun = time.monotonic()
    left = outlet.close(0.3)
    assert time.monotonic() - begun < 5
    written = len(os.read(pipe[0], 1 << 20))
    unwritten = taken - written // len(LINE)
    assert unwritten <= left <= unwritten + CHUNK_BYTES_MAX // len(LINE)
    os.close(pipe[1])


def test_bounded_writer_goes_on_when_somebody_reads_again(pipe: tuple[int, int]) -> None:
    """A reader that was away for a while gets what waited for it, and then what is new."""
    outlet = BoundedWriter(pipe[1], 200_000)
    taken = outlet.put([LINE] * 5000)
    assert 2000 <= taken < 5000
    assert _read(pipe[0], taken * len(LINE)) == LINE.encode() * taken
    _wait(lambda: outlet.put(["new\n"]))
    assert _read(pipe[0], 4) == b"new\n"
    assert outlet.close(10) == 0


def test_bounded_writer_waits_for_a_slow_reader_at_its_end(pipe: tuple[int, int]) -> None:
    """A reader that reads is given what was taken, not cut off."""
    outlet = BoundedWriter(pipe[1], 1 << 20)
    assert outlet.put([LINE] * 2000) == 2000
    pid = os.fork()
    if not pid:  # the reader
        size = len(_read(pipe[0], 2000 * len(LINE)))
        os._exit(0 if size == 2000 * len(LINE) else 1)
    assert outlet.close(30) == 0
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_bounded_writer_takes_a_descriptor_that_somebody_made_non_blocking(
    pipe: tuple[int, int],
) -> None:
    """Whoever shares a pipe may set O_NONBLOCK on it: then a full one is an error, not a wait."""
    os.set_blocking(pipe[1], False)
    outlet = BoundedWriter(pipe[1], 1 << 20)
    assert outlet.put([LINE] * 2000) == 2000
    assert _read(pipe[0], 2000 * len(LINE)) == LINE.encode() * 2000
    assert outlet.close(10) == 0


def test_bounded_writer_tells_that_its_reader_has_gone() -> None:
    """Nobody will ever read it: that is an error, which ends the node, and no loss to count."""
    reader, writer = os.pipe()
    os.close(reader)
    outlet = BoundedWriter(writer, 1 << 20)
    outlet.put([LINE])
    with pytest.raises(BrokenPipeError):
        _wait(lambda: outlet.put([LINE]) == 0)
    with pytest.raises(BrokenPipeError):
        outlet.close(10)

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from spot import Closed
from spot.program import control
from spot.program.control import CLIENTS_MAX, LINE_BYTES_MAX, ControlServer, ask

STATUS = {"node": "a"}


def _echo(line: bytes) -> dict[str, Any]:
    return {"line": line.decode()} if line else STATUS


@contextmanager
def _serving(path: Path, answer: Callable[[bytes], dict[str, Any]] = _echo) -> Iterator[None]:
    server = ControlServer(str(path), answer)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield
    finally:
        server.close()
        thread.join(timeout=5)
        assert not thread.is_alive()


def _connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def test_status_is_answered_as_often_as_it_is_asked(tmp_path: Path) -> None:
    """A health check comes every few seconds for the life of a container."""
    path = tmp_path / "a.sock"
    with _serving(path):
        assert [ask(path) for _ in range(3)] == [STATUS] * 3
    assert not path.exists()


def test_line_is_answered_by_what_it_says(tmp_path: Path) -> None:
    """One line, one answer; a person with socat needs no more than that."""
    path = tmp_path / "a.sock"
    with _serving(path):
        assert ask(path, b'{"do": "x"}') == {"line": '{"do": "x"}'}
        with _connected(path) as client:
            client.sendall(b"\n")
            assert json.loads(client.recv(1000)) == STATUS


def test_client_that_says_nothing_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitor that hangs must not make a healthy node look dead; and it gets its answer."""
    monkeypatch.setattr(control, "SILENCE_S", 3.0)
    path = tmp_path / "a.sock"
    with ExitStack() as stack:
        stack.enter_context(_serving(path))
        silent = [stack.enter_context(_connected(path)) for _ in range(CLIENTS_MAX - 1)]
        asked = time.monotonic()
        assert ask(path, timeout=10) == STATUS
        assert time.monotonic() - asked < control.SILENCE_S
        assert [json.loads(client.recv(1000)) for client in silent] == [STATUS] * len(silent)


def test_clients_beyond_the_bound_wait_for_their_turn(tmp_path: Path) -> None:
    """Threads are bounded, and whoever is beyond the bound is served all the same."""
    path = tmp_path / "a.sock"
    with ExitStack() as stack:
        stack.enter_context(_serving(path))
        for _ in range(2 * CLIENTS_MAX):
            stack.enter_context(_connected(path))
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("spot-control") <= CLIENTS_MAX
        assert ask(path, timeout=10) == STATUS


def test_line_without_end_is_refused(tmp_path: Path) -> None:
    """Whatever is sent, memory stays bounded."""
    path = tmp_path / "a.sock"
    with _serving(path), _connected(path) as client:
        client.sendall(b"x" * (LINE_BYTES_MAX + 1))
        assert "longer than" in json.loads(client.recv(1000))["error"]


@pytest.mark.parametrize(
    ("error", "said"), [(Closed("closed"), "leaving"), (RuntimeError("odd"), "RuntimeError: odd")]
)
def test_answer_that_fails_is_an_error_and_the_next_is_answered(
    error: Exception, said: str, tmp_path: Path
) -> None:
    """One command that fails must not end the health checks for good."""
    path = tmp_path / "a.sock"

    def answer(line: bytes) -> dict[str, Any]:
        if line:
            raise error
        return STATUS

    with _serving(path, answer):
        failed = ask(path, b"x")
        assert failed is not None
        assert said in failed["error"]
        assert ask(path) == STATUS


def test_answer_of_a_server_that_reads_nothing_is_taken(tmp_path: Path) -> None:
    """A program of somebody's own may answer whoever connects, and close at once."""
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for _ in range(101):
                client, _ = listener.accept()
                with client:
                    client.sendall(b'{"node": "theirs"}\n')

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask(path) == {"node": "theirs"}
        for _ in range(100):  # it may have closed before or after the line is sent
            assert ask(path, b"x" * 10_000) == {"node": "theirs"}
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_nobody_there_is_no_answer(tmp_path: Path) -> None:
    """The check must tell "no answer" from "not healthy", and must not hang."""
    assert ask(tmp_path / "nobody.sock") is None


def test_server_works_at_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    """Run directories lie deep, and a socket address holds 107 bytes only."""
    directory = tmp_path / ("long-" * 40)
    directory.mkdir()
    path = directory / "a.sock"
    with _serving(path):
        assert ask(path) == STATUS


def test_server_replaces_the_socket_of_a_killed_node(tmp_path: Path) -> None:
    """After kill -9 the socket file stays; the node must start again without help."""
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with _serving(path):
        assert ask(path) == STATUS


def test_server_leaves_a_living_node_its_socket(tmp_path: Path) -> None:
    """Two nodes with one socket would take each other's health checks."""
    path = tmp_path / "a.sock"
    with _serving(path):
        with pytest.raises(OSError, match="another node answers there"):
            ControlServer(str(path), _echo)
        assert ask(path) == STATUS


def test_server_leaves_a_node_that_is_busy_its_socket(tmp_path: Path) -> None:
    """It listens, though it has not accepted those who asked before."""
    path = tmp_path / "a.sock"
    with ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        stack.enter_context(_connected(path))
        with pytest.raises(OSError, match="another node answers there"):
            ControlServer(str(path), _echo)
        assert path.is_socket()


def test_server_survives_a_client_that_leaves_early(tmp_path: Path) -> None:
    """A check that timed out must not end the checks for good."""
    path = tmp_path / "a.sock"
    large = {**STATUS, "topics": ["t" * 100] * 50_000}
    with _serving(path, lambda line: large):
        for _ in range(3):
            _connected(path).close()
        answer = ask(path, timeout=10)
        assert answer is not None
        assert answer["node"] == "a"

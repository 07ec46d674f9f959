"""Finding and starting a proxy server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spot.testbed.ports import PortReservation
from spot.testbed.process_id import marked_processes
from spot.testbed.proxy import (
    ProxyNotStarted,
    ProxyServer,
    ProxyUnreachable,
    Toxiproxy,
    choose_server,
    find_toxiproxy,
    open_server,
)
from tests.testbed.proxy.wire import listening


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has no Toxiproxy."""
    monkeypatch.delenv("TOXIPROXY_URL", raising=False)
    monkeypatch.delenv("TOXIPROXY_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")


def _program(folder: Path, script: str) -> Path:
    program = folder / "toxiproxy-server"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_embedded_is_what_there_always_is(tmp_path: Path) -> None:
    """Everything runs after one pip install."""
    assert choose_server() == "embedded"
    server = open_server(tmp_path / "log")
    try:
        assert server.kind == "embedded"
        assert server.is_alive
        assert server.client().version() == server.version
    finally:
        server.stop()
    assert not server.is_alive
    assert not Toxiproxy(server.url).running()


def test_embedded_may_open_as_many_files_as_the_system_allows(tmp_path: Path) -> None:
    """Usual shells allow 1,024, which a large mesh's edges exceed."""
    server = open_server(tmp_path / "log")
    try:
        assert server.process is not None
        limits = Path(f"/proc/{server.process.pid}/limits").read_text(encoding="ascii")
        soft, hard = re.findall(r"Max open files +(\S+) +(\S+)", limits)[0]
        assert soft == hard
    finally:
        server.stop()


def test_program_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has installed Toxiproxy means it."""
    program = _program(tmp_path, "exec sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_toxiproxy() == program
    assert choose_server() == "toxiproxy"
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("TOXIPROXY_SERVER", str(program))
    assert choose_server() == "toxiproxy"


def test_program_that_is_named_wrongly_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Falling back to another server in silence would test something else."""
    monkeypatch.setenv("TOXIPROXY_SERVER", "/nowhere/toxiproxy-server")
    with pytest.raises(ProxyNotStarted, match="TOXIPROXY_SERVER=/nowhere/toxiproxy-server"):
        choose_server()


def test_program_that_is_wanted_but_missing(tmp_path: Path) -> None:
    """The message says where it is to be had."""
    with pytest.raises(ProxyNotStarted, match=r"scripts/toxiproxy\.sh"):
        open_server(tmp_path / "log", kind="toxiproxy")


def test_program_that_ends_at_once_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why it ended is in there and nowhere else."""
    program = _program(tmp_path, "echo no such thing; exit 1")
    monkeypatch.setenv("TOXIPROXY_SERVER", str(program))
    with pytest.raises(ProxyNotStarted, match=r"ended at once(.|\n)*no such thing"):
        open_server(tmp_path / "log")


def test_program_that_never_answers_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind by a start that failed."""
    program = _program(tmp_path, "exec /bin/sleep 60")
    monkeypatch.setenv("TOXIPROXY_SERVER", str(program))
    monkeypatch.setattr("spot.testbed.proxy.server.START_TIMEOUT_S", 0.2)
    with pytest.raises(ProxyNotStarted, match="doesn't answer at http"):
        open_server(tmp_path / "log", variables={"SPOT_TEST_MARK": str(tmp_path)})
    assert marked_processes("SPOT_TEST_MARK", str(tmp_path)) == []


def test_server_that_runs_is_used_and_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It isn't ours to stop."""
    ours = open_server(tmp_path / "log")
    try:
        monkeypatch.setenv("TOXIPROXY_URL", ours.url)
        found = open_server(tmp_path / "other log")
        assert (found.kind, found.url, found.process) == ("running", ours.url, None)
        found.stop()
        assert found.is_alive
    finally:
        ours.stop()
    assert not found.is_alive


def test_server_that_should_run_but_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_ports: int
) -> None:
    """The variable is in the message, as someone set it once and forgot."""
    url = f"http://127.0.0.1:{free_ports}"
    monkeypatch.setenv("TOXIPROXY_URL", url)
    with pytest.raises(ProxyUnreachable, match=f"TOXIPROXY_URL={url}"):
        open_server(tmp_path / "log")


def test_server_is_found_by_mark_and_record(tmp_path: Path) -> None:
    """Another process sweeps it when the one that started it is dead."""
    server = open_server(tmp_path / "log", variables={"SPOT_TEST_MARK": str(tmp_path)})
    try:
        assert marked_processes("SPOT_TEST_MARK", str(tmp_path)) == [server.process]
        assert ProxyServer.from_json(server.to_json()) == server
    finally:
        ProxyServer.from_json(server.to_json()).stop()
    assert not server.is_alive


def test_two_servers_stand_side_by_side(tmp_path: Path) -> None:
    """Two testbeds at once must not meet."""
    ports = PortReservation()
    servers = [open_server(tmp_path / f"log{n}", ports=ports) for n in range(2)]
    try:
        servers[0].client().create("127.0.0.1:9", "only here")
        assert servers[1].client().proxies() == {}
    finally:
        for server in servers:
            server.stop()
        ports.release()


def test_embedded_program_tells_of_a_port_that_is_taken() -> None:
    """Toxiproxy would log it and stay there doing nothing."""
    with listening() as taken:
        port = taken.getsockname()[1]
        module = "spot.testbed.proxy.embedded"
        done = subprocess.run(
            [sys.executable, "-m", module, "-host", "127.0.0.1", "-port", str(port)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr

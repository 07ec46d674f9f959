"""Servers that some contestants need between their clients, started for one round."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.needs import find_program
from bench.stage import PATIENCE, Stage

__all__ = ["free_port", "nats_server", "redis_server"]

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def nats_server(stage: Stage) -> None:
    """The role of nats-server. It may buffer all messages of a round for a subscriber."""
    with TemporaryDirectory(prefix="bench-nats-") as folder:
        config = Path(folder, "nats.conf")
        config.write_text('max_pending: 1GB\nmax_payload: 8MB\nwrite_deadline: "60s"\n')
        port = free_port()
        with _served("nats-server", "-a", "127.0.0.1", "-p", str(port), "-c", str(config)):
            _play(stage, port)


def redis_server(stage: Stage) -> None:
    """The role of redis-server. It writes nothing to disk, and limits no subscriber's buffer."""
    with TemporaryDirectory(prefix="bench-redis-") as folder:
        port = free_port()
        options = f"--bind 127.0.0.1 --port {port} --appendonly no --dir {folder}".split()
        limits = ["--save", "", "--client-output-buffer-limit", "pubsub 0 0 0"]
        with _served("redis-server", *options, *limits):
            _play(stage, port)


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _play(stage: Stage, port: int) -> None:
    _await_listening(port)
    stage.meet(str(port))
    stage.ready()
    stage.finish()


@contextmanager
def _served(name: str, *options: str) -> Iterator[None]:
    path = find_program(name)
    assert path is not None, f"{name} is a need of this contestant"
    server = subprocess.Popen(  # noqa: S603
        [path, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,  # a role that fails is killed, and can't end its server
    )
    try:
        yield
    finally:
        server.kill()
        server.wait()


def _end_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _await_listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return

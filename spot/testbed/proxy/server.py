"""Finds or starts a proxy server: a running one, Toxiproxy's program, or the embedded proxy.

``TOXIPROXY_URL`` names a running server. Without it, ``toxiproxy-server`` is started if it is on
PATH or ``TOXIPROXY_SERVER`` names it, else the embedded proxy. The started process has a session of
its own, and outlives its starter until some process calls ``stop``.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spot.testbed.ports import LOOPBACK, PortReservation
from spot.testbed.process_id import ProcessId, end_processes
from spot.testbed.proxy.client import Toxiproxy
from spot.testbed.proxy.errors import ProxyNotStarted, ProxyUnreachable
from spot.testbed.spawn import spawn

__all__ = ["ProxyServer", "ServerKind", "choose_server", "find_toxiproxy", "open_server"]

ServerKind = Literal["running", "toxiproxy", "embedded"]

URL_VARIABLE = "TOXIPROXY_URL"
PROGRAM_VARIABLE = "TOXIPROXY_SERVER"
PROGRAM = "toxiproxy-server"
START_TIMEOUT_S = 10.0
STOP_GRACE_S = 2.0
POLL_S = 0.01
LOG_TAIL_LINES = 10


@dataclass(frozen=True)
class ProxyServer:
    """A proxy server. ``process`` None: it ran before, and must not be stopped."""

    kind: ServerKind
    url: str
    version: str
    process: ProcessId | None = None

    def client(self, timeout: float = 5.0) -> Toxiproxy:
        """A client of it. ``timeout``: seconds for each call."""
        return Toxiproxy(self.url, timeout=timeout)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs, or whether it answers if it has no ``process``."""
        return self.client().running() if self.process is None else self.process.is_alive

    def stop(self) -> None:
        """Ends its ``process``, and all connections through it. Returns when it has ended."""
        if self.process is not None:
            end_processes([self.process], STOP_GRACE_S)

    def to_json(self) -> dict[str, Any]:
        """The server as a document for a run's record."""
        process = self.process
        return {
            "kind": self.kind,
            "url": self.url,
            "version": self.version,
            "process": None if process is None else {"pid": process.pid, "start": process.start},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ProxyServer:
        """The server of a run's record."""
        process = document["process"]
        return cls(
            document["kind"],
            document["url"],
            document["version"],
            None if process is None else ProcessId(process["pid"], process["start"]),
        )


def find_toxiproxy() -> Path | None:
    """Toxiproxy's program. None: not found. Raises ProxyNotStarted for a wrong name."""
    named = os.environ.get(PROGRAM_VARIABLE)
    found = shutil.which(named or PROGRAM)
    if named and not found:
        raise ProxyNotStarted(
            f"{PROGRAM_VARIABLE}={named} is no program that can be run: correct it or unset it"
        )
    return Path(found).absolute() if found else None


def choose_server() -> ServerKind:
    """The kind of server that ``open_server`` uses by default. Raises ProxyNotStarted."""
    if os.environ.get(URL_VARIABLE):
        return "running"
    return "toxiproxy" if find_toxiproxy() else "embedded"


def open_server(
    log: Path,
    *,
    kind: ServerKind | None = None,
    variables: Mapping[str, str] | None = None,
    ports: PortReservation | None = None,
) -> ProxyServer:
    """Finds or starts a server, and returns it once it answers.

    ``log``: file for the output of a server that is started. ``kind``: the kind of server. None: as
    ``choose_server`` chooses. ``variables``: more environment variables of the process, by which
    sweeping finds it. ``ports``: reserves the port of the API until it is released; None: only
    until the server has it.

    Raises ProxyUnreachable if the server at TOXIPROXY_URL doesn't answer, ProxyNotStarted,
    PortInUse.
    """
    kind = kind or choose_server()
    if kind == "running":
        return _running(os.environ.get(URL_VARIABLE, ""))
    if kind == "toxiproxy":
        program = find_toxiproxy()
        if program is None:
            raise ProxyNotStarted(
                f"there is no {PROGRAM} on PATH, and {PROGRAM_VARIABLE} is not set: "
                "scripts/toxiproxy.sh builds it, or take the embedded proxy"
            )
        command = [str(program)]
    else:
        command = [sys.executable, "-P", "-m", "spot.testbed.proxy.embedded"]
    own_ports = PortReservation()
    try:
        port = (ports or own_ports).free(1)[0]
        return _start(kind, command, port, log, variables or {})
    finally:
        own_ports.release()


def _running(url: str) -> ProxyServer:
    client = Toxiproxy(url)
    version = client.version()
    if version is None:
        raise ProxyUnreachable(
            f"{URL_VARIABLE}={url}, but no Toxiproxy answers there: start it, or unset the variable"
        )
    return ProxyServer("running", client.url, version)


def _start(
    kind: ServerKind, command: list[str], port: int, log: Path, variables: Mapping[str, str]
) -> ProxyServer:
    url = f"http://{LOOPBACK}:{port}"
    quiet = {"LOG_LEVEL": os.environ.get("LOG_LEVEL", "warn")}  # else it logs each connection
    process = spawn([*command, "-host", LOOPBACK, "-port", str(port)], log, {**quiet, **variables})
    client = Toxiproxy(url, timeout=1.0)
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        while (version := client.version()) is None:
            if not process.is_alive:
                raise ProxyNotStarted(f"{command[0]} ended at once.{_tail(log)}")
            if time.monotonic() >= deadline:
                raise ProxyNotStarted(
                    f"{command[0]} doesn't answer at {url} after {START_TIMEOUT_S:g} s.{_tail(log)}"
                )
            time.sleep(POLL_S)
    except BaseException:
        end_processes([process], STOP_GRACE_S)
        raise
    return ProxyServer(kind, url, version, process)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n".join([" The end of its log:", *(f"  {line}" for line in lines)]) if lines else ""

"""A proxy server to work with: one that runs already, Toxiproxy's program, or the embedded one.

``TOXIPROXY_URL`` names one that runs. Else ``toxiproxy-server`` is started if it is on PATH, or at
``TOXIPROXY_SERVER``; else the embedded proxy. What is started here is a process in a session of its
own, which outlives its starter until ``stop`` is called, from whichever process.
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
    """A proxy server. ``process`` None: it ran before, and isn't ours to stop."""

    kind: ServerKind
    url: str
    version: str
    process: ProcessId | None = None

    def client(self, timeout: float = 5.0) -> Toxiproxy:
        """A client of it. ``timeout``: seconds for each call."""
        return Toxiproxy(self.url, timeout=timeout)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs; of one that isn't ours, whether it answers."""
        return self.client().running() if self.process is None else self.process.is_alive

    def stop(self) -> None:
        """Ends it, and all connections through it, if it is ours. Returns when it is gone."""
        if self.process is not None:
            end_processes([self.process], STOP_GRACE_S)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a run's record."""
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
    """Toxiproxy's program. None: there is none here. Raises ProxyNotStarted for a wrong name."""
    named = os.environ.get(PROGRAM_VARIABLE)
    found = shutil.which(named or PROGRAM)
    if named and not found:
        raise ProxyNotStarted(
            f"{PROGRAM_VARIABLE}={named} is no program that can be run: correct it or unset it"
        )
    return Path(found).absolute() if found else None


def choose_server() -> ServerKind:
    """Which server ``open_server`` takes without being told. Raises ProxyNotStarted."""
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
    """A server that answers, found or started.

    ``log``: file for the output of a server that is started. ``kind``: None is what
    ``choose_server`` says. ``variables``: environment of the process, beside ours, by which
    sweeping finds it. ``ports``: keeps the port of the API from others until it is released; None:
    only until the server has it.

    Raises ProxyUnreachable when the one that should run doesn't, ProxyNotStarted, PortInUse.
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

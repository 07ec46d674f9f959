"""What the operating system says about TCP: connections and listeners, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ESTABLISHED = "01"
LISTEN = "0A"


def _rows() -> list[list[str]]:
    """The table changes while it is read, as others connect: a reading may lack rows."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        rows += [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
    return rows


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _inodes(pid: int) -> set[str]:
    """The sockets of this process."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue  # the process has closed it meanwhile: a client of its control socket
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    return inodes


def connections_to(ports: Iterable[int]) -> int:
    """Established connections to these local ports, each counted once, at its listening end."""
    wanted = set(ports)
    return sum(row[3] == ESTABLISHED and _port(row[1]) in wanted for row in _rows())


def listening_ports_of(pid: int) -> set[int]:
    """The ports on which this process listens."""
    inodes = _inodes(pid)
    return {_port(row[1]) for row in _rows() if row[3] == LISTEN and row[9] in inodes}


def connections_of(pid: int) -> set[tuple[int, int]]:
    """(local port, remote port) of this process's established connections."""
    inodes = _inodes(pid)
    return {
        (_port(row[1]), _port(row[2]))
        for row in _rows()
        if row[3] == ESTABLISHED and row[9] in inodes
    }

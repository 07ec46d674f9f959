"""TCP connections as the operating system counts them, not SPOT."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

TCP_ESTABLISHED = 1


def established(ports: Iterable[int]) -> int:
    """How many established connections this process has accepted at these ports.

    Its own descriptors are asked: the kernel's table of all connections (/proc/net/tcp) changes
    while it is read, so that it shows some twice, and others not, when other processes connect.
    """
    wanted = set(ports)
    return sum(_is_established(int(fd), wanted) for fd in os.listdir("/proc/self/fd"))


def _is_established(fd: int, ports: set[int]) -> bool:
    try:
        if not os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(fd)) as copy:
            if copy.family not in (socket.AF_INET, socket.AF_INET6):
                return False
            state = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            return state == TCP_ESTABLISHED and copy.getsockname()[1] in ports
    except OSError:
        return False  # closed meanwhile


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def memory_mib(pid: int | str = "self") -> float:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / (1 << 20)

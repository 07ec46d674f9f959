"""Whether a node is starved, by any process and on either backend."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster

__all__ = ["StarvedMark", "is_starved"]

LOOK_MAX_S = 0.2
POLL_S = 0.01


class StarvedMark:
    """A lock in a run's directory. A process holds it while it stops and continues a node.

    The lock ends with the process that holds it. Raises OSError when the run is gone.
    """

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._path = _path(cluster, node)
        self._fd: int | None = None

    def take(self) -> bool:
        """Takes the lock. False: another process holds it."""
        deadline = time.monotonic() + LOOK_MAX_S
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # A process that only looks holds it for a moment.
                if time.monotonic() < deadline:
                    time.sleep(POLL_S)
                    continue
                os.close(fd)
                return False
            self._fd = fd
            return True

    def is_taken(self) -> bool:
        """Whether any process holds the lock."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def release(self) -> None:
        """Releases the lock, if this object holds it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_starved(cluster: Cluster, node: str) -> bool:
    """Whether a fault leaves the node only a small share of a processor."""
    if cluster.run.backend == "docker":
        return cluster.cpu_share(node) is not None
    with suppress(FileNotFoundError):  # the run is gone
        return StarvedMark(cluster, node).is_taken()
    return False


def _path(cluster: Cluster, node: str) -> Path:
    return cluster.run.directory / f"starved-{node}.lock"

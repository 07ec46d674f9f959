"""A user's own program as the node, on processes: how it is started, and what it must answer.

``docs/journal.md`` says what such a program must speak, ``docs/testing-your-own.md`` how to run it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from spot.testbed.errors import BadProgram

__all__ = ["OwnProgram", "check_status"]

_STATUS_FIELDS = ("at", "uptime", "synced", "failure", "peers", "metrics")
_METRICS = ("publishes", "recv_msgs", "missed_msgs")
_PEER_FIELDS = ("node", "endpoint", "state", "rtt")


@dataclass(frozen=True)
class OwnProgram:
    """A command, and the directory that it is run in."""

    argv: tuple[str, ...]
    directory: str

    @classmethod
    def found(cls, argv: Sequence[str]) -> Self:
        """The command in the present directory. Raises BadProgram if it can't be run."""
        if isinstance(argv, str) or not argv:
            raise BadProgram(
                f"the program must be a list of words, such as ['python', 'node.py'], not {argv!r}"
            )
        name, *arguments = map(str, argv)
        path = Path(name)
        if "/" in name and path.is_file() and not os.access(path, os.X_OK):
            raise BadProgram(
                f"the program {name} is not executable: 'chmod +x' it, or put its interpreter "
                "before it, as in 'python node.py'"
            )
        found = shutil.which(name)
        if found is None:
            where = f"there is no such file in {Path.cwd()}" if "/" in name else "it is not on PATH"
            raise BadProgram(f"there is no program {name}: {where}")
        return cls((os.path.abspath(found), *arguments), os.getcwd())

    @property
    def command(self) -> tuple[str, ...]:
        """The command that changes directory first, as a restart may come from another one."""
        return ("/bin/sh", "-c", 'cd -- "$0" && exec "$@"', self.directory, *self.argv)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a run's record."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The program that a run's record describes."""
        return cls(tuple(document["argv"]), document["directory"])


def check_status(node: str, document: Mapping[str, Any]) -> None:
    """Raises BadProgram, naming what is missing, if this is not a node's status document."""
    lacking = [name for name in _STATUS_FIELDS if name not in document]
    metrics, peers = document.get("metrics"), document.get("peers")
    if isinstance(metrics, dict):
        lacking += [f"metrics.{name}" for name in _METRICS if name not in metrics]
    elif "metrics" in document:
        lacking.append("metrics (an object)")
    if isinstance(peers, list) and all(isinstance(peer, dict) for peer in peers):
        of_all = [name for name in _PEER_FIELDS if any(name not in peer for peer in peers)]
        lacking += [f"{name} of each of peers" for name in of_all]
    elif "peers" in document:
        lacking.append("peers (a list of objects)")
    if lacking:
        raise BadProgram(
            f"the status document of node {node} lacks {', '.join(lacking)}: docs/journal.md says "
            "what a program of your own must answer"
        )

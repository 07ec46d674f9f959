"""Asks a running node for its health, over its control socket."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from spot.program.control import ask

__all__ = ["ask_status", "check", "is_healthy", "summary"]

EXIT_HEALTHY = 0
EXIT_UNHEALTHY = 1
EXIT_USAGE = 2
EXIT_NO_ANSWER = 3


def ask_status(path: str | os.PathLike[str], timeout: float = 2.0) -> dict[str, Any] | None:
    """The status document of the node that serves ``path``. None: no answer in ``timeout`` s."""
    return ask(path, timeout=timeout)


def is_healthy(status: dict[str, Any]) -> bool:
    """Whether a node works: it has synchronised once, and none of its threads failed.

    A peer that is lost later doesn't make a node unhealthy: SPOT heals that by itself, and
    a restart of the node would not help.
    """
    return bool(status.get("synced")) and status.get("failure") is None


def summary(status: dict[str, Any]) -> str:
    """The status in one line, for people."""
    peers = status.get("peers", [])
    up = sum(peer["state"] == "up" for peer in peers)
    words = ["healthy" if is_healthy(status) else "not healthy"]
    words.append("synchronised" if status.get("synced") else "not yet synchronised")
    words.append(f"{up} of {len(peers)} peers up")
    words += [f"{peer['endpoint']} is {peer['state']}" for peer in peers if peer["state"] != "up"]
    if status.get("failure") or status.get("last_error"):
        words.append(f"last error: {status.get('failure') or status['last_error']}")
    return f"{status.get('node')}: " + ", ".join(words)


def check(path: str, *, as_json: bool = False) -> int:
    """Prints the health of the node at this control socket: a line, or its whole status document.

    Returns the exit code: 0 healthy, 1 not healthy, 2 no path was given, 3 no answer.
    """
    path = path.strip()
    if not path:
        print("spot node: --check needs the node's socket: set SPOT_CONTROL", file=sys.stderr)
        return EXIT_USAGE
    status = ask_status(path)
    if status is None:
        print(
            f"spot node: no answer at {path}: is a node running with SPOT_CONTROL={path}?",
            file=sys.stderr,
        )
        return EXIT_NO_ANSWER
    print(json.dumps(status) if as_json else summary(status))
    return EXIT_HEALTHY if is_healthy(status) else EXIT_UNHEALTHY

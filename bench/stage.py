"""The inside of a contestant's process: how a role finds the others, starts and reports."""

from __future__ import annotations

import gc
import signal
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from bench.row import Load

__all__ = ["PATIENCE", "Stage", "play"]

PATIENCE = 10.0
"""Seconds that a role waits for another role or for a message before it fails its row."""


class Stage:
    """What a role gets: it calls ``meet``, ``ready`` and ``finish``, in this order."""

    def __init__(self, pipe: Connection, load: Load) -> None:
        self.load = load
        self._pipe = pipe

    def meet(self, address: str = "") -> list[str]:
        """Tells where this role can be reached. Returns the addresses of all roles, in order."""
        addresses: list[str] = self._sync("meet", address)
        return addresses

    def ready(self) -> None:
        """Returns when every role is ready. The garbage collector ignores the objects made so
        far."""
        gc.collect()
        gc.freeze()
        self._sync("ready", None)

    def finish(self, figures: Mapping[str, float] | None = None) -> None:
        """Reports, and returns when every role has reported. Sockets may be closed only then."""
        self._sync("finish", dict(figures or {}))

    def _sync(self, step: str, value: object) -> Any:
        self._pipe.send((step, value))
        return self._pipe.recv()


def play(role: Callable[[Stage], None], load: Load, pipe: Connection) -> None:
    """The main function of a role's process. Sends errors to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    try:
        role(Stage(pipe, load))
        pipe.send(("end", None))
    except EOFError:
        return  # the parent is gone
    except Exception:  # noqa: BLE001  # the parent reports any error
        with suppress(OSError):  # the parent is gone
            pipe.send(("failed", traceback.format_exc()))

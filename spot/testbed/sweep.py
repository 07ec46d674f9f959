"""Ends what a dead runner left behind, and nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

from spot.testbed.backends import make_backend
from spot.testbed.errors import ClusterError, EngineMissing
from spot.testbed.run import Run, state_lock

__all__ = ["sweep", "sweep_everything"]

log = logging.getLogger(__name__)


def sweep(state: Path) -> list[Run]:
    """Stops and removes every run whose runner is dead and had not detached it; returns them.

    Runs of living runners and detached runs are not touched, nor any process that is not of the
    run: see ``ProcessId``. A run that can't be ended now, as its engine doesn't answer, keeps its
    record for the next sweep, with a warning in the log.
    """
    swept = []
    with state_lock(state, "sweep"):
        for run in Run.all(state):
            if not run.is_abandoned:
                continue
            try:
                make_backend(run.backend).stop(run)
            except ClusterError as error:
                log.warning("run %s can't be swept now: %s", run.run_id, error)
                continue
            run.remove()
            swept.append(run)
    return swept


def sweep_everything(state: Path) -> list[str]:
    """``sweep``, and what stands on the engine without a record here; returns the runs' ids.

    Such are runs of this user's with another state directory, or with one that was deleted.
    """
    swept = [run.run_id for run in sweep(state)]
    from spot.testbed.backends.docker import sweep_engine
    from spot.testbed.engine import connect

    try:
        client = connect()
    except EngineMissing:
        return swept
    with state_lock(state, "sweep"):
        return swept + sweep_engine(client)

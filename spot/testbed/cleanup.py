"""Ends what dead runners left behind, and nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

from spot.testbed.backends import make_backend
from spot.testbed.errors import ClusterError, EngineMissing
from spot.testbed.run import Run, state_lock

__all__ = ["sweep", "sweep_everything"]

log = logging.getLogger(__name__)


def sweep(state: Path) -> list[Run]:
    """Stops and removes every run that a dead runner had not detached. Returns these runs.

    Runs of living runners and detached runs go on, and so does every process that belongs to no
    run: see ``ProcessId``. If a run can't be ended now, because its engine doesn't answer, its
    record stays for the next sweep, and the log has a warning.
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
    """Does ``sweep``, and removes runs on the engine that have no record here. Returns all ids.

    These are runs of this user with another state directory, or with one that was deleted.
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

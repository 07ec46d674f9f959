"""Labels of a run's containers and networks, by which they are found when all else is lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker

from spot.testbed.process_id import ProcessId
from spot.testbed.run import Run

__all__ = ["RUN_LABEL", "labels_of", "orphaned_runs"]

RUN_LABEL = "spot.run"
OWNER_LABEL = "spot.owner"
RECORD_LABEL = "spot.record"
RUNNER_LABEL = "spot.runner"


def labels_of(run: Run) -> dict[str, str]:
    """The labels that everything of this run carries."""
    return {
        RUN_LABEL: run.run_id,
        OWNER_LABEL: _owner(),
        RECORD_LABEL: str(run.directory),
        RUNNER_LABEL: f"{run.runner.pid} {run.runner.start}",
    }


def orphaned_runs(client: docker.DockerClient) -> Iterator[tuple[str, Run | None]]:
    """Runs of this user that are on the engine and that no process looks after any more.

    Yields the id and the record of each. The record is None if it is gone with its state directory.
    It is whole if it lies in a state directory other than this process's. Runs whose runner is
    alive or has detached them are not among them, nor those of other users or machines.
    """
    seen: set[str] = set()
    filters = {"label": [RUN_LABEL, f"{OWNER_LABEL}={_owner()}"]}
    for labels in _all_labels(client, filters):
        run_id = labels[RUN_LABEL]
        if run_id in seen:
            continue
        seen.add(run_id)
        record, pid, start = _parts(labels)
        try:
            run = Run.load(record)
        except FileNotFoundError:
            if not ProcessId(pid, start).is_alive:
                yield run_id, None
        except (OSError, ValueError):
            continue  # another version's, or not to be read: not ours to judge
        else:
            if run.is_abandoned:
                yield run_id, run


def _all_labels(
    client: docker.DockerClient, filters: dict[str, list[str]]
) -> Iterator[Mapping[str, str]]:
    for container in client.api.containers(all=True, filters=filters):
        yield container["Labels"]
    for network in client.api.networks(filters=filters):
        yield network["Labels"]


def _parts(labels: Mapping[str, str]) -> tuple[Path, int, str]:
    pid, _, start = labels[RUNNER_LABEL].partition(" ")
    return Path(labels[RECORD_LABEL]), int(pid), start


def _owner() -> str:
    # Only where process numbers and paths mean the same as here can be told what is abandoned:
    # the engine may also serve other users, machines, and containers that share its socket.
    namespaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "mnt")]
    return " ".join([str(os.getuid()), socket.gethostname(), *namespaces])

"""Whether there is an engine to run containers on, and what these tests have left on it."""

from __future__ import annotations

import os
import subprocess

import docker

from spot.testbed.process_id import ProcessId

__all__ = ["PROJECT_PREFIX", "project_name", "sweep_dead_runs", "what_is_missing"]

PROJECT_PREFIX = "spot-test"
PROJECT_LABEL = "com.docker.compose.project"


def what_is_missing() -> str | None:
    """What these tests lack, and what to do. None: nothing."""
    for command, lacking in (
        (["docker", "version"], "no engine answers"),
        (["docker", "compose", "version"], "'docker compose' doesn't run"),
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            return f"{lacking}: run scripts/engine.sh"
    return None


def project_name(what: str) -> str:
    """A compose project of this process: whoever comes later can see whether it is still alive."""
    return f"{PROJECT_PREFIX}-{os.getpid()}-{_start_tick(os.getpid())}-{what}"


def sweep_dead_runs(client: docker.DockerClient) -> None:
    """Removes the containers and networks of test runs that were killed."""
    for container in client.containers.list(all=True, ignore_removed=True):
        if _is_dead(container.labels.get(PROJECT_LABEL, "")):
            container.remove(force=True)
    for network in client.networks.list():
        if _is_dead((network.attrs.get("Labels") or {}).get(PROJECT_LABEL, "")):
            network.remove()


def _is_dead(project: str) -> bool:
    if not project.startswith(f"{PROJECT_PREFIX}-"):
        return False
    pid, tick = project.removeprefix(f"{PROJECT_PREFIX}-").split("-")[:2]
    return _start_tick(int(pid)) != tick


def _start_tick(pid: int) -> str:
    """When this process started; empty when there is none of this number."""
    process = ProcessId.of(pid)
    return process.start.rpartition("-")[2] if process else ""

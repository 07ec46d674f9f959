"""These tests need a container engine, and never pass over its absence in silence.

Without one they are reported as not run, with a line at the end that says so; where CI is set they
fail instead.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import docker
import pytest

from tests.containers.deployment import Deployment, StartDeployment
from tests.containers.engine import sweep_dead_runs, what_is_missing

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
IMAGES_TIMEOUT_S = 900.0

missing = cache(what_is_missing)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        # The first test may have to wait for the images.
        item.add_marker(pytest.mark.timeout(IMAGES_TIMEOUT_S + 120))
    if here and missing() and not os.environ.get("CI"):
        for item in here:
            item.add_marker(pytest.mark.skip(reason=f"not run: {missing()}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    left_out = [report for report in reports if HERE.name in report.nodeid.split("/")]
    if left_out:
        terminalreporter.section("container tests", red=True)
        terminalreporter.line(f"{len(left_out)} container tests were NOT RUN: {missing()}")


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The engine, with both images built, and without what killed test runs left on it."""
    if missing():
        pytest.fail(f"container tests must run where CI is set: {missing()}")
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    subprocess.run(
        [str(ROOT / "scripts" / "images.sh")],
        check=True,
        timeout=IMAGES_TIMEOUT_S,
        env={**os.environ, "PYTHON": sys.executable},
    )
    client = docker.from_env(timeout=30)
    sweep_dead_runs(client)
    yield client
    client.close()


@pytest.fixture
def orphans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Only one test at a time has runs that belong to nobody, or sweeps whatever does.

    Other workers are told by a lock: a sweep ends this user's runs, whosever state they are in.
    """
    common = tmp_path_factory.getbasetemp().parent
    with (common / "orphans.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def start(client: docker.DockerClient, tmp_path: Path) -> Iterator[StartDeployment]:
    """Starts a shipped topology, plain or behind proxies; it is ended with the test."""
    with ExitStack() as stack:

        def start(topology: str, *, proxied: bool = False) -> Deployment:
            deployment = Deployment(client, topology, tmp_path, proxied=proxied)
            return stack.enter_context(deployment)

        yield start

"""The ``spot`` command and make on containers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import docker
import pytest

from spot import __version__
from spot.testbed import Run
from spot.testbed.run import state_directory
from tests.cli.test_command_line import spot

pytestmark = pytest.mark.usefixtures("orphans")  # 'spot down' sweeps


@pytest.fixture(autouse=True)
def state(client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The images are built, and runs kept away from those of whoever runs the tests."""
    directory = tmp_path / "state"
    monkeypatch.setenv("SPOT_STATE_DIR", str(directory))
    monkeypatch.delenv("BACKEND", raising=False)
    return directory


def test_up_takes_containers_where_an_engine_answers(client: docker.DockerClient) -> None:
    """The way of a newcomer: up, status, logs, topics, publish, down, each by itself."""
    try:
        result = spot("up", "mesh")
        assert "3 nodes up and synchronised in" in result.stderr
        assert "(containers, a proxy between every pair)" in result.stderr
        assert "mesh: 3 nodes and 3 links up" in result.stdout
        (run,) = Run.all(state_directory())
        assert (run.backend, run.proxied) == ("docker", True)
        assert "mesh is up already, with 3 nodes (containers" in spot("up", "mesh").stderr
        (document,) = json.loads(spot("status", "--json").stdout)
        assert document["ready"] is True
        assert document["proxy"] == "running"
        for name in ("a", "b", "c"):
            assert f"{name} | " in spot("logs").stdout
        hosts = {one["topic"]: one["host"] for one in json.loads(spot("topics", "--json").stdout)}
        assert hosts == {"a:data": "a", "b:data": "b", "c:data": "c"}
        spot("publish", "a:data", "hello")
    finally:
        result = spot("down")
    assert "mesh is down" in result.stderr
    assert not client.containers.list(all=True, filters={"label": f"spot.run={run.run_id}"})
    assert not client.networks.list(filters={"label": f"spot.run={run.run_id}"})


def test_containers_can_be_linked_directly(free_ports: int) -> None:
    """As the plain compose file deploys them, with ports of this machine."""
    try:
        result = spot("up", "two-node", "--direct", "--base-port", str(free_ports), "--json")
        nodes = json.loads(result.stdout)["nodes"]
        assert [node["address"] for node in nodes] == [
            f"tcp://127.0.0.1:{free_ports}",
            f"tcp://127.0.0.1:{free_ports + 1}",
        ]
        assert "(containers, linked directly)" in result.stderr
    finally:
        spot("down")


def test_doctor_finds_all_that_containers_need() -> None:
    """What CI has prepared; a finding that is wrong would send people looking."""
    document = json.loads(spot("doctor", "--json", "--backend", "docker").stdout)
    findings = {one["name"]: one for one in document["findings"]}
    assert list(findings)[:4] == ["engine", "compose", "node image", "proxy image"]
    assert all(one["there"] for one in findings.values())


def test_engine_without_compose_says_what_to_install(tmp_path: Path) -> None:
    """Debian's own docker.io is one: `docker run` works, and compose is no docker command."""
    docker_alone = tmp_path / "bin"
    docker_alone.mkdir()
    found = shutil.which("docker")
    assert found is not None
    # A Docker without plugins: the same program, with nowhere to find them.
    program = docker_alone / "docker"
    program.write_text(f'#!/bin/sh\n[ "$1" = compose ] && exit 1\nexec {found} "$@"\n')
    program.chmod(0o755)
    path = f"{docker_alone}{os.pathsep}{os.environ['PATH']}"
    result = spot("up", "two-node", "--backend", "docker", code=1, PATH=path)
    assert "an engine answers, but 'docker compose' doesn't run" in result.stderr
    result = spot("doctor", "--backend", "docker", code=1, PATH=path)
    assert "compose       missing" in result.stdout
    try:
        result = spot("up", "two-node", PATH=path)
        assert "'docker compose' doesn't run" in result.stderr
        assert "(local processes, a proxy between every pair)" in result.stderr
    finally:
        spot("down")


def test_image_that_is_missing_is_named_by_doctor_and_up() -> None:
    """Images of a registry of one's own are neither built nor pulled by the testbed."""
    missing = {"SPOT_NODE_IMAGE": "spot-no-such-node"}
    result = spot("up", "two-node", "--backend", "docker", code=1, **missing)
    assert f"no image spot-no-such-node:{__version__}" in result.stderr
    result = spot("doctor", "--backend", "docker", code=1, **missing)
    assert "can't be started: see node image" in result.stdout

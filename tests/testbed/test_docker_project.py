"""What a run is made of on containers, as far as it can be seen without an engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spot.testbed import ContainersNotStarted, PortInUse, Run, build_topology
from spot.testbed.backends import compose_project, labels
from spot.testbed.backends.compose_project import SubnetRefused
from spot.testbed.engine import Images, require_compose
from spot.testbed.engine_endpoint import EngineEndpoint
from spot.testbed.errors import ComposeMissing
from spot.testbed.process_id import ProcessId
from spot.testbed.run import RECORD_FILE, state_directory


@pytest.fixture
def run(state: Path) -> Run:
    return Run.create(
        state_directory(), build_topology("mesh"), "docker", settings={}, journal=True
    )


def engine(containers: list[dict[str, str]], subnets: tuple[str, ...] = ()) -> Any:
    """An engine with containers of these labels, which asks for the owner's label only."""

    def listed(*, filters: dict[str, list[str]], **_: object) -> list[dict[str, Any]]:
        wanted = filters["label"][1].partition("=")[2]
        return [{"Labels": one} for one in containers if one["spot.owner"] == wanted]

    def networks(filters: object = None) -> list[dict[str, Any]]:
        return [
            {"Labels": {}, "IPAM": {"Config": [{"Subnet": one}]}}
            for one in subnets
            if filters is None
        ]

    return SimpleNamespace(api=SimpleNamespace(containers=listed, networks=networks))


def orphans(*containers: dict[str, str]) -> list[str]:
    return [run_id for run_id, _ in labels.orphaned_runs(engine(list(containers)))]


def dead(run: Run) -> Run:
    """The same run, its runner killed."""
    run.runner = ProcessId(run.runner.pid, "long ago")
    run.save()
    return run


def test_run_of_a_living_runner_is_no_orphan(run: Run) -> None:
    """The worst that sweeping can do is to take a test suite's cluster away under it."""
    assert orphans(labels.labels_of(run)) == []
    (run.directory / RECORD_FILE).unlink()
    assert orphans(labels.labels_of(run)) == []


def test_run_of_a_dead_runner_is_an_orphan_unless_detached(run: Run) -> None:
    """`spot up` ends, and its cluster stays."""
    of_run = labels.labels_of(dead(run))
    assert orphans(of_run, of_run) == [run.run_id]
    run.detached = True
    run.save()
    assert orphans(of_run) == []
    (run.directory / RECORD_FILE).unlink()
    assert orphans(of_run) == [run.run_id]


def test_run_of_another_version_or_owner_is_left_alone(run: Run) -> None:
    """Nobody else's containers are touched, even if they look abandoned from here."""
    of_run = labels.labels_of(dead(run))
    assert orphans({**of_run, "spot.owner": "another user"}) == []
    path = run.directory / RECORD_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    assert orphans(of_run) == []


@pytest.mark.parametrize(
    ("output", "error", "says"),
    [
        ("Bind for 127.0.0.1:5555 failed: port is already allocated", PortInUse, "base port"),
        ("listen tcp4 127.0.0.1:1: bind: address already in use", PortInUse, "ss -ltnp"),
        ("Pool overlaps with other one on this address space", SubnetRefused, "SPOT_NETWORK"),
        ("write /x: no space left on device", ContainersNotStarted, "disk is full"),
        ("pull access denied for spot-node", ContainersNotStarted, "make images"),
        (
            'invalid mount config for type "bind": bind source path does not exist: /a:b/c',
            ContainersNotStarted,
            "does not see /a:b/c: it is another machine's",
        ),
        ("invalid mount config for type bind", ContainersNotStarted, "spot doctor"),
        ("something that nobody foresaw", ContainersNotStarted, "spot doctor"),
    ],
)
def test_refusal_of_the_engine_says_what_to_do(
    run: Run, output: str, error: type[Exception], says: str
) -> None:
    """The engine's own words name drivers and endpoints; a person needs the next step."""
    found = compose_project._refusal(run, ["Creating", output])
    assert type(found) is error
    assert says in str(found)
    assert output in str(found), "the engine's own words are still there"


def test_project_has_labels_addresses_and_no_way_to_restart(run: Run) -> None:
    """A node that a test has killed stays dead, and all that is made can be found again."""
    run.proxied = True
    subnets = tuple(f"10.213.{third}.0/24" for third in range(64, 255))
    files = compose_project.write_project(run, Images.from_env(), engine([], subnets))
    assert files.count("-f") == 3
    plain, overlay, quiet = (Path(name).read_text() for name in files[1::2])
    assert f"name: spot-{run.run_id}" in plain
    assert 'restart: "no"' in plain
    assert f'user: "{os.getuid()}:{os.getgid()}"' in plain
    assert "10.213.255." in overlay, "the only addresses that were free"
    assert overlay.count(f"spot.run: {run.run_id}") == 1 + 1 + 3
    assert quiet.count("disable: true") == 4


def test_settings_of_the_environment_reach_nodes_but_not_compose(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COMPOSE_FILE, or a port of the shipped files, would change what a run is."""
    run.settings = {"SPOT_RATE": "5"}
    monkeypatch.setenv("SPOT_RATE", "7")
    monkeypatch.setenv("SPOT_HEARTBEAT", "0.2")
    monkeypatch.setenv("SPOT_BIND", "tcp://*:1")
    monkeypatch.setenv("COMPOSE_FILE", "other.yaml")
    monkeypatch.setenv("SPOT_PORT_A", "1")
    assert compose_project._settings_of_all(run) == {"SPOT_RATE": "5", "SPOT_HEARTBEAT": "0.2"}
    environment = compose_project._environment(
        run, {"a": 4000, "toxiproxy": 4001}, EngineEndpoint({"DOCKER_HOST": "unix:///x"})
    )
    assert environment["SPOT_PORT_A"] == "4000"
    assert environment["TOXIPROXY_PORT"] == "4001"
    assert "COMPOSE_FILE" not in environment
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("version", "says"), [(None, "doesn't run"), ("2.23.3", "2.23.3, which is too old")]
)
def test_compose_that_will_not_do_is_named(
    version: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old one fails on `!override`, with a message about YAML tags."""
    monkeypatch.setattr("spot.testbed.engine.compose_version", lambda: version)
    with pytest.raises(ComposeMissing, match=says):
        require_compose()


@pytest.mark.parametrize("version", ["2.24.0", "2.26.1-4", "5.0.1"])
def test_compose_of_any_newer_version_will_do(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distributions add suffixes of their own."""
    monkeypatch.setattr("spot.testbed.engine.compose_version", lambda: version)
    assert require_compose() == version

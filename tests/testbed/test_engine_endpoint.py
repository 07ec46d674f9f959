"""The engine that is meant: the same for the docker SDK, compose and the docker command."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from threading import Thread
from typing import Any

import pytest
from docker.errors import DockerException

from spot.testbed import ContextMissing, EngineMissing, Run, build_topology
from spot.testbed.backends import compose_project
from spot.testbed.engine import connect
from spot.testbed.engine_endpoint import VARIABLES, EngineEndpoint
from spot.testbed.run import state_directory


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's files of this test alone, and none of its variables."""
    for name in (*VARIABLES, "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    directory = tmp_path / "docker"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    return directory


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    """What answers as an engine does to a ping and to the question for its version."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_ping = self.path.endswith("/_ping")
            body = b"OK" if is_ping else b'{"ApiVersion": "1.44", "Version": "of the test"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "text/plain" if is_ping else "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def address_string(self) -> str:
            return "unix"

    path = tmp_path / "engine.sock"
    with ThreadingUnixStreamServer(str(path), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"unix://{path}"
        server.shutdown()


def _make_context(config: Path, name: str, host: str, *, tls: bool = False) -> None:
    place = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / place
    meta.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(document))
    if tls:
        (config / "contexts" / "tls" / place / "docker").mkdir(parents=True)


def _use(config: Path, name: str) -> None:
    (config / "config.json").write_text(json.dumps({"currentContext": name}))


def test_current_context_is_followed(config: Path, engine: str) -> None:
    """docker<7.2 took this machine's engine, and compose the context's: half a run on each."""
    _make_context(config, "mine", engine)
    _use(config, "mine")
    endpoint = EngineEndpoint.current()
    assert (endpoint.host, endpoint.context) == (engine, "mine")
    with_client = connect()
    assert with_client.version()["Version"] == "of the test"
    with_client.close()


def test_context_of_the_environment_is_followed_without_a_config_file(
    config: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The docker command needs no config.json for DOCKER_CONTEXT; the SDK alone would."""
    _make_context(config, "mine", engine)
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    client = connect()
    assert client.version()["Version"] == "of the test"
    client.close()


@pytest.mark.parametrize(
    ("environ", "current", "host", "context"),
    [
        ({}, None, "unix:///var/run/docker.sock", None),
        ({}, "one", "unix:///one", "one"),
        ({"DOCKER_CONTEXT": "two"}, "one", "unix:///two", "two"),
        ({"DOCKER_CONTEXT": "default"}, "one", "unix:///var/run/docker.sock", None),
        ({"DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "two"}, "one", "unix:///x", None),
        ({"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, "one", "unix:///one", "one"),
    ],
)
def test_endpoint_is_the_one_of_the_docker_command(
    environ: dict[str, str], current: str | None, host: str, context: str | None, config: Path
) -> None:
    """One rule, and it is Docker's; where its command is there, it is asked."""
    for name in ("one", "two"):
        _make_context(config, name, f"unix:///{name}")
    if current:
        _use(config, current)
    given = {"DOCKER_CONFIG": str(config), **environ}
    endpoint = EngineEndpoint.current(given)
    assert (endpoint.host, endpoint.context) == (host, context)
    if shutil.which("docker"):
        asked = subprocess.run(
            ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
            env={"PATH": os.environ["PATH"], **given},
            capture_output=True,
            text=True,
            check=True,
        )
        assert asked.stdout.strip() == host


def test_compose_is_led_to_the_same_engine(
    config: Path, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    """Whatever is said meanwhile: it is found once, and compose is told."""
    _make_context(config, "mine", "unix:///mine", tls=True)
    _use(config, "mine")
    endpoint = EngineEndpoint.current()
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    monkeypatch.setenv("DOCKER_TLS", "1")
    run = Run.create(
        state_directory(), build_topology("mesh"), "docker", settings={}, journal=False
    )
    environment = compose_project._environment(run, {}, endpoint)
    of_docker = {name: text for name, text in environment.items() if name.startswith("DOCKER_")}
    keys = next((config / "contexts" / "tls").iterdir()) / "docker"
    assert of_docker == {
        "DOCKER_CONFIG": str(config),
        "DOCKER_HOST": "unix:///mine",
        "DOCKER_CERT_PATH": str(keys),
        "DOCKER_TLS_VERIFY": "1",
    }


def test_run_remembers_its_engine(state: Path) -> None:
    """'docker context use' between 'spot up' and 'spot down' must not leave containers behind."""
    run = Run.create(
        state_directory(), build_topology("mesh"), "docker", settings={}, journal=False
    )
    run.engine = {"DOCKER_HOST": "unix:///one"}
    run.save()
    assert Run.load(run.directory).engine == {"DOCKER_HOST": "unix:///one"}


@pytest.mark.parametrize("by", ["DOCKER_CONTEXT", "config.json"])
def test_context_that_does_not_exist_is_named(
    by: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK takes this machine's engine then, and the docker command refuses."""
    if by == "DOCKER_CONTEXT":
        monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    else:
        _use(config, "gone")
    with pytest.raises(ContextMissing, match="no Docker context 'gone'") as error:
        connect()
    assert by in str(error.value)
    assert "docker context ls" in str(error.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"Endpoints": {"docker": 3}}'])
def test_context_that_can_not_be_read_is_named(config: Path, content: str) -> None:
    """A half-written file is told with its path."""
    _make_context(config, "mine", "unix:///mine")
    (path,) = config.glob("contexts/meta/*/meta.json")
    path.write_text(content)
    _use(config, "mine")
    with pytest.raises(ContextMissing, match="can't be read") as error:
        EngineEndpoint.current()
    assert str(path) in str(error.value)


def test_engine_of_a_context_that_does_not_answer_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """'this machine' would send people to look at the wrong one."""
    _make_context(config, "mine", "unix:///nonexistent")
    _use(config, "mine")

    def refuse(**_: object) -> None:
        raise DockerException("Error while fetching server API version")

    monkeypatch.setattr("docker.from_env", refuse)
    with pytest.raises(EngineMissing, match="at unix:///nonexistent, of the Docker context 'mine'"):
        connect()

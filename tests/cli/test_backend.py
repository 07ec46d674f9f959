"""Which backend is taken, and what is said, where no engine answers or the wrong one does."""

import io
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException, ImageNotFound
from rich.console import Console

from spot import __version__
from spot.cli.images import build_missing_images, image_script
from spot.testbed import EngineMissing, ImageMissing, NotOurs, Run
from spot.testbed.engine import connect
from spot.testbed.run import state_directory
from tests.cli.test_command_line import spot

NOWHERE = "unix:///nonexistent/docker.sock"


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without Docker."""
    monkeypatch.delenv("BACKEND", raising=False)
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)


@pytest.fixture
def hanging_engine(tmp_path: Path) -> Iterator[str]:
    """One that accepts and never says anything."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield f"unix://{path}"


def test_processes_are_taken_with_a_line_where_no_engine_answers(no_engine: None) -> None:
    """A newcomer without Docker must get a cluster, and must not believe it is containers."""
    try:
        result = spot("up", "two-node")
        assert "no container engine answers. Using local processes" in result.stderr
        assert "(local processes, a proxy between every pair)" in result.stderr
        assert Run.all(state_directory())[0].backend == "process"
    finally:
        spot("down")


@pytest.mark.parametrize(
    ("options", "proxy"), [((), "running"), (("--proxied",), "running"), (("--direct",), None)]
)
def test_up_puts_a_proxy_between_processes_unless_told_otherwise(
    no_engine: None, options: tuple[str, ...], proxy: str | None
) -> None:
    """Faults are made through proxies, with or without Docker."""
    try:
        result = spot("up", "two-node", "--backend", "process", *options, "--json")
        document = json.loads(result.stdout)
        assert document["proxied"] is (proxy is not None)
        assert document["proxy"] == proxy
        between = "a proxy between every pair" if proxy else "linked directly"
        assert f"(local processes, {between})" in result.stderr
    finally:
        spot("down")


def test_containers_that_were_asked_for_are_not_silently_replaced(no_engine: None) -> None:
    """Who says docker means it: a test of images that ran on processes would prove nothing."""
    result = spot("up", "two-node", "--backend", "docker", code=1)
    assert f"no container engine answers at DOCKER_HOST={NOWHERE}" in result.stderr
    assert "BACKEND=process" in result.stderr
    assert Run.all(state_directory()) == []


def test_engine_that_hangs_holds_nobody_up(
    hanging_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that waits for ever is worse than no check."""
    result = spot("up", "mesh", "--backend", "docker", code=1, DOCKER_HOST=hanging_engine)
    assert "no container engine answers" in result.stderr


def test_engine_of_others_says_how_to_become_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing that most people meet after installing Docker."""

    def refuse(*_: object, **__: object) -> None:
        raise DockerException("Error while fetching server API version") from PermissionError(13)

    monkeypatch.setattr("docker.from_env", refuse)
    with pytest.raises(EngineMissing, match="usermod -aG docker"):
        connect()


def test_down_and_doctor_do_without_an_engine(no_engine: None) -> None:
    """Neither may need what it is to look for."""
    assert "no cluster is up" in spot("down").stderr
    result = spot("doctor")
    assert "engine        missing  no container engine answers" in result.stdout
    assert "'spot up' uses local processes" in result.stdout
    findings = {
        finding["name"]: finding
        for finding in json.loads(spot("doctor", "--json").stdout)["findings"]
    }
    assert findings["proxy"]["there"] is True
    assert "can't be started: see engine" in spot("doctor", "--backend", "docker", code=1).stdout


def test_doctor_looks_at_the_toxiproxy_that_is_named(no_engine: None) -> None:
    """A wrong TOXIPROXY_URL is found here rather than by a run that fails."""
    result = spot("doctor", code=1, TOXIPROXY_URL="http://127.0.0.1:9")
    assert "no Toxiproxy answers at http://127.0.0.1:9: start it, or unset" in result.stdout


def test_state_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """'Permission denied' about some path would not say what to do."""
    monkeypatch.setenv("SPOT_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NotOurs, match="SPOT_STATE_DIR names a directory of your own"):
        state_directory()


def test_doctor_has_a_row_for_a_state_directory_that_can_not_be_had(no_engine: None) -> None:
    """It is what people call when nothing works, and must work then."""
    where = {"SPOT_STATE_DIR": "", "XDG_STATE_HOME": "", "HOME": "/dev/null"}
    result = spot("doctor", "--json", code=1, **where)
    findings = {one["name"]: one for one in json.loads(result.stdout)["findings"]}
    assert findings["runs"]["there"] is False
    assert "can't be kept in /dev/null/.local/state/spot" in findings["runs"]["detail"]
    assert "SPOT_STATE_DIR" in findings["runs"]["detail"]
    for command in ("status", "down", "topics"):
        said = spot(command, code=1, **where).stderr
        assert said.startswith("spot: runs can't be kept in /dev/null/.local/state/spot")


def engine_with(*images: str) -> Any:
    """An engine that has these images and no others."""

    def get(name: str) -> SimpleNamespace:
        if name not in images:
            raise ImageNotFound(name)
        return SimpleNamespace(attrs={})

    return SimpleNamespace(images=SimpleNamespace(get=get))


def build_with(monkeypatch: pytest.MonkeyPatch, script: Path | None, client: Any) -> str:
    """What a person reads when images are built by this script."""
    monkeypatch.setattr("spot.cli.images.image_script", lambda: script)
    text = io.StringIO()
    build_missing_images(client, Console(file=text))
    return text.getvalue()


def test_missing_images_are_built_first_with_what_the_script_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of silence looks like a command that hangs."""
    script = tmp_path / "images.sh"
    script.write_text("#!/bin/sh\necho images: working\n")
    script.chmod(0o755)
    said = build_with(monkeypatch, script, engine_with("spot-toxiproxy:2.12.0"))
    assert f"building spot-node:{__version__} first, as 'make images' does" in said
    assert "images: working" in said
    script.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ImageMissing, match="BACKEND=process needs no images"):
        build_with(monkeypatch, script, engine_with())


def test_images_are_left_alone_where_they_are_there_or_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package has no sources to build images of; one with images needs none."""
    assert image_script() == Path(__file__).parents[2] / "scripts" / "images.sh"
    both = engine_with(f"spot-node:{__version__}", "spot-toxiproxy:2.12.0")
    assert build_with(monkeypatch, tmp_path / "never-run", both) == ""
    with pytest.raises(ImageMissing, match="'make images' builds them in a clone"):
        build_with(monkeypatch, None, engine_with())
    monkeypatch.setenv("SPOT_NODE_IMAGE", "registry.example/spot-node")
    with pytest.raises(ImageMissing, match=r"registry\.example/spot-node:0\.1\.0"):
        build_with(monkeypatch, tmp_path / "never-run", engine_with())

"""The compose files as text. What they do on an engine is in tests/containers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spot import __version__
from spot.testbed import NodeSpec, Topology, UnknownTopology, build_topology
from spot.testbed.compose import (
    VERSIONS,
    ComposeOptions,
    compose_file,
    file_stem,
    proxied_overlay,
    proxies_file,
    write_files,
)
from spot.testbed.edges import edges

ROOT = Path(__file__).parents[2]
SHIPPED = ("two-node", "mesh", "hub-spoke")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_what_is_written_for_the_default_size(name: str, tmp_path: Path) -> None:
    """Other sizes are generated: they look like the shipped ones only if those are, too."""
    write_files(build_topology(name), tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [f"{name}.proxied.yaml", f"{name}.proxies.json", f"{name}.yaml"]
    for file in written:
        assert (ROOT / "compose" / file).read_text() == (tmp_path / file).read_text(), (
            f"compose/{file} is out of date: python -m spot.testbed.compose {name} --into compose"
        )


def test_versions_say_the_same_wherever_they_stand() -> None:
    """An image of one version, started by files of another, fails far from its cause."""
    env = (ROOT / "compose" / ".env").read_text()
    assert dict(re.findall(r"^(\w+_VERSION)=(.+)$", env, re.MULTILINE)) == VERSIONS
    assert VERSIONS["SPOT_VERSION"] == __version__
    for file in ("images/node/README.md", "examples/raw_pyzmq_node/Dockerfile"):
        said = re.findall(r"(?:spot-node:|VERSION=)(\d[\d.]*\w*)", (ROOT / file).read_text())
        assert set(said) == {__version__}, f"{file} is out of date: run scripts/version.sh"
    dockerfile = (ROOT / "images" / "toxiproxy" / "Dockerfile").read_text()
    assert f":{VERSIONS['TOXIPROXY_VERSION']}\n" in dockerfile


def test_one_command_writes_the_version_wherever_it_stands(tmp_path: Path) -> None:
    """A release that forgets one of the files would be started from the images of the last."""
    files = {
        "spot/__init__.py": '"""SPOT."""\n\n__version__ = "0.1.0"\n',
        "compose/.env": "#A=0.1.0\nSPOT_VERSION=0.1.0\nTOXIPROXY_VERSION=0.1.0\n",
        "images/node/README.md": "spot-node:0.1.0 VERSION=0.1.0 `spot-node:0.1.0`\n",
        "examples/raw_pyzmq_node/Dockerfile": "ARG IMAGE=spot-node:0.1.0\n",
    }
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    script = tmp_path / "scripts" / "version.sh"
    script.parent.mkdir()
    shutil.copy(ROOT / "scripts" / "version.sh", script)
    subprocess.run([script, "0.2.0rc1"], check=True)
    for file, text in files.items():
        expected = text.replace("0.1.0", "0.2.0rc1")
        if file == "compose/.env":
            expected = "#A=0.1.0\nSPOT_VERSION=0.2.0rc1\nTOXIPROXY_VERSION=0.1.0\n"
        assert (tmp_path / file).read_text() == expected
    assert subprocess.run([script, "next"], check=False, stderr=subprocess.DEVNULL).returncode == 2


def test_every_variable_of_the_files_is_explained_in_env() -> None:
    """`.env` is the one place where a user looks for what can be set."""
    env = (ROOT / "compose" / ".env").read_text()
    explained = set(re.findall(r"^#?(\w+)=", env, re.MULTILINE))
    used = {
        variable
        for path in (ROOT / "compose").glob("*.yaml")
        for variable in re.findall(r"\$\{(\w+)", path.read_text())
    }
    assert used == explained


def test_every_pair_that_dials_has_one_proxy_and_one_dialler() -> None:
    """Two ways between a pair would let one fault leave the other way open."""
    topology = build_topology("mesh", 5)
    proxies = json.loads(proxies_file(topology))
    assert len(proxies) == len(topology.links) == 10
    assert len({proxy["listen"] for proxy in proxies}) == 10
    overlay = proxied_overlay(topology)
    for edge, proxy in zip(edges(topology), proxies, strict=True):
        assert proxy["upstream"] == f"{edge.listener}:5555"
        assert overlay.count(f"tcp://toxiproxy:{edge.port}") == 1


def test_node_that_only_dials_is_dialled_by_nobody() -> None:
    """It has no port: an edge towards it would never come up."""
    topology = Topology("nat", (NodeSpec("inside", peers=("out",), binds=False), NodeSpec("out")))
    (edge,) = edges(topology)
    assert (edge.dialler, edge.listener) == ("inside", "out")
    plain = compose_file(topology)
    assert 'SPOT_BIND: ""' in plain
    assert plain.count("ports:") == 1


def test_values_of_the_caller_reach_the_container_as_they_are() -> None:
    """Compose would put variables in, and YAML would make numbers and booleans of texts."""
    text = compose_file(
        build_topology("two-node"),
        ComposeOptions(
            project="run-1",
            settings={"SPOT_LOG_LEVEL": "debug", "SPOT_RATE": "1e3", "NOTE": 'no "$HOME"'},
            node_settings={"b": {"SPOT_TOPICS": "on"}},
            labels={"spot.run": "yes"},
            mounts={"/data": "/tmp/$x: y"},
            user="1000:1000",
            restart="no",
        ),
    )
    for line in (
        "name: run-1",
        "  SPOT_LOG_LEVEL: debug",
        '  SPOT_RATE: "1e3"',
        r'  NOTE: "no \"$$HOME\""',
        '      SPOT_TOPICS: "on"',
        '      spot.run: "yes"',
        "    - type: bind",
        '      source: "/tmp/$$x: y"',
        '      target: "/data"',
        "      bind: {create_host_path: false}",
        '  user: "1000:1000"',
        '  restart: "no"',
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("name", ["toxiproxy", "a b", "-a", ""])
def test_node_name_that_no_container_can_have_is_refused(name: str) -> None:
    """Compose's own message would name a line of a file that the user has never seen."""
    with pytest.raises(UnknownTopology, match="can't be called"):
        compose_file(Topology("own", (NodeSpec(name),)))


def test_other_sizes_have_names_of_their_own() -> None:
    """A generated file must not replace a shipped one by accident."""
    assert file_stem(build_topology("mesh", 3)) == "mesh"
    assert file_stem(build_topology("mesh", 7)) == "mesh-7"
    assert file_stem(build_topology("hub-spoke", 5)) == "hub-spoke-5"


def test_command_writes_the_files_of_any_size(tmp_path: Path) -> None:
    """It is how a user gets the compose files of a larger cluster."""
    command = [sys.executable, "-m", "spot.testbed.compose", "mesh", "--into", str(tmp_path)]
    subprocess.run([*command, "--nodes", "4"], check=True, cwd=ROOT)
    assert (tmp_path / "mesh-4.yaml").exists()
    refused = subprocess.run(
        [*command, "--nodes", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "2 to 200 nodes" in refused.stderr


def test_scripts_are_valid_shell() -> None:
    """They run on machines where nothing else is installed yet, and where nobody looks."""
    bash = shutil.which("bash")
    assert bash is not None
    for script in ("engine.sh", "images.sh"):
        subprocess.run([bash, "-n", str(ROOT / "scripts" / script)], check=True)

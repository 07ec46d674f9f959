import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from spot import Config, __version__
from spot.cli.group import COMMANDS, cli
from spot.cli.node import NODE_OPTIONS, PROGRAM_OPTIONS
from spot.program.settings import PROGRAM_VARIABLES

ROOT = Path(__file__).parents[2]

HEAVY = {"docker", "h11", "jinja2", "requests", "rich", "toxiproxy", "vl_convert", "yaml", "zmq"}
"""Packages that take long to import."""
COMPLETING = {"_SPOT_COMPLETE": "bash_complete", "COMP_WORDS": "spot st", "COMP_CWORD": "1"}


def spot(*arguments: str, code: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user does, and checks its exit code and that no traceback came."""
    result = subprocess.run(
        [sys.executable, "-m", "spot", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == code, result
    assert "Traceback" not in result.stderr
    return result


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help(command: str) -> None:
    """Help is the first thing anyone asks a command for."""
    result = CliRunner().invoke(cli, [*command.split(), "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    if not command:
        for name, text in COMMANDS.items():
            assert re.search(rf"\n  {name} +{re.escape(text)}\n", result.output), name


@pytest.mark.parametrize(
    ("arguments", "settings", "needed"),
    [
        (("--help",), {}, set()),
        (("--version",), {}, set()),
        (("status",), {}, set()),
        (("node", "--help"), {}, set()),
        ((), COMPLETING, set()),
        (("doctor",), {}, {"docker", "requests", "toxiproxy"}),
    ],
)
def test_command_imports_no_heavy_package_that_it_does_not_need(
    arguments: tuple[str, ...], settings: dict[str, str], needed: set[str], tmp_path: Path
) -> None:
    """Help took a second of CPU when it imported all commands, and each press of Tab did too."""
    script = (
        "import atexit, sys\n"
        f"sys.argv = {['spot', *arguments]!r}\n"
        "atexit.register(lambda: print('modules', *sys.modules))\n"
        "from spot.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SPOT_STATE_DIR": str(tmp_path),
            **settings,
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    modules = result.stdout.rpartition("modules ")[2].split()
    assert "spot.cli.group" in modules, result
    assert HEAVY & set(modules) <= needed
    assert "spot.node" not in modules


def test_node_has_an_option_for_every_setting() -> None:
    """A setting that was added to the library and forgotten here could not be used from a shell."""
    assert set(NODE_OPTIONS) == {field.name for field in fields(Config)}
    assert {f"SPOT_{name.upper()}" for name in PROGRAM_OPTIONS} == set(PROGRAM_VARIABLES)


@pytest.mark.parametrize(
    "arguments",
    [
        ("up",),
        ("up", "ring"),
        ("up", "mesh", "--nodes", "1"),
        ("up", "two-node", "--nodes", "5"),
        ("up", "mesh", "--backend", "cloud"),
        ("up", "mesh", "--rate", "-1"),
        ("down", "mesh", "--all"),
        ("completion", "tcsh"),
        ("subscribe", "t", "--count", "0"),
        ("node", "--topics", "a,b"),
        ("node", "--publish", " a"),
        ("node", "--cluster", "ipc:///a,b"),
        ("topics", "--on", "ring"),
        ("topics", "--on", "mesh", "--peer", "tcp://127.0.0.1:9"),
        ("dance",),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    """As everywhere; scripts tell a typing mistake from a cluster that failed by it."""
    assert "Usage:" in spot(*arguments, code=2).stderr


def test_backend_variable_that_is_unknown_is_wrong_usage() -> None:
    """BACKEND comes from Makefiles and CI, where a misspelt one must not start something else."""
    result = spot("up", "mesh", code=2, BACKEND="dokcer")
    assert "dokcer" in result.stderr
    assert "process" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("logs",),
        ("topics",),
        ("publish", "t", "x"),
        ("subscribe", "t"),
        ("status", "mesh"),
    ],
)
def test_commands_without_a_cluster_say_how_to_start_one(arguments: tuple[str, ...]) -> None:
    """A newcomer tries them in any order."""
    assert "spot up mesh" in spot(*arguments, code=1).stderr


def test_down_without_a_cluster_is_no_error() -> None:
    """Clean-up steps run it unconditionally."""
    assert "no cluster is up" in spot("down").stderr
    assert "mesh is not up" in spot("down", "mesh").stderr
    assert json.loads(spot("down", "--json").stdout) == {"down": [], "swept": []}


def test_version_is_shown() -> None:
    """What every bug report asks for."""
    assert spot("--version").stdout == f"spot {__version__}\n"


@pytest.mark.parametrize("package", ["click", "rich"])
def test_missing_extra_is_named_with_what_to_install(package: str) -> None:
    """`pip install spot-cluster` alone has the command, but not what it needs."""
    script = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['spot', 'down']\n"
        "import spot.cli; spot.cli.main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert "pip install 'spot-cluster[testbed]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_for_the_spot_command(shell: str) -> None:
    """A script for another name would do nothing, silently."""
    assert "_SPOT_COMPLETE" in spot("completion", shell).stdout


def test_completion_knows_commands_and_topologies() -> None:
    """Loading commands lazily must not hide them from the shell."""
    script = "from spot.cli import main; main()"
    for words, expected in (("spot st", "status"), ("spot up hu", "hub-spoke")):
        result = subprocess.run(
            [sys.executable, "-c", script],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "_SPOT_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert expected in result.stdout, result

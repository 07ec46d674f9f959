"""What may be imported, and what importing it brings along."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

import spot

PACKAGE = Path(spot.__file__).parent
CORE_FILES = sorted((PACKAGE / "core").rglob("*.py"))
PUBLIC_MODULES = ("config", "errors", "message", "node", "timeout")
NOT_IN_CORE = {"zmq", "socket", "time", "random", "threading", "select", "os"}


def test_public_names_are_those_of_the_submodules() -> None:
    """A name that one file makes public and the package forgets can't be found by users."""
    names = [
        name
        for module in PUBLIC_MODULES
        for name in importlib.import_module(f"spot.{module}").__all__
    ]
    assert sorted(spot.__all__) == sorted(names)
    assert len(set(spot.__all__)) == len(spot.__all__)


def test_public_names_exist() -> None:
    """`from spot import *` must not fail."""
    for name in spot.__all__:
        assert getattr(spot, name) is not None


def test_public_names_are_documented() -> None:
    """help() is the first place where a user looks; for a type alias, the line below it."""
    below: dict[str, str] = {}
    for module in PUBLIC_MODULES:
        body = ast.parse((PACKAGE / f"{module}.py").read_text()).body
        for line, after in itertools.pairwise(body):
            if isinstance(line, ast.AnnAssign) and isinstance(after, ast.Expr):
                below[ast.unparse(line.target)] = str(ast.literal_eval(after.value))
    for name in spot.__all__:
        value = getattr(spot, name)
        assert inspect.getdoc(value) if inspect.isclass(value) else below.get(name), name


@pytest.mark.parametrize("module", ["spot", "spot.aio"])
def test_import_brings_pyzmq_and_the_standard_library_only(module: str) -> None:
    """`pip install spot-cluster` installs pyzmq alone: any other import fails for its users."""
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        f"import {module}\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    brought = set(result.stdout.split())
    ours = {"spot", "zmq"}
    # Cython's runtime registers itself under names of its own; it is part of pyzmq's wheel.
    foreign = {
        name
        for name in brought - ours - set(sys.stdlib_module_names)
        if not name.startswith(("_cython", "cython_runtime"))
    }
    assert foreign == set()


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: path.stem)
def test_core_imports_no_clock_socket_or_thread(path: Path) -> None:
    """The simulated network runs the core on its own time and bytes: it must not find others."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name.partition(".")[0] for name in imported} & NOT_IN_CORE == set()


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: path.stem)
def test_core_imports_from_spot_only_what_is_pure(path: Path) -> None:
    """Imports point downwards: a core that knows the driver can't be run without it."""
    pure = {"spot.config", "spot.errors", "spot.message", "spot.names", "spot.core"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spot"):
            assert ".".join((node.module or "").split(".")[:2]) in pure, ast.unparse(node)


def test_core_was_found() -> None:
    """The two tests above pass on an empty list."""
    assert len(CORE_FILES) > 5

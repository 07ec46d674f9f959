"""Who imports whom in ``spot/``, and which names its classes have.

Imports are read from the source, so those for type checkers and those in functions count, too.
"""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import spot

PACKAGE = Path(spot.__file__).parent

PUBLIC_MODULES = ("spot", "spot.aio", "spot.config", "spot.errors", "spot.message", "spot.node")
"""Where the public names are found. Each lists its own in ``__all__``."""

PROGRAM_CONTRACT = {
    ("spot.program.commands", "FIELDS"),
    ("spot.program.control", "ask"),
    ("spot.program.health", "ask_status"),
    ("spot.program.settings", "JOURNAL_NONE"),
    ("spot.program.settings", "PROGRAM_VARIABLES"),
    ("spot.program.settings", "variable_text"),
}
"""What the testbed takes from the node program. ``docs/journal.md`` describes it for programs of
other people, so the testbed may know nothing else of the program.
"""

SETTINGS_AS_TEXT = {
    ("spot.config", "join_list"),
    ("spot.config", "scalar_text"),
    ("spot.config", "setting_text"),
    ("spot.config", "split_list"),
    ("spot.names", "check_topic"),
}
"""How a setting becomes the text of its variable, and back. The library, the program and the
testbed must do that alike, so all layers may use it.
"""

LAYERS = {
    "spot.cli": ("spot.testbed", "spot.program"),
    "spot.testbed": (),
    "spot.program": (),
}
"""The layers above the library, the highest first, and the layers that each may import whole.

All three may import the library's public names and ``SETTINGS_AS_TEXT``, and the testbed the
program's contract.
"""

START = "spot.__main__"
"""The one module of the library that imports the commands: ``python -m spot`` starts them."""

KNOWN_CIRCLES: list[set[str]] = []
"""Circles that still have to be broken up. Nothing may be added here."""

LIBRARY_LAYERS = (
    ("spot.errors", "spot.names", "spot.endpoint", "spot.message", "spot.timeout", "spot.config"),
    ("spot.core.wire",),
    ("spot.core.counters", "spot.core.link", "spot.core.effects", "spot.core.context"),
    ("spot.core.topics",),
    ("spot.core.data",),
    ("spot.core.relay",),
    ("spot.core.membership",),
    ("spot.core.dispatch", "spot.core.node"),
    ("spot.transport",),
    ("spot.runtime",),
    ("spot.calls",),
    ("spot.node",),
    ("spot.aio",),
)
"""The layers of the library, the lowest first: each imports its own, and those before it."""

PARTS = ("spot.core", "spot.runtime")
"""Packages whose classes get one another by their constructors, and inherit from none."""
BASES = {"Protocol", "NamedTuple", "Enum", "IntEnum", "Generic", "TypedDict", "Exception"}
"""What a class there may inherit from."""

SAME_NAMES = {
    "Spot": {"spot.aio", "spot.node"},
    "_Messages": {"spot.aio", "spot.calls.receiving"},
}
"""Class names that stand more than once: ``spot.aio`` mirrors the calls on purpose."""


class Import(NamedTuple):
    """A module, or a name in a module."""

    module: str
    name: str | None = None
    """None: the module as a whole."""


def modules() -> dict[str, str]:
    """The source of each module of ``spot/``, by the module's name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


SOURCES = modules()


def imports(source: str) -> Iterator[Import]:
    """What of ``spot`` a module imports, anywhere in its source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if is_in(alias.name, "spot"):
                    yield Import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import can't be judged: {ast.unparse(node)}"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                if whole in SOURCES:
                    yield Import(whole)
                elif is_in(module, "spot"):
                    yield Import(module, alias.name)


def is_in(module: str, package: str) -> bool:
    """Whether a module is this package, or stands in it."""
    return module == package or module.startswith(f"{package}.")


def layer_of(module: str) -> str | None:
    """The layer that a module belongs to. None: the library."""
    return next((layer for layer in LAYERS if is_in(module, layer)), None)


def is_public(wanted: Import) -> bool:
    """Whether this is a name for users of the library, or the package itself."""
    if wanted.name is None:
        return wanted.module in ("spot", "spot.aio")
    if wanted.module not in PUBLIC_MODULES:
        return False
    if wanted.name == "__version__":
        return True
    return wanted.name in importlib.import_module(wanted.module).__all__


def may_import(module: str, wanted: Import) -> bool:
    """Whether the layers allow this module to import that."""
    mine, theirs = layer_of(module), layer_of(wanted.module)
    if mine is None:
        return theirs is None or module == START
    if theirs == mine or theirs in LAYERS[mine]:
        return True
    if is_public(wanted) or wanted in SETTINGS_AS_TEXT:
        return True
    return mine == "spot.testbed" and wanted in PROGRAM_CONTRACT


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The groups of modules of which each imports each, directly or by way of others."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        left = [start]
        while left:
            new = graph.get(left.pop(), set()) - found
            found |= new
            left += new
        return found

    behind = {module: reached(module) for module in graph}
    groups = {
        frozenset(other for other in behind[module] if module in behind.get(other, ()))
        for module in graph
        if module in behind[module]
    }
    return sorted(map(set, groups), key=sorted)


def class_names(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules in which each class name stands."""
    found = defaultdict(set)
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found[node.name].add(module)
    return dict(found)


@pytest.mark.parametrize("module", SOURCES)
def test_module_imports_only_what_its_layer_may(module: str) -> None:
    """The testbed judges the library from outside: what it takes from inside can't be judged."""
    wrong = [one for one in imports(SOURCES[module]) if not may_import(module, one)]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("spot.testbed.status", "from spot.core.topics.patterns import Pattern"),
        ("spot.testbed.status", "from spot.core.topics import patterns"),
        ("spot.testbed.status", "import spot.core.link"),
        ("spot.testbed.status", "from spot.config import ENV_PREFIX"),
        ("spot.testbed.status", "from spot.program.recorder import Recorder"),
        ("spot.testbed.status", "from spot.cli.group import cli"),
        ("spot.testbed.status", "if TYPE_CHECKING:\n    from spot.core.link import Link"),
        ("spot.testbed.status", "def f() -> None:\n    from spot.core.link import Link"),
        ("spot.program.run", "from spot.testbed import Cluster"),
        ("spot.program.run", "from spot.names import check_word"),
        ("spot.cli.status", "from spot.runtime.threads import Driver"),
        ("spot.core.link", "from spot.program.payload import counter_of"),
        ("spot.node", "from spot import cli"),
    ],
)
def test_import_of_a_wrong_layer_is_found(module: str, line: str) -> None:
    """A check that finds nothing would let every import pass."""
    assert not all(may_import(module, one) for one in imports(line))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("spot.testbed.status", "import spot"),
        ("spot.testbed.status", "from spot import Config, InvalidArgument"),
        ("spot.testbed.status", "from spot.errors import InvalidArgument"),
        ("spot.testbed.status", "from spot.program.control import ask"),
        ("spot.cli.status", "from spot.testbed.cluster import Cluster"),
        ("spot.cli.node", "from spot.program.run import run"),
        ("spot.__main__", "from spot.cli import main"),
    ],
)
def test_import_of_a_lower_layer_is_allowed(module: str, line: str) -> None:
    """A check that forbids everything would say nothing about layers."""
    assert list(imports(line))
    assert all(may_import(module, one) for one in imports(line))


def library_layer(module: str) -> int | None:
    """The number of the library layer that a module belongs to; None for the package itself."""
    for number, layer in enumerate(LIBRARY_LAYERS):
        if any(is_in(module, package) for package in layer):
            return number
    return None


def imports_upwards(module: str, source: str) -> list[Import]:
    """What a module of the library imports of a layer above its own."""
    mine = library_layer(module)
    if mine is None:
        return []
    return [one for one in imports(source) if (library_layer(one.module) or 0) > mine]


@pytest.mark.parametrize("module", [name for name in SOURCES if layer_of(name) is None])
def test_library_imports_point_downwards(module: str) -> None:
    """A part that knows what stands above it can't be understood, or tested, without that."""
    assert imports_upwards(module, SOURCES[module]) == []


def test_every_module_of_the_library_has_a_layer() -> None:
    """A module without a layer would escape the test above."""
    without = {name for name in SOURCES if layer_of(name) is None and library_layer(name) is None}
    assert without == {"spot", "spot.core", START}


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("spot.core.link", "from spot.core.topics.registry import Registry"),
        ("spot.core.wire.codec", "from spot.core.link import Link"),
        ("spot.core.data.replay", "from spot.core.relay.fetch import Fetch"),
        ("spot.core.node", "from spot.runtime.threads import Driver"),
        ("spot.config", "if TYPE_CHECKING:\n    from spot.core.link import Link"),
    ],
)
def test_import_upwards_is_found(module: str, line: str) -> None:
    """A check that finds nothing would let every import pass."""
    assert imports_upwards(module, line)


def inherited(source: str) -> list[str]:
    """The classes of a module that inherit from something else than the usual bases."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
            if bases - BASES:
                found.append(node.name)
    return found


@pytest.mark.parametrize("module", [name for name in SOURCES if name.startswith(PARTS)])
def test_parts_are_composed(module: str) -> None:
    """A base that calls its subclasses, or the other way round, can't be read by itself."""
    assert inherited(SOURCES[module]) == []
    assert "NotImplementedError" not in SOURCES[module]


def test_inheritance_is_found() -> None:
    """Also that from a class of another module."""
    assert inherited("class A: ...\nclass B(A): ...\nclass C(link.Link): ...") == ["B", "C"]


def test_imports_have_no_circles_but_the_known_ones() -> None:
    """Of modules in a circle none can be understood, tested or moved without the others."""
    graph = {name: {one.module for one in imports(text)} for name, text in SOURCES.items()}
    assert circles(graph) == KNOWN_CIRCLES, "add none, and delete from the list what is gone"


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [{"a", "b"}]),
        (
            {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"d"}},
            [{"a", "b", "c"}, {"d", "e"}],
        ),
        ({"a": {"a"}}, [{"a"}]),
    ],
)
def test_circle_is_found(graph: dict[str, set[str]], found: list[set[str]]) -> None:
    """Also one that leads over several modules; and a module that leads to one is not in it."""
    assert circles(graph) == found


def test_classes_have_names_of_their_own() -> None:
    """Who searches for a class must not find another of the same name."""
    found = {name: where for name, where in class_names(SOURCES).items() if len(where) > 1}
    assert found == SAME_NAMES, "add none, and delete from the list what is gone"


def test_class_name_that_stands_twice_is_found() -> None:
    """Also that of a class within a function or another class."""
    sources = {"a": "class One: ...", "b": "def f():\n    class One: ...", "c": "class Two: ..."}
    assert class_names(sources) == {"One": {"a", "b"}, "Two": {"c"}}


def test_modules_were_found() -> None:
    """The tests above pass on an empty list."""
    assert {"spot", "spot.core.link", "spot.testbed.report.page"} < set(SOURCES)

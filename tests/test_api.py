"""The public calls: the same for threads and asyncio, documented in full, with closed lists."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from spot import Event, EventKind, PeerState, Spot, aio
from spot.runtime import event_log
from spot.testbed.journal import KINDS
from tests.test_readme import ROOT, rows

CORE_FILES = sorted((ROOT / "spot" / "core").rglob("*.py"))
BY_NAME = {"self", "settings"}
ASYNC = {"Iterator": "AsyncIterator", "Generator[Event, None, None]": "AsyncGenerator[Event, None]"}


def public_calls(cls: type) -> dict[str, Any]:
    """The calls of a node, those without a name of their own included."""
    iterations = ("__iter__", "__aiter__")
    return {
        name.replace("__aiter__", "__iter__"): inspect.unwrap(call)
        for name in dir(cls)
        if (not name.startswith("_") or name in iterations)
        and inspect.isfunction(call := getattr(cls, name))
    }


SYNC_CALLS = public_calls(Spot)
AIO_CALLS = public_calls(aio.Spot)
BOTH = [
    pytest.param(call, name, id=f"{where}-{name}")
    for where, calls in (("sync", SYNC_CALLS), ("aio", AIO_CALLS))
    for name, call in sorted(calls.items())
]


def entries(call: Callable[..., Any], section: str) -> dict[str, str]:
    """What a docstring says under ``Args:`` or ``Raises:``, by argument or error."""
    text = inspect.getdoc(call) or ""
    found: dict[str, str] = {}
    name = ""
    for line in text.partition(f"\n{section}:\n")[2].split("\n\n")[0].splitlines():
        if match := re.match(r"    (\w+): (.*)", line):
            name = match[1]
            found[name] = match[2]
        else:
            found[name] += " " + line.strip()
    return found


def named_errors() -> dict[str, set[str]]:
    """The errors that the README's table of calls names, by call."""
    table = {
        name: set(re.findall(r"`([A-Z]\w+)`", row[2]))
        for row in rows("Calls")
        for name in re.findall(r"`(\w+)\(", row[0])
    }
    table["publish_many"] = table["publish"]
    return table


def test_asyncio_has_the_calls_of_threads() -> None:
    """A program that changes over finds each call again. The loop alone uses the descriptor."""
    assert set(AIO_CALLS) == set(SYNC_CALLS) - {"fileno"}


@pytest.mark.parametrize("name", sorted(AIO_CALLS))
def test_asyncio_takes_and_returns_what_threads_do(name: str) -> None:
    """A type checker and an IDE say the same of both: names, kinds, defaults and annotations."""
    sync, other = (inspect.signature(calls[name]) for calls in (SYNC_CALLS, AIO_CALLS))
    assert other.parameters == sync.parameters
    returned = str(sync.return_annotation)
    if not inspect.iscoroutinefunction(AIO_CALLS[name]):
        for plain, asynchronous in ASYNC.items():
            returned = returned.replace(plain, asynchronous)
    assert str(other.return_annotation) == returned
    assert "Any" not in f"{sync} {other}"


@pytest.mark.parametrize(("call", "name"), BOTH)
def test_docstring_describes_each_argument(call: Callable[..., Any], name: str) -> None:
    """help() says for each argument its unit, its default, and what None and 0 mean."""
    described = entries(call, "Args")
    parameters = dict(inspect.signature(call).parameters)
    del parameters["self"]
    assert list(described) == list(parameters)
    for parameter, given in parameters.items():
        said = described[parameter]
        if given.default is not given.empty:
            assert re.search(r"[Dd]efault", said), parameter
        if "None" in str(given.annotation) or parameter == "timeout":
            assert "None" in said, parameter
            assert re.search(r"\b0\b", said), parameter
        if parameter in ("last", "count"):
            assert re.search(r"\b0: ", said), parameter
        if parameter == "timeout":
            assert said.startswith("Seconds "), parameter


@pytest.mark.parametrize(("call", "name"), BOTH)
def test_docstring_says_what_is_returned_and_raised(call: Callable[..., Any], name: str) -> None:
    """What a caller has to catch stands in help(), as in the README's table of calls."""
    text = inspect.getdoc(call) or ""
    summary = text.partition("\n\n")[0]
    assert re.search(r"\w\.$", summary), summary
    if inspect.signature(call).return_annotation != "None":
        assert "\nReturns:\n    " in text
    raised = entries(call, "Raises")
    for error in named_errors().get(name, ()):
        assert error in raised or (name == "fileno" and error in text), error
    if "timeout" in inspect.signature(call).parameters:
        assert "InvalidArgument" in raised


def test_docstring_of_each_waiting_call_says_what_cancelling_leaves() -> None:
    """Each call that takes a timeout may be cancelled in the middle instead."""
    for name, call in AIO_CALLS.items():
        if "timeout" in inspect.signature(call).parameters:
            assert "cancelled" in (inspect.getdoc(call) or ""), name


def test_properties_are_the_same_and_documented() -> None:
    """They are part of the interface as the calls are."""
    found = [
        {
            name: value.fget.__annotations__
            for name, value in inspect.getmembers(cls, lambda value: isinstance(value, property))
            if value.__doc__
        }
        for cls in (Spot, aio.Spot)
    ]
    assert found[0] == found[1]
    assert set(found[0]) == {"closed", "config", "endpoints", "node_id"}


def test_data_classes_say_what_each_field_is() -> None:
    """An IDE shows the line under a field; ``sent_bytes`` alone says little."""
    for path in ("message", "config", "errors"):
        tree = ast.parse((ROOT / "spot" / f"{path}.py").read_text())
        for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            for at, line in enumerate(cls.body):
                name = line.target.id if isinstance(line, ast.AnnAssign) else None  # type: ignore[union-attr]
                after = cls.body[at + 1] if at + 1 < len(cls.body) else None
                if name is not None:
                    assert isinstance(after, ast.Expr), f"{cls.name}.{name}"
                    assert isinstance(after.value, ast.Constant), f"{cls.name}.{name}"


def told_kinds(path: Path) -> set[str]:
    """The kinds of the events that a file of the core makes."""
    kinds: set[str] = set()
    tree = ast.parse(path.read_text())
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) != "Event":
            continue
        kind = call.args[0]
        values: list[ast.expr] = [kind]
        if isinstance(kind, ast.Name):
            values = [
                value
                for line in ast.walk(tree)
                if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == kind.id
                for value in ast.walk(line.value or kind)
                if isinstance(value, ast.Constant)
            ]
        assert values, ast.unparse(call)
        kinds |= {ast.literal_eval(value) for value in values}
    return kinds


def test_event_kinds_are_those_that_the_core_tells() -> None:
    """A kind that is never told misleads; the type checker finds one that is not listed."""
    told = set().union(*map(told_kinds, CORE_FILES))
    assert told == set(get_args(EventKind))


def test_event_kinds_have_a_level_a_record_and_a_line_in_the_docs() -> None:
    """Each list that can't be derived names every kind, so that no event goes by unseen."""
    kinds = set(get_args(EventKind))
    assert set(event_log.LEVELS) == kinds
    assert kinds < set(KINDS)
    pages = [page.read_text() for page in (ROOT / "docs").glob("*.md")]
    (page,) = [page for page in pages if "| `dial_failed` |" in page]
    above, below = page.split("| `dial_failed` |")
    table = above.rpartition("\n\n")[2] + "| `dial_failed` |" + below.partition("\n\n")[0]
    named = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(named))) == kinds
    doc = inspect.getdoc(Event) or ""
    assert re.findall(r'^- ``"(\w+)"``:', doc, re.MULTILINE) == list(get_args(EventKind))


def test_peer_states_are_described() -> None:
    """A program that shows peers has to know all states."""
    text = (ROOT / "spot" / "message.py").read_text()
    described = text.partition("    state: PeerState\n")[2].partition("    rtt:")[0]
    assert re.findall(r'``"(\w+)"``', described) == list(get_args(PeerState))

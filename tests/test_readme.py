"""The README's tables, held to the code that they describe."""

from __future__ import annotations

import errno
import re
from dataclasses import fields
from pathlib import Path

import pytest

import spot
from spot import Config, Spot, SpotError

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its own two header lines."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_settings_are_those_of_config() -> None:
    """An operator configures by this table: each setting, its variable, its default."""
    table = {row[0].strip("`"): row for row in rows("Settings")}
    assert list(table) == [item.name for item in fields(Config)]
    for item in fields(Config):
        _, variable, default, _ = table[item.name]
        assert variable == f"`SPOT_{item.name.upper()}`"
        if isinstance(item.default, int | float):
            assert float(default) == item.default, item.name
        elif isinstance(item.default, str):
            assert default == f"`{item.default}`"


def test_settings_of_the_environment_are_read() -> None:
    """A variable that the table names and nobody reads would be a trap."""
    words = {"node_id": "n", "cluster_name": "c", "overflow": "error", "log_level": "debug"}
    lists = {
        "bind": "tcp://*:1",
        "cluster": "tcp://h:1",
        "members": "a",
        "topics": "t",
        "subscribe": "t*",
    }
    assert Config.from_env({"SPOT_REQUIRE_QUORUM": "1", "SPOT_MEMBERS": "a,b"}).require_quorum
    for name in (item.name for item in fields(Config) if item.type != "bool"):
        text = words.get(name) or lists.get(name) or "3"
        value = getattr(Config.from_env({f"SPOT_{name.upper()}": text}), name)
        assert value == (text if name in words else (text,) if name in lists else 3), name


def test_errors_are_those_of_the_library() -> None:
    """What one may catch, and the errno that stands beside it."""
    table = {row[0].strip("`"): row[1] for row in rows("Errors")}
    classes = {
        name: value
        for name in spot.__all__
        if isinstance(value := getattr(spot, name), type) and issubclass(value, SpotError)
    }
    del classes["SpotError"]
    # Some numbers have two names.
    codes = {name: getattr(errno, code) for name, code in table.items()}
    assert codes == {name: value.code for name, value in classes.items()}


def test_calls_are_those_of_spot() -> None:
    """A call that the table lacks won't be found; one that it invents can't be called."""
    named = set(re.findall(r"`(\w+)\(", " ".join(row[0] for row in rows("Calls"))))
    public = {
        name for name in dir(Spot) if not name.startswith("_") and callable(getattr(Spot, name))
    }
    assert named == public


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A reader who follows a link into nothing does not follow the next one."""
    text = page.read_text()
    anchors = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target

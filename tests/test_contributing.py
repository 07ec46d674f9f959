"""CONTRIBUTING.md names files and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_files_of_the_recipes_exist() -> None:
    """A recipe that names a file of long ago sends its reader nowhere."""
    named = set(re.findall(r"`((?:spot|tests|docs|scripts|scenarios)/[\w./-]*)`", TEXT))
    named = {name for name in named if "NAME" not in name}
    assert len(named) > 20
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_folders_of_the_layout_exist() -> None:
    """The layout is the first thing that a newcomer reads."""
    layout = TEXT.split("```\nspot/\n")[1].split("```")[0]
    folders = re.findall(r"(?:^|  )([a-z/]+)/(?=\s|,)", layout, re.MULTILINE)
    assert len(folders) > 15
    found = {path.name for path in ROOT.rglob("*/") if ".venv" not in path.parts}
    assert {name for name in folders if name not in found} == set()


def test_make_targets_exist() -> None:
    """What cannot be run teaches nothing."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)", TEXT)) <= set(targets)

"""What a contestant needs in addition to this repository, and how to get it when it is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import util

from spot import Config

__all__ = ["Need", "missing", "package", "program", "setting"]


@dataclass(frozen=True)
class Need:
    """Something that may be missing on a machine."""

    lack: str
    """The text to print when it is missing, with the command that installs it."""
    is_met: Callable[[], bool]


def package(module: str, distribution: str) -> Need:
    """A Python package."""
    return Need(
        f"{distribution} is not installed (pip install {distribution})",
        lambda: util.find_spec(module) is not None,
    )


def program(name: str, debian: str) -> Need:
    """A program on the PATH, or in the directories where Debian puts servers."""
    return Need(
        f"{name} is not installed (apt-get install {debian})",
        lambda: find_program(name) is not None,
    )


def setting(name: str) -> Need:
    """A setting of SPOT itself, which another version of it may not have."""
    return Need(f"this SPOT has no {name}", lambda: name in Config.__dataclass_fields__)


def missing(needs: Sequence[Need]) -> str | None:
    """What is missing, each thing named once. None when everything is there."""
    lacks = dict.fromkeys(need.lack for need in needs if not need.is_met())
    return ", ".join(lacks) or None


def find_program(name: str) -> str | None:
    """The path of a program. The PATH of a user other than root often lacks /usr/sbin."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")

"""The parts that all commands of the benchmark share: options, the document, the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import machine

__all__ = ["VERSION", "Run", "parser", "positive"]

VERSION = 1
"""The version of the JSON document. It changes when the meaning of a field changes."""


def parser(name: str, description: str, names: Mapping[str, str], word: str) -> Any:
    """The parser of a command, with the common options and a positional choice of ``names``."""
    made = argparse.ArgumentParser(
        prog=f"python -m bench {name}".rstrip(),
        description=description,
        epilog=f"{word.lower()}s:\n" + "\n".join(f"  {one:<15}{names[one]}" for one in names),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("names", nargs="*", metavar=word, help=f"{word.lower()}s (default: all)")
    made.add_argument(
        "--quick", action="store_true", help="a smaller load and goals with room, for CI"
    )
    made.add_argument(
        "--assert",
        dest="check",
        action="store_true",
        help="exit with 1 when a goal (with --quick: a guard) is missed",
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the run there, as JSON")
    made.add_argument(
        "--results",
        type=Path,
        default=Path("results/bench"),
        metavar="DIR",
        help="where every run is written (default: %(default)s)",
    )
    return made


def positive(text: str) -> int:
    """An argument that is a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


@dataclass
class Run:
    """One run of a command: the machine that it ran on, and its results."""

    command: str
    arguments: argparse.Namespace
    started: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    machine: Mapping[str, Any] = field(default_factory=machine)

    @property
    def stem(self) -> Path:
        """The path of this run's files, without the end of the name."""
        results: Path = self.arguments.results
        return results / f"{self.started.replace(':', '-')}-{self.command}"

    def conclude(
        self, found: Mapping[str, Any], failed: Sequence[str], short: Sequence[str]
    ) -> int:
        """Writes the run, prints what went wrong, and returns the exit code.

        A failure always counts. A missed goal counts only with ``--assert``.
        """
        document = {
            "version": VERSION,
            "command": self.command,
            "started": self.started,
            "quick": self.arguments.quick,
            "machine": dict(self.machine),
            **found,
        }
        text = json.dumps(document, indent=2) + "\n"
        for path in (Path(f"{self.stem}.json"), self.arguments.json):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                print(f"Written to {path}")
        complaints = [*failed, *(short if self.arguments.check else ())]
        for complaint in complaints:
            print(f"bench: {complaint}", file=sys.stderr)
        return 1 if complaints else 0

"""The command line: ``python -m bench``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from bench import comparison, core, growth, overload, replay

__all__ = ["main"]

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "growth": growth.main,
    "overload": overload.main,
    "core": core.main,
    "replay": replay.main,
}


def main(argv: Sequence[str]) -> int:
    """Runs the command that is named. Without a name it runs the comparison of rows.

    0: done; 1: something failed, or missed its goal with ``--assert``; 2: usage.
    """
    if argv and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:])
    return comparison.main(argv)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

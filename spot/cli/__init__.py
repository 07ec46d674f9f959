"""The ``spot`` command. Each command is a file here, loaded only when it is called."""

from __future__ import annotations

import sys

from spot.program.terminal import escape_what_can_not_be_shown

__all__ = ["main"]

_EXTRA_PACKAGES = ("click", "rich")
EXIT_INTERRUPTED = 130


def main() -> None:
    """The entry point of ``spot``: runs the command line, and exits."""
    escape_what_can_not_be_shown()
    try:
        from spot.cli.group import run_command_line

        sys.exit(run_command_line())
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA_PACKAGES:
            raise
        print(
            f"spot: the command needs {error.name}, which is not installed: "
            "pip install 'spot-cluster[testbed]'",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        # Ctrl-C came while modules were being imported. Commands handle it themselves.
        sys.exit(EXIT_INTERRUPTED)

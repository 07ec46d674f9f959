"""``python -m spot.program``: the node program, configured by ``SPOT_*`` variables alone.

``spot node`` is the same with flags. This program needs nothing but the library, and starts faster.
``--check`` and ``--check --json`` do the same as there.
"""

from __future__ import annotations

import os
import sys

from spot.errors import InvalidArgument
from spot.program.health import check
from spot.program.run import run
from spot.program.settings import ProgramSettings
from spot.program.terminal import escape_what_can_not_be_shown

EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """The exit code of the program."""
    escape_what_can_not_be_shown()
    if arguments[:1] == ["--check"] and arguments[1:] in ([], ["--json"]):
        return check(os.environ.get("SPOT_CONTROL", ""), as_json=arguments[1:] == ["--json"])
    if arguments:
        print(f"spot.program: takes --check or nothing, not {arguments}", file=sys.stderr)
        return EXIT_USAGE
    try:
        settings = ProgramSettings.from_env()
    except InvalidArgument as error:
        print(f"spot.program: {error}", file=sys.stderr)
        return EXIT_USAGE
    return run(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

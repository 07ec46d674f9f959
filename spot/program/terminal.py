"""Characters that a terminal can't show."""

from __future__ import annotations

import io
import sys

__all__ = ["escape_what_can_not_be_shown"]


def escape_what_can_not_be_shown() -> None:
    r"""Makes this process print characters that the terminal's encoding lacks as ``\u2603``.

    Topics and messages may hold any character. A program that ends with a UnicodeEncodeError for
    one of them shows none of the others.
    """
    for stream in (sys.stdout, sys.stderr):
        # None: it is closed. Something other than a file: the code that put it there reads it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

"""Escapes the characters that a terminal can't show."""

from __future__ import annotations

import io
import sys

__all__ = ["escape_what_can_not_be_shown"]


def escape_what_can_not_be_shown() -> None:
    r"""Makes this process print characters that the terminal's encoding lacks as ``\u2603``.

    Topics and messages may hold any character. Without this, one of them would end the program with
    a UnicodeEncodeError.
    """
    for stream in (sys.stdout, sys.stderr):
        # A closed stream is None. A stream that is no file belongs to the caller that set it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

"""The script that draws the pictures of a page: Vega, Vega-Lite and Vega-Embed, packed.

Building it takes seconds, so a copy is kept in the user's cache directory
(``$XDG_CACHE_HOME/spot``): a file for each version of vl-convert, which begins with its SHA-256.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
from functools import cache
from hashlib import sha256
from pathlib import Path

from spot.testbed.report.files import replace_file

__all__ = ["drawing_script", "packed"]


@cache
def drawing_script() -> str:
    """The packed script, which defines ``window.vegaEmbed``. Built if the cache has no good one."""
    import vl_convert  # only a page with pictures needs it

    folder = _cache_folder()
    if folder is None:
        return _made()
    path = folder / f"vega-{vl_convert.__version__}.txt"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        digest, _, script = path.read_text(encoding="ascii").partition("\n")
        if sha256(script.encode()).hexdigest() == digest:
            return script
    script = _made()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, f"{sha256(script.encode()).hexdigest()}\n{script}".encode())
    return script


def _made() -> str:
    import vl_convert

    return packed(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _cache_folder() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "spot"
    except RuntimeError:
        return None  # a user without a home directory


def packed(text: str) -> str:
    """Text packed for a page: a third of its size, without special characters of HTML."""
    # mtime=0: equal texts make equal pages.
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 9, mtime=0)).decode()

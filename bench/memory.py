"""How much memory a process has that is not shared."""

from __future__ import annotations

import gc
from pathlib import Path

__all__ = ["anonymous_bytes", "private_bytes"]


def private_bytes() -> int:
    """Bytes of this process that belong to no file, after a garbage collection.

    Pages of libraries don't count. They become shared, and private again, as other processes come
    and go.
    """
    gc.collect()
    return anonymous_bytes()


def anonymous_bytes() -> int:
    """The same without a garbage collection, so with the garbage that is there."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    (anonymous,) = (line for line in lines if line.startswith("Anonymous:"))
    return int(anonymous.split()[1]) << 10

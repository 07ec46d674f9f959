"""``python -m tests.core.write_vectors``: writes the golden vectors of the wire.

Vectors may be added at any time. Vectors that the file has for the present version of the protocol
are never changed or removed: their bytes are what other builds of this version send.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.core.wire_vectors import FILE, Stored, changed, current, load


def main(path: Path = FILE) -> int:
    """Writes the file. Exit code 1, and no file, if the version should have risen."""
    now = current()
    if path.exists():
        before = load(path)
        if before.version > now.version:
            sys.stderr.write(
                f"{path.name} was made for version {before.version} of the protocol, and "
                f"PROTOCOL_VERSION is {now.version}: a version is never used again\n"
            )
            return 1
        found = changed(before, now) if before.version == now.version else []
        if found:
            sys.stderr.write(
                f"the bytes of {', '.join(found)} changed, and PROTOCOL_VERSION is still "
                f"{now.version}: raise it in spot/core/wire/codec.py\n"
            )
            return 1
    path.write_text(text_of(now))
    sys.stdout.write(f"{len(now.vectors)} vectors of version {now.version} are in {path}\n")
    return 0


def text_of(stored: Stored) -> str:
    """The file, with each vector's records and parts on a line of their own."""
    lines = ["{", f'  "protocol_version": {stored.version},', '  "vectors": {']
    for name, vector in stored.vectors.items():
        lines += [
            f"    {json.dumps(name)}: {{",
            '      "records": [',
            ",\n".join(
                f"        {json.dumps(record, ensure_ascii=False)}" for record in vector.records
            ),
            "      ],",
            f'      "parts": {json.dumps(vector.parts)}',
            "    },",
        ]
    lines[-1] = "    }"
    return "\n".join([*lines, "  }", "}", ""])


if __name__ == "__main__":
    sys.exit(main())

"""The names that nodes may have. Each is a DNS label, as containers dial one another by name.

The same rule holds for processes, so that a topology runs on both backends.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

from spot.testbed.errors import UnknownTopology

__all__ = ["check_name", "check_names", "check_topology_name"]

LABEL_CHARS_MAX = 63
"""RFC 1035, section 2.3.4."""
TOPOLOGY_CHARS_MAX = 100
RESERVED = {
    "localhost": "it is the machine itself",
    "toxiproxy": "the proxy server in containers has this name",
    "proxy-server": "the log of the proxy server has this name",
}
BETWEEN = "-to-"
"""Separates the two nodes in the name of an edge, such as ``b-to-a``."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
_RULE = (
    f"its name is a DNS label, 1 to {LABEL_CHARS_MAX} letters of a to z, digits and '-', with no "
    "'-' first or last"
)


def check_name(name: str) -> None:
    """Raises UnknownTopology if a container can't have this name, or can't be dialled by it."""
    if not _LABEL.fullmatch(name) or len(name) > LABEL_CHARS_MAX:
        raise UnknownTopology(f"a node can't be called {name!r:.80}: {_RULE}")
    why = RESERVED.get(name.lower())
    if BETWEEN in name.lower():
        why = f"{BETWEEN!r} stands between two nodes in the name of their edge"
    elif _is_address(name):
        why = "it would be read as an IPv4 address"
    if why:
        raise UnknownTopology(f"a node can't be called {name!r}, as {why}: take another name")


def check_names(names: Iterable[str]) -> None:
    """Checks each name, and that they differ for DNS. Raises UnknownTopology."""
    taken: dict[str, str] = {}
    for name in names:
        check_name(name)
        other = taken.setdefault(name.lower(), name)
        if other != name:
            raise UnknownTopology(
                f"node names {other!r} and {name!r} are one name to DNS, where upper and lower "
                "case are the same: rename one of them"
            )


def check_topology_name(name: str) -> None:
    """Raises UnknownTopology if files and containers can't be named after it."""
    allowed = all(sign.isalnum() or sign in "-_." for sign in name)
    if not allowed or not name[:1].isalnum() or len(name) > TOPOLOGY_CHARS_MAX:
        raise UnknownTopology(
            f"a topology can't be called {name!r:.80}: take 1 to {TOPOLOGY_CHARS_MAX} letters, "
            "digits, '-', '_' and '.', a letter or digit first"
        )


def _is_address(name: str) -> bool:
    # 7 and 0x7f are addresses too, as every resolver reads them.
    try:
        socket.inet_aton(name)
    except OSError:
        return False
    return True

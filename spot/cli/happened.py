"""Recent events of a cluster in words, from the records that its nodes keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from spot.testbed.status import ClusterStatus

__all__ = ["Happened"]

SHOWN_MAX = 8
KEPT_MAX = 500
AGO_COLUMNS = len("1234.5 s ago")

Record = Mapping[str, Any]


class Happened:
    """The newest events of a cluster, collected from one status after another."""

    def __init__(self) -> None:
        self._events: dict[tuple[float, str, str], Text] = {}
        self._since = float("-inf")

    def add(self, status: ClusterStatus) -> None:
        """Adds the records that the nodes keep now."""
        for name, node in status.nodes.items():
            document = node.document or {}
            names = {peer["endpoint"]: peer["node"] for peer in document.get("peers", [])}
            for record in document.get("recent", []):
                said = _SAID.get(record["kind"])
                if "node" not in record and names.get(record.get("endpoint")):
                    record = {**record, "node": names[record["endpoint"]]}
                if said is not None and record["at"] > self._since:
                    text = Text.assemble((f"{name}: ", "bold"), said(record))
                    self._events[record["at"], name, record["kind"]] = text
        for key in sorted(self._events)[:-KEPT_MAX]:
            del self._events[key]

    def forget(self) -> None:
        """Forgets all events until now."""
        self._events.clear()
        self._since = time.monotonic()

    def table(self, now: float | None = None) -> Table:
        """The last eight events, oldest first. ``now``: seconds of CLOCK_MONOTONIC; None: now."""
        now = time.monotonic() if now is None else now
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", no_wrap=True, style="dim", min_width=AGO_COLUMNS)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for key in sorted(self._events)[-SHOWN_MAX:]:
            table.add_row(f"{now - key[0]:.1f} s ago", self._events[key])
        return table

    def __bool__(self) -> bool:
        return bool(self._events)


def _next_dial(record: Record) -> str:
    return f", next dial in {record['delay']:.2f} s" if "delay" in record else ""


def _peer(record: Record) -> str:
    return str(record.get("node") or record.get("endpoint") or "a peer")


_SAID: Mapping[str, Callable[[Record], Text]] = {
    "link_down": lambda one: Text(
        f"link to {_peer(one)} down ({one.get('reason', '')}){_next_dial(one)}", "red"
    ),
    "host_unreachable": lambda one: Text(
        f"recv raised HostUnreachable: {_peer(one)} ({one.get('reason', '')})", "bold red"
    ),
    "dial_failed": lambda one: Text(
        f"dial of {_peer(one)} failed ({one.get('reason', '')}){_next_dial(one)}", "yellow"
    ),
    "refused": lambda one: Text(f"{_peer(one)} refused: {one.get('reason', '')}", "yellow"),
    "set_aside": lambda one: Text(f"{_peer(one)} set aside, as it is too slow", "yellow"),
    "caught_up": lambda one: Text(f"{_peer(one)} has caught up", "green"),
    "conflict": lambda one: Text(f"two hosts of {', '.join(one.get('topics', []))}", "red"),
    "link_up": lambda one: Text(f"link to {_peer(one)} up", "green"),
    "host_back": lambda one: Text(f"{_peer(one)} hosts {', '.join(one.get('topics', []))} again"),
    "synced": lambda one: Text(f"synchronised with {_peer(one)}", "green"),
}

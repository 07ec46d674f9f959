"""How a cluster looks in a terminal, and as JSON."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spot.cli.happened import Happened
from spot.testbed.cluster import Cluster
from spot.testbed.faults.by_hand import HandFault, faults_by_hand
from spot.testbed.status import ClusterStatus, NodeStatus, Rates

__all__ = ["as_document", "picture"]

LINKS_SHOWN_MAX = 15
LACKING_SHOWN_MAX = 10


def picture(
    status: ClusterStatus,
    rates: Mapping[str, Rates],
    faults: Sequence[HandFault] = (),
    happened: Happened | None = None,
) -> RenderableType:
    """Tables of nodes and links, a line with the overall state, active faults and recent events.

    ``faults`` empty, ``happened`` None or empty: that part is left out.
    """
    parts: list[RenderableType] = [_nodes(status, rates), _links(status), _verdict(status, rates)]
    if faults:
        parts += [Text(""), _faults(faults)]
    if happened:
        parts += [Text(""), Text("What happened:"), happened.table()]
    return Group(*parts)


def as_document(
    cluster: Cluster, status: ClusterStatus, rates: Mapping[str, Rates]
) -> dict[str, Any]:
    """The same as a document, which ``--json`` prints."""
    return {
        "topology": status.topology.name,
        "backend": cluster.run.backend,
        "proxied": cluster.run.proxied,
        "proxy": status.proxy,
        "run": cluster.run.run_id,
        "ready": status.is_ready,
        "faults": [fault.text for fault in faults_by_hand(cluster.run)],
        "lacking": status.lacking(),
        "nodes": [
            {
                "name": node.name,
                "state": node.state,
                "address": node.address,
                "published_per_s": rates[node.name].published if node.name in rates else None,
                "received_per_s": rates[node.name].received if node.name in rates else None,
                "status": node.document,
            }
            for node in status.nodes.values()
        ],
        "links": [
            {"nodes": list(link.link), "up": link.is_up, "rtt_s": link.rtt} for link in status.links
        ],
    }


def _faults(faults: Sequence[HandFault]) -> Text:
    now = time.monotonic()
    text = Text("Faults made by hand ('spot heal' undoes them):")
    for fault in faults:
        text.append("\n  ").append(fault.text, "bold magenta")
        text.append(f" for {now - fault.began:.0f} s{'' if fault.proved else ', not proved'}")
    return text


def _table() -> Table:
    # Little padding, so that eight columns fit into a terminal of 80 characters.
    return Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _nodes(status: ClusterStatus, rates: Mapping[str, Rates]) -> Table:
    table = _table()
    for heading in ("node", "state", "address"):
        table.add_column(heading, no_wrap=True)
    for heading in ("links", "sent/s", "recv/s", "received", "missed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for node in status.nodes.values():
        table.add_row(*_node_row(status, node, rates.get(node.name)))
    return table


def _node_row(status: ClusterStatus, node: NodeStatus, rates: Rates | None) -> list[Text | str]:
    links = [link for link in status.links if node.name in link.link]
    up = sum(link.is_up for link in links)
    row: list[Text | str] = [node.name, _state(node), _place(node)]
    if node.document is None:
        return [*row, _of(up, len(links)), "", "", "", ""]
    metrics = node.document["metrics"]
    missed = metrics["missed_msgs"]
    return [
        *row,
        _of(up, len(links)),
        f"{rates.published:.1f}" if rates else "",
        f"{rates.received:.1f}" if rates else "",
        str(metrics["recv_msgs"]),
        Text(str(missed), style="red" if missed else ""),
    ]


def _place(node: NodeStatus) -> str:
    return node.address.removeprefix("tcp://") if node.address else "dials only"


def _state(node: NodeStatus) -> Text:
    if node.state != "running":
        return Text(node.state, style="red")
    if node.document is None:
        return Text("silent", style="red")
    if not node.is_synced:
        return Text("syncing", style="yellow")
    return Text("up", style="green")


def _links(status: ClusterStatus) -> RenderableType:
    up = [link for link in status.links if link.is_up]
    rtts = [link.rtt for link in up if link.rtt is not None]
    if len(status.links) > LINKS_SHOWN_MAX:
        middle = f", median rtt {_ms(statistics.median(rtts))}" if rtts else ""
        most = f", {_ms(max(rtts))} at most" if rtts else ""
        return Text(f"links: {len(up)} of {len(status.links)} up{middle}{most}")
    table = _table()
    table.add_column("link")
    table.add_column("state")
    table.add_column("rtt", justify="right")
    for link in status.links:
        state = Text("up", style="green") if link.is_up else Text("down", style="red")
        table.add_row(" - ".join(link.link), state, "" if link.rtt is None else _ms(link.rtt))
    return table


def _verdict(status: ClusterStatus, rates: Mapping[str, Rates]) -> Text:
    lacking = status.lacking()
    if lacking:
        more = len(lacking) - LACKING_SHOWN_MAX
        lines = lacking[:LACKING_SHOWN_MAX] + ([f"and {more} more"] if more > 0 else [])
        return Text(
            f"{status.topology.name} is not as it should be:\n  " + "\n  ".join(lines), style="red"
        )
    sent = sum(rate.published for rate in rates.values())
    received = sum(rate.received for rate in rates.values())
    return Text(
        f"{status.topology.name}: {len(status.nodes)} nodes and {len(status.links)} links up; "
        f"{sent:.0f} messages/s sent, {received:.0f} received",
        style="green",
    )


def _of(part: int, whole: int) -> Text:
    return Text(f"{part}/{whole}", style="" if part == whole else "red")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"

"""The end of a run: traffic ends, deliveries end, and what the nodes have recorded is read.

Problems of the run itself are returned as texts and not raised, so that the caller can go on with
ending the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from spot.config import Config
from spot.testbed.cluster import Cluster
from spot.testbed.errors import ClusterError
from spot.testbed.evidence import Bounds
from spot.testbed.journal import BadJournal, Journal
from spot.testbed.topology import Topology

__all__ = ["bounds_of", "end_traffic", "read_journals"]

QUIET_MAX_S = 15.0
"""Queues must have drained by then."""
QUIET_FOR_S = 0.3
"""After so many seconds without a delivery, no more deliveries are expected."""
POLL_S = 0.05


def end_traffic(cluster: Cluster, pause: Callable[[float], object] = time.sleep) -> tuple[str, ...]:
    """Tells every running node to stop publishing, and waits until deliveries end.

    ``pause`` waits for so many seconds, and may raise. Returns what went wrong, as texts. If there
    are any, the last messages can't be judged.
    """
    trouble = []
    for name in cluster.topology.names:
        try:
            if cluster.node_status(name).state == "exited":
                continue
            answer = cluster.tell(name, "quiet")
        except ClusterError as error:
            trouble.append(f"{name} could not be told to be quiet: {error}")
            continue
        if not answer.get("ok"):
            trouble.append(f"{name} did not become quiet: {answer.get('error')}")
    deadline = time.monotonic() + QUIET_MAX_S
    received, since = -1, time.monotonic()
    while not trouble and time.monotonic() - since < QUIET_FOR_S:
        now = _received(cluster)
        if now != received:
            received, since = now, time.monotonic()
        if time.monotonic() >= deadline:
            trouble.append(f"deliveries went on for {QUIET_MAX_S:g} s after the traffic")
        pause(POLL_S)
    return tuple(trouble)


def read_journals(
    directory: Path, topology: Topology
) -> tuple[dict[str, Journal], tuple[str, ...]]:
    """The journals of all nodes, by name, and what is wrong with them, in words.

    One that breaks its contract counts as empty.
    """
    journals = {}
    trouble = []
    for name in topology.names:
        path = directory / f"{name}.jsonl"
        try:
            journals[name] = Journal.read(path)
        except BadJournal as error:
            trouble.append(str(error))
            journals[name] = Journal()
        if journals[name].lost:
            trouble.append(f"{path} lacks {journals[name].lost} records, as it took no more")
    return journals, tuple(trouble)


def bounds_of(variables: Mapping[str, str]) -> Bounds:
    """The times that nodes with these ``SPOT_*`` variables promise. Raises InvalidArgument."""
    config = Config.from_env(variables)
    known = {item.name: getattr(config, item.name) for item in fields(Bounds)}
    if known["send_timeout"] is None:
        known["send_timeout"] = float("inf")
    return Bounds(**known)


def _received(cluster: Cluster) -> int:
    documents = [node.document for node in cluster.status().nodes.values()]
    return sum(document["metrics"]["recv_msgs"] for document in documents if document)

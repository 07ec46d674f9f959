"""Faults made by hand, one command at a time. Active ones are recorded in the run's directory.

``spot fault list`` and ``spot heal`` read them there in another process. If a fault needs a running
process (such as flap, or any with ``--for``), that process is its keeper. The keeper heals the
fault when it is told to end.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spot.testbed.errors import ClusterError
from spot.testbed.evidence import Effect, Proof
from spot.testbed.faults.catalogue import parse_fault
from spot.testbed.process_id import ProcessId
from spot.testbed.run import state_lock

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.run import Run

__all__ = ["HandFault", "faults_by_hand", "forget", "heal_by_hand", "remember"]

FILE = "faults.json"
LOCK = "faults"
KEEPER_TIMEOUT_S = 15.0
POLL_S = 0.02


@dataclass(frozen=True)
class HandFault:
    """A fault that was made by hand and is not healed yet."""

    text: str
    """As ``parse_fault`` takes it."""
    began: float
    """Seconds of ``CLOCK_MONOTONIC``."""
    proved: bool
    keeper: ProcessId | None
    """The process that heals it when told to end. None: it lasts by itself."""


def faults_by_hand(run: Run) -> tuple[HandFault, ...]:
    """The faults made by hand that act on this cluster now, oldest first."""
    try:
        found = json.loads((run.directory / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    return tuple(
        HandFault(
            one["text"],
            one["began"],
            one["proved"],
            ProcessId(**one["keeper"]) if one["keeper"] else None,
        )
        for one in found
    )


def remember(run: Run, fault: HandFault) -> None:
    """Records a fault. It replaces one of the same text."""
    with state_lock(run.directory, LOCK):
        _write(run, [*(one for one in faults_by_hand(run) if one.text != fault.text), fault])


def forget(run: Run, text: str) -> None:
    """Removes the record of the fault of this text. Does nothing if the cluster has gone."""
    with suppress(FileNotFoundError), state_lock(run.directory, LOCK):
        _write(run, [one for one in faults_by_hand(run) if one.text != text])


def heal_by_hand(cluster: Cluster, nodes: Sequence[str] = ()) -> tuple[Proof, ...]:
    """Heals every fault that acts on all of these nodes (no nodes: every fault). Returns proofs.

    It also heals what has no record, because a killed process made it: edges that are cut or have
    toxics, and nodes that are paused or do not run. It looks for these between two named nodes, at
    one named node, or in the whole cluster. Tries everything before it raises ClusterError. Raises
    UnknownNode.
    """
    names = {cluster.topology.node(name).name for name in nodes}
    proofs: list[Proof] = []
    errors: list[str] = []
    for one in faults_by_hand(cluster.run):
        effect = parse_fault(one.text).effect(cluster.topology)
        if not names <= _touched(effect):
            continue
        try:
            proofs += _heal(cluster, one)
        except (ClusterError, OSError) as error:
            errors.append(f"'{one.text}': {error}")
    try:
        _heal_unknown(cluster, names)
    except (ClusterError, OSError) as error:
        errors.append(str(error))
    if errors:
        raise ClusterError(
            f"not everything could be healed, 'spot down' ends it all: {'; '.join(errors)}"
        )
    return tuple(proofs)


def _heal(cluster: Cluster, one: HandFault) -> tuple[Proof, ...]:
    if one.keeper is not None and one.keeper.is_alive:
        one.keeper.send(signal.SIGTERM)
        deadline = time.monotonic() + KEEPER_TIMEOUT_S
        while one in faults_by_hand(cluster.run):
            if time.monotonic() >= deadline:
                raise ClusterError(f"process {one.keeper.pid}, which keeps it, does not end")
            time.sleep(POLL_S)
        return ()
    action = parse_fault(one.text).action(cluster)
    action.undo()
    forget(cluster.run, one.text)
    return tuple(action.prove_undone())


def _heal_unknown(cluster: Cluster, names: set[str]) -> None:
    others = {
        name
        for one in faults_by_hand(cluster.run)
        for name in _touched(parse_fault(one.text).effect(cluster.topology))
    }
    for a, b in cluster.topology.links if cluster.run.proxied else ():
        if names <= {a, b} and not {a, b} <= others:
            edge = cluster.edge(a, b)
            if edge.toxics() or not edge.is_enabled:
                edge.heal()
    for name in cluster.topology.names:
        if names <= {name} and name not in others:
            if cluster.state(name) == "paused":
                cluster.resume(name)
            elif cluster.state(name) == "exited":
                cluster.restart(name)


def _touched(effect: Effect) -> set[str]:
    return {
        *(name for pair in effect.severed | effect.slowed for name in pair),
        *effect.down,
        *effect.paused,
    }


def _write(run: Run, faults: Sequence[HandFault]) -> None:
    document: list[dict[str, Any]] = [
        {
            "text": one.text,
            "began": one.began,
            "proved": one.proved,
            "keeper": {"pid": one.keeper.pid, "start": one.keeper.start} if one.keeper else None,
        }
        for one in faults
    ]
    path = run.directory / FILE
    written = path.with_suffix(".new")
    written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    written.replace(path)

"""One short run of a node program on processes: traffic, a fault, the heal, more traffic."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from spot.testbed import Cluster, ClusterNotReady
from spot.testbed.collect import bounds_of, end_traffic, read_journals
from spot.testbed.evidence import Evidence, FaultWindow, Phases
from spot.testbed.faults import inject, parse_fault

SETTINGS = {
    "SPOT_PEER_TIMEOUT": "1.8",
    "SPOT_RECONNECT_MAX": "0.4",
    "SPOT_STABLE_AFTER": "0.5",
}
"""Quick to come back, so that a run takes seconds; and nobody is lost whom the machine holds up:
what these runs do to nodes and links is noticed at once."""
RATE = 60
BEFORE_S, AFTER_S = 0.8, 0.8
SETTLED_S = 1.6
"""After a heal: longer than links may take, so that what never comes back is not merely late."""
RECOVERED_MAX_S = 6.0


def play_run(
    program: str | None,
    directory: Path,
    *,
    topology: str,
    fault: str | None,
    lasts: float,
    settings: Mapping[str, str],
) -> Evidence:
    """What a run has left. ``program``: one of ``tests/faulty/programs``; None: the right one.

    ``settings``: ``SPOT_*`` variables beside those of all runs.
    """
    settings = {**SETTINGS, **settings}
    own = [sys.executable, "-m", f"tests.faulty.programs.{program}"] if program else None
    cluster = Cluster(
        topology, proxied=True, rate=RATE, settings=settings, files=directory, program=own
    )
    started = time.monotonic()
    windows: tuple[FaultWindow, ...] = ()
    healed = recovered = None
    with cluster:
        ready = time.monotonic()
        time.sleep(BEFORE_S)
        if fault:
            with inject(cluster, parse_fault(fault)) as active:
                until = time.monotonic() + lasts
                active.prove()
                time.sleep(max(0.0, until - time.monotonic()))
            windows = (active.window,)
            healed = time.monotonic()
            with contextlib.suppress(ClusterNotReady):
                cluster.wait_ready(RECOVERED_MAX_S)
                recovered = time.monotonic()
        end = time.monotonic() + AFTER_S
        time.sleep(max(end, (healed or 0.0) + SETTLED_S) - time.monotonic())
        quiet = time.monotonic()
        trouble = end_traffic(cluster)
        stopped = time.monotonic()
    journals, bad = read_journals(directory, cluster.topology)
    return Evidence(
        cluster.topology,
        journals,
        windows,
        Phases(started, ready, healed, recovered, quiet, stopped),
        bounds_of(settings),
        (*trouble, *bad),
    )

"""A sustained run: a mesh under load for minutes, with flat memory, no loss and no false alarm.

``python -m tests.soak [--minutes 5] [--rate 10000] [--nodes 3]``; ``make soak``. Exit code 1 when
something was lost, a link went down, or memory grew.
"""

from __future__ import annotations

import argparse
import sys
import time

from spot.testbed import Cluster

SAMPLE_S = 5.0
WARM_UP_S = 20.0
MUST_BE_0 = ("links_lost", "missed_msgs", "missed_unknown", "dropped_msgs", "set_aside")
GROWTH_MAX = 1.15
"""Resident memory at the end against that after the warm-up."""


def resident_mib(pid: int) -> float:
    """Resident memory of a process, from /proc."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / (1 << 20)


def main() -> int:
    """Runs and judges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=10_000, help="messages a second, all nodes")
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    warm: dict[str, float] = {}
    memory: dict[str, float] = {}
    with Cluster(
        "mesh", nodes=options.nodes, rate=options.rate / options.nodes, journal=False
    ) as cluster:
        begun = time.monotonic()
        first = cluster.status()
        while (passed := time.monotonic() - begun) < options.minutes * 60:
            time.sleep(min(SAMPLE_S, max(0.1, options.minutes * 60 - passed)))
            status = cluster.status()
            documents = {name: node.document for name, node in status.nodes.items()}
            memory = {
                name: resident_mib(document["pid"])
                for name, document in documents.items()
                if document
            }
            if not warm and passed >= min(WARM_UP_S, options.minutes * 30):
                warm = memory
            received = sum(d["metrics"]["recv_msgs"] for d in documents.values() if d)
            print(
                f"{time.monotonic() - begun:5.0f} s  received {received:>10,}  memory "
                + "  ".join(f"{name} {size:.1f}" for name, size in memory.items())
                + " MiB",
                flush=True,
            )
        seconds = time.monotonic() - begun
        last = cluster.status()
        faults = []
        for name, node in last.nodes.items():
            before = first.nodes[name].document
            after = node.document
            if before is None or after is None:
                faults.append(f"{name} does not answer")
                continue
            counted = after["metrics"]
            faults.extend(f"{name}: {key} {counted[key]}" for key in MUST_BE_0 if counted[key])
            if memory[name] > warm[name] * GROWTH_MAX:
                faults.append(f"{name}: memory {warm[name]:.1f} -> {memory[name]:.1f} MiB")
            rate = (after["metrics"]["publishes"] - before["metrics"]["publishes"]) / seconds
            print(f"{name}: {rate:,.0f} published a second")
            if rate < 0.9 * options.rate / options.nodes:
                faults.append(f"{name}: published {rate:,.0f} a second only")
    print("\n".join(faults) if faults else "no loss, no link lost, memory flat")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

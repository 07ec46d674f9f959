"""How fast a broken link is told and healed, behind proxies, on both backends.

``python -m tests.faults [--backend process|docker] [--rounds 20]``; ``make faults``. Prints the
distribution of every figure beside its bound; exit code 1 when one was exceeded.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from spot.testbed import Cluster
from spot.testbed.backends import BACKENDS
from tests.faults.rounds import FAULTS, STABLE_S, Round, play_round

HEARTBEAT_S, PEER_TIMEOUT_S = 0.5, 2.0  # SPOT's defaults
CUT_TOLD_MAX_S = 0.1
RECOVERED_BEYOND_STEP_MAX_S = 0.5
RATE = 100
SETTINGS = {"SPOT_STABLE_AFTER": str(STABLE_S)}


def show(what: str, values: list[float], bound: float) -> int:
    """Prints one distribution; returns how many values exceed the bound."""
    ordered = sorted(values)
    over = sum(value > bound for value in values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    print(
        f"  {what:<51} n {len(values):>3}  min {ordered[0]:.3f}  median "
        f"{statistics.median(ordered):.3f}  p95 {p95:.3f}  max {ordered[-1]:.3f}  "
        f"bound {bound:.3f} s  {'ok' if not over else f'{over} OVER'}",
        flush=True,
    )
    return over


def judge(fault: str, rounds: list[Round]) -> int:
    """Prints what one fault took; returns how many figures were out of bounds."""
    bound = CUT_TOLD_MAX_S if fault == "cut" else PEER_TIMEOUT_S + HEARTBEAT_S
    over = show(f"{fault}: told", [at for one in rounds for at in one.told.values()], bound)
    recovered = [at for one in rounds for at in one.recovered.values()]
    show(f"{fault}: recovered", recovered, 5.0 + RECOVERED_BEYOND_STEP_MAX_S)
    beyond = [at - one.step for one in rounds for at in one.recovered.values()]
    return over + show(f"{fault}: recovered, less the step", beyond, RECOVERED_BEYOND_STEP_MAX_S)


def measure(backend: str, faults: list[str], count: int) -> int:
    """Plays all rounds on one cluster; returns how many figures were out of bounds."""
    begun = time.monotonic()
    cluster = Cluster("two-node", backend=backend, proxied=True, rate=RATE, settings=SETTINGS)
    with cluster:
        print(f"{backend}: up and synchronised in {time.monotonic() - begun:.2f} s", flush=True)
        over = 0
        for fault in faults:
            over += judge(fault, [play_round(cluster, fault) for _ in range(count)])
        begun = time.monotonic()
    print(f"{backend}: down in {time.monotonic() - begun:.2f} s", flush=True)
    return over


def main() -> int:
    """Measures and judges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=BACKENDS, help="only this one (both)")
    parser.add_argument("--rounds", type=int, default=20, help="of each fault (20)")
    parser.add_argument("--fault", choices=list(FAULTS), action="append", help="only these (all)")
    options = parser.parse_args()
    backends = [options.backend] if options.backend else list(BACKENDS)
    over = sum(
        measure(backend, options.fault or list(FAULTS), options.rounds) for backend in backends
    )
    print(f"{over} figures out of bounds" if over else "all within bounds")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())

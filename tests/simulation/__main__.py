"""``python -m tests.simulation``: runs many fault schedules, and says which one broke a guarantee.

Exit code 0 if all guarantees held, 1 if one did not; the trace of the first violation is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing import Pool

from tests.simulation.oracle import Violation
from tests.simulation.schedule import draw
from tests.simulation.world import run_plan, trace_of

TRACE_LINES = 120
PROGRESS_S = 10.0

Outcome = tuple[int, str, list[str], Counter[str]]


def main() -> int:
    options = _options()
    seeds = range(options.start, options.start + options.seeds)
    if options.trace:
        for seed in seeds:
            _say("\n".join((f"seed {seed}", *trace_of(partial(draw, seed)))))
        return 0
    began = told = time.monotonic()
    totals: Counter[str] = Counter()
    broken: list[tuple[int, str, list[str]]] = []
    done = 0
    for seed, what, trace, counts in _outcomes(seeds, options.jobs):
        done += 1
        totals += counts
        if what:
            broken.append((seed, what, trace))
            _say(f"seed {seed}: {what}")
            if len(broken) >= options.most:
                break
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            _say(f"{done} of {len(seeds)} schedules, {len(broken)} violations")
    counted = ", ".join(f"{number} {name}" for name, number in sorted(totals.items()))
    _say(f"{done} schedules in {time.monotonic() - began:.0f} s: {counted}")
    if not broken:
        _say("every guarantee held in every schedule")
        return 0
    seed, what, trace = min(broken)
    _say("\n".join(("", f"the end of seed {seed}:", *trace[-TRACE_LINES:], what, "")))
    again = f"python -m tests.simulation --trace --start {seed}"
    _say(f"{len(broken)} violations. All that happened in this one: {again}")
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=None, help="how many schedules (10000)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--most", type=int, default=10, help="violations to stop at (10)")
    parser.add_argument("--trace", action="store_true", help="print all that happens in a schedule")
    options = parser.parse_args()
    if options.seeds is None:
        options.seeds = 1 if options.trace else 10_000
    if options.seeds < 1 or options.jobs < 1 or options.start < 0:
        parser.error("--seeds and --jobs start at 1, --start at 0")
    return options


def _outcomes(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(_run, seeds)
        return
    with Pool(jobs) as pool:
        yield from pool.imap_unordered(_run, seeds, chunksize=16)


def _run(seed: int) -> Outcome:
    try:
        world = run_plan(partial(draw, seed))
    except Violation as violation:
        return seed, str(violation), violation.trace, Counter()
    return seed, "", [], Counter(world.oracle.counts)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

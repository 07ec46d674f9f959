"""``python -m bench growth``: time and memory over subscribers, topics, patterns and nodes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from bench.picture import draw, lacks
from bench.progress import Progress
from bench.report import number, print_table
from bench.run import Run, parser, positive
from bench.sweep import Sweep, SweepOutcome, play_sweep
from bench.sweeps import GROWTH

__all__ = ["chosen_sizes", "main", "show_sweeps", "sweep_json"]

ROUNDS = 3
ROUNDS_QUICK = 1


def main(argv: Sequence[str], sweeps: Sequence[Sweep] = GROWTH) -> int:
    """Plays the sweeps and judges how fast SPOT's figures grow."""
    by_name = {sweep.name: sweep for sweep in sweeps}
    made = parser(
        "growth",
        "Measures how SPOT's time and memory grow, and those of raw pyzmq beside it.",
        {sweep.name: sweep.what for sweep in sweeps},
        "SWEEP",
    )
    made.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help=f"rounds of each size (default {ROUNDS}, with --quick {ROUNDS_QUICK})",
    )
    made.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="also draw the curves there (png or svg)",
    )
    arguments = made.parse_args(argv)
    unknown = [name for name in arguments.names if name not in by_name]
    if unknown:
        made.error(f"no sweep is called {', '.join(unknown)}: there are {', '.join(by_name)}")
    if arguments.picture is not None and (lack := lacks()) is not None:
        made.error(f"--picture: {lack}")
    chosen = [by_name[name] for name in arguments.names] or list(sweeps)
    quick = arguments.quick
    rounds = arguments.rounds or (ROUNDS_QUICK if quick else ROUNDS)

    run = Run("growth", arguments)
    with Progress(rounds * sum(len(chosen_sizes(sweep, quick)) for sweep in chosen)) as progress:
        outcomes = [
            play_sweep(sweep, chosen_sizes(sweep, quick), rounds, progress) for sweep in chosen
        ]
    show_sweeps(outcomes, sys.stdout)
    if arguments.picture is not None:
        draw(outcomes, run.machine, arguments.picture)
        print(f"Drawn to {arguments.picture}")
    return run.conclude(
        {"rounds": rounds, "sweeps": [sweep_json(outcome) for outcome in outcomes]},
        [f"{outcome.sweep.name} failed" for outcome in outcomes if outcome.failures],
        _short(outcomes),
    )


def chosen_sizes(sweep: Sweep, quick: bool) -> tuple[int, ...]:
    """The sizes that a run plays."""
    return sweep.quick if quick else sweep.sizes


def show_sweeps(outcomes: Sequence[SweepOutcome], out: TextIO) -> None:
    """A table for each sweep: medians by size, and the order of growth."""
    for outcome in outcomes:
        sweep = outcome.sweep
        print(f"\n{sweep.name}: {sweep.what}; rounds: {len(outcome.rounds)}", file=out)
        header = (sweep.size, "", *(f"{size:,}" for size in outcome.sizes), "order", "at most", "")
        rows = []
        for curve in sweep.curves:
            for name in outcome.names:
                points = dict(outcome.points(name, curve))
                order = outcome.order(name, curve)
                judged = name == "SPOT" and curve.order_at_most is not None
                rows.append(
                    (
                        curve.label,
                        name,
                        *(
                            number(points[size] * curve.scale) if size in points else "failed"
                            for size in outcome.sizes
                        ),
                        "" if order is None else f"{order:.2f}",
                        f"{curve.order_at_most:g}" if judged else "",
                        ("good" if outcome.is_good(curve) else "SHORT") if judged else "",
                    )
                )
        print_table(header, rows, out)
        for failure in outcome.failures:
            print(f"  FAILED: {failure}", file=out)


def sweep_json(outcome: SweepOutcome) -> dict[str, Any]:
    """All that was measured: figures by round, size and contestant, without scaling."""
    sweep = outcome.sweep
    return {
        "name": sweep.name,
        "what": sweep.what,
        "size": sweep.size,
        "sizes": list(outcome.sizes),
        "failures": list(outcome.failures),
        "curves": [
            {
                "figure": curve.figure,
                "contestant": name,
                "points": outcome.points(name, curve),
                "order": outcome.order(name, curve),
                "order_at_most": curve.order_at_most if name == "SPOT" else None,
            }
            for curve in sweep.curves
            for name in outcome.names
        ],
        "rounds": [
            {
                str(size): {name: dict(values) for name, values in figures.items()}
                for size, figures in sizes.items()
            }
            for sizes in outcome.rounds
        ],
    }


def _short(outcomes: Sequence[SweepOutcome]) -> list[str]:
    found = []
    for outcome in outcomes:
        for curve in outcome.sweep.curves:
            if not outcome.is_good(curve):
                order = outcome.order("SPOT", curve)
                grows = "has no known order" if order is None else f"grows with order {order:.2f}"
                found.append(
                    f"{outcome.sweep.name}: {curve.label} {grows}, "
                    f"at most {curve.order_at_most:g} is the goal"
                )
    return found

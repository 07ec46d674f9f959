"""``python -m bench``: SPOT beside the others, row by row, and as a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.growth import chosen_sizes, show_sweeps, sweep_json
from bench.picture import draw, lacks
from bench.progress import Progress
from bench.report import goal_of, print_report, row_json
from bench.rounds import play_row
from bench.row import Outcome, Row
from bench.rows import ROWS
from bench.run import Run, parser, positive
from bench.sweep import Sweep, SweepOutcome, play_sweep
from bench.sweeps import PICTURE

__all__ = ["main", "with_noise"]

ROUNDS = 9
ROUNDS_QUICK = 3
ROUNDS_PICTURE = 3
BESIDE = Path()
"""Where the picture goes when ``--picture`` names no file: beside the JSON."""


def main(argv: Sequence[str], rows: Sequence[Row] = ROWS, sweeps: Sequence[Sweep] = PICTURE) -> int:
    """Plays the rows. With ``--picture`` it also plays the sweeps, and draws them."""
    arguments = _arguments(argv, rows)
    quick = arguments.quick
    by_name = {row.name: row for row in rows}
    chosen = [by_name[name] for name in arguments.names] or [
        row for row in rows if row.quick is not None or not quick
    ]
    if quick:
        chosen = [replace(row, lines=tuple(line.guarded for line in row.lines)) for row in chosen]
    noise = not quick if arguments.noise is None else arguments.noise
    if noise:
        chosen = [with_noise(row) for row in chosen]
    rounds = arguments.rounds or (ROUNDS_QUICK if quick else ROUNDS)
    curves = list(sweeps) if arguments.picture is not None else []
    rounds_picture = min(rounds, ROUNDS_PICTURE)

    run = Run("rows", arguments)
    steps = rounds * sum(row.rounds_scale for row in chosen)
    steps += rounds_picture * sum(len(chosen_sizes(sweep, quick)) for sweep in curves)
    with Progress(steps) as progress:
        outcomes = [
            play_row(row, (row.quick or row.load) if quick else row.load, rounds, progress)
            for row in chosen
        ]
        drawn = [
            play_sweep(sweep, chosen_sizes(sweep, quick), rounds_picture, progress)
            for sweep in curves
        ]
    print_report(outcomes, run.machine, sys.stdout)
    show_sweeps(drawn, sys.stdout)
    if drawn:
        path = Path(f"{run.stem}.png") if arguments.picture == BESIDE else arguments.picture
        draw(drawn, run.machine, path)
        print(f"Drawn to {path}")
    return run.conclude(
        {
            "rounds": rounds,
            "rows": [row_json(outcome) for outcome in outcomes],
            "sweeps": [sweep_json(outcome) for outcome in drawn],
        },
        _failed(outcomes, drawn),
        _short(outcomes),
    )


def with_noise(row: Row) -> Row:
    """A row that plays raw pyzmq twice in each round: how far two equal contestants differ."""
    raws = [contestant for contestant in row.contestants if contestant.name == "raw"]
    lines = [
        replace(line, subject="raw again", at_least=None, at_most=None, guard=None)
        for line in row.lines
        if line.against == "raw"
    ]
    return replace(
        row,
        contestants=(*row.contestants, *(replace(raw, name="raw again") for raw in raws)),
        lines=(*row.lines, *lines),
    )


def _failed(outcomes: Sequence[Outcome], drawn: Sequence[SweepOutcome]) -> list[str]:
    failed = [f"{outcome.row.name} failed" for outcome in outcomes if outcome.failure is not None]
    return failed + [f"{one.sweep.name} failed" for one in drawn if one.failures]


def _short(outcomes: Sequence[Outcome]) -> list[str]:
    return [
        f"{outcome.row.name}: {ratio.line.figure} is {ratio.median:.2f} times that of "
        f"{ratio.line.against}, {goal_of(ratio.line)} is the goal"
        for outcome in outcomes
        for ratio in outcome.ratios
        if not ratio.good
    ]


def _arguments(argv: Sequence[str], rows: Sequence[Row]) -> argparse.Namespace:
    made = parser(
        "",
        "Measures SPOT beside raw pyzmq and others, interleaved in one run. "
        "Other commands, each with --help: growth, overload, core.",
        {row.name: row.what for row in rows},
        "ROW",
    )
    made.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help=f"rounds of each row (default {ROUNDS}, with --quick {ROUNDS_QUICK}; "
        "round-trip plays three times as many, shorter ones)",
    )
    made.add_argument(
        "--noise",
        action=argparse.BooleanOptionalAction,
        help="play raw pyzmq against itself, in the same rounds (default: not with --quick)",
    )
    made.add_argument(
        "--picture",
        type=Path,
        nargs="?",
        const=BESIDE,
        metavar="FILE",
        help="also measure over sizes, loads, subscribers, topics and nodes, and draw that "
        "(png or svg; default: beside the JSON)",
    )
    arguments: argparse.Namespace = made.parse_args(argv)
    names = [row.name for row in rows]
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        made.error(f"no row is called {', '.join(unknown)}: there are {', '.join(names)}")
    if arguments.picture is not None and (lack := lacks()) is not None:
        made.error(f"--picture: {lack}")
    asked = [row for row in rows if row.name in arguments.names] or rows
    if (
        arguments.check
        and arguments.quick
        and not any(line.guard is not None for row in asked for line in row.lines)
    ):
        made.error(f"--assert: with --quick there is no goal for {', '.join(arguments.names)}")
    return arguments

"""The results of the rounds, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import util
from typing import Any, TextIO

from bench.row import Line, Outcome, Ratio

__all__ = ["goal_of", "number", "print_report", "print_table", "row_json"]

HEADER = ("row", "figure", "median of each", "ratio", "least - greatest", "goal", "")


def print_report(outcomes: Sequence[Outcome], machine: Mapping[str, Any], out: TextIO) -> None:
    """Prints the table, the load of each row, every run's figure, and the machine."""
    print_table(HEADER, [cells for outcome in outcomes for cells in _table_cells(outcome)], out)
    for outcome in outcomes:
        print(f"\n{outcome.row.name}: {outcome.row.what}; against {outcome.row.against}", file=out)
        print(
            f"  {outcome.load.messages:,} messages of {outcome.load.payload_bytes} bytes, "
            f"high-water marks {outcome.load.hwm:,}, rounds: {len(outcome.rounds)}",
            file=out,
        )
        for line in outcome.row.figures:
            for contestant in outcome.row.contestants:
                runs = (figures[contestant.name][line.figure] for figures in outcome.rounds)
                shown = " ".join(number(run * line.scale) for run in runs)
                print(f"  {line.figure} {contestant.name} [{line.unit}]: {shown}", file=out)
        if outcome.failure is not None:
            print(f"  FAILED: {outcome.failure}", file=out)
        if outcome.not_measured is not None:
            print(f"  not measured: {outcome.not_measured}", file=out)
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    print(f"\nMeasured on: {facts}", file=out)


def row_json(outcome: Outcome) -> dict[str, Any]:
    """A row as JSON. Rates are messages a second, times seconds. Rounds are in order of playing."""
    load = outcome.load
    return {
        "name": outcome.row.name,
        "what": outcome.row.what,
        "against": outcome.row.against,
        "messages": load.messages,
        "payload_bytes": load.payload_bytes,
        "hwm": load.hwm,
        "batch": load.batch,
        "subscribers": load.subscribers,
        "topics": load.topics,
        "failure": outcome.failure,
        "not_measured": outcome.not_measured,
        "lines": [_ratio_json(ratio) for ratio in outcome.ratios],
        "rounds": [
            {name: dict(values) for name, values in figures.items()} for figures in outcome.rounds
        ],
    }


def _table_cells(outcome: Outcome) -> list[tuple[str, ...]]:
    name = outcome.row.name
    if outcome.failure is not None:
        return [(name, "", "", "", "", "", "FAILED")]
    if outcome.not_measured is not None:
        return [(name, "", "", "", "", "", "not measured")]
    return [
        (
            name,
            f"{ratio.line.figure} [{ratio.line.unit}]",
            f"{ratio.line.subject} {number(ratio.subject * ratio.line.scale)}, "
            f"{ratio.line.against} {number(ratio.against * ratio.line.scale)}",
            f"{ratio.median:.2f}",
            f"{ratio.least:.2f} - {ratio.greatest:.2f}",
            goal_of(ratio.line),
            _verdict(ratio),
        )
        for ratio in outcome.ratios
    ]


def goal_of(line: Line) -> str:
    """The goal for the line's median ratio. Empty when there is none."""
    if line.at_least is not None:
        return f"at least {line.at_least:g}"
    if line.at_most is not None:
        return f"at most {line.at_most:g}"
    return ""


def _verdict(ratio: Ratio) -> str:
    if not goal_of(ratio.line):
        return ""
    return "good" if ratio.good else "SHORT"


def number(value: float) -> str:
    """The number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio_json(ratio: Ratio) -> dict[str, Any]:
    line = ratio.line
    return {
        "figure": line.figure,
        "subject": line.subject,
        "against": line.against,
        "subject_median": ratio.subject,
        "against_median": ratio.against,
        "ratio_median": ratio.median,
        "ratio_least": ratio.least,
        "ratio_greatest": ratio.greatest,
        "at_least": line.at_least,
        "at_most": line.at_most,
        "good": ratio.good,
    }


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    """A table. It is a plain one where rich is not installed."""
    if util.find_spec("rich") is None:
        _print_plain_table(header, rows, out)
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*map(escape, header), box=SIMPLE)
    for cells in rows:
        table.add_row(*map(escape, cells))
    # rich knows no width of a pipe, and would break the cells at 80 columns.
    Console(file=out, width=None if out.isatty() else 140).print(table)


def _print_plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for cells in (header, *rows):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print("  ".join(padded).rstrip(), file=out)

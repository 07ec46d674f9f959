"""A run's report in a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spot.testbed.report.document import Report, as_report, is_proved
from spot.testbed.report.figures import count, duration, headline, moment, proof_text
from spot.testbed.results import Result

__all__ = ["STYLES", "print_report", "print_result"]

STYLES = {"pass": "green", "fail": "bold red", "unknown": "yellow"}

FAULTS_SHOWN_MAX = 30


def print_result(console: Console, result: Result) -> None:
    """Prints verdict, guarantees with evidence, and faults with proof and figures."""
    print_report(console, as_report(result))


def print_report(console: Console, report: Report) -> None:
    """Does the same for a report that was read from a file."""
    console.print(_first_line(report), soft_wrap=True)
    first = headline(report)
    console.print(Text(first, style=STYLES[report["verdict"]]))
    for line in report["trouble"]:
        if not first.endswith(line):
            console.print(Text(f"  {line}", style="yellow"))
    if report["guarantees"]:
        console.print(_guarantees(report))
    if report["faults"]:
        console.print(_faults(report))
        for fault in report["faults"]:
            if not is_proved(fault):
                what = f"{fault['name']} {fault['target']}".strip()
                console.print(Text(f"{what}: {proof_text(fault)}", style="yellow"))


def _first_line(report: Report) -> Text:
    seed = "" if report["seed"] is None else f", seed {report['seed']}"
    return Text.assemble(
        (report["verdict"].upper(), STYLES[report["verdict"]]),
        "  ",
        (report["scenario"], "bold"),
        f" on {report['backend']}{seed}, {moment(report['started'])}, "
        f"{duration(report['duration_s'])}",
    )


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _guarantees(report: Report) -> Table:
    table = _table()
    table.add_column("guarantee", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("evidence", ratio=1)
    order = ("fail", "unknown", "pass")
    for guarantee in sorted(report["guarantees"], key=lambda one: order.index(one["verdict"])):
        summary, *details = guarantee["evidence"] or [""]
        evidence = Text(summary)
        if guarantee["verdict"] != "pass":
            for line in details:
                evidence.append(f"\n{line}", style="dim")
        verdict = Text(guarantee["verdict"], style=STYLES[guarantee["verdict"]])
        table.add_row(Text(guarantee["name"]), verdict, evidence)
    return table


def _faults(report: Report) -> Table | Padding:
    table = _table()
    table.add_column("fault")
    table.add_column("proof", ratio=1, overflow="fold")
    for heading in ("at", "lasted", "detect", "recover", "missed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for fault in report["faults"][:FAULTS_SHOWN_MAX]:
        end = fault["end_s"]
        proof = proof_text(fault) if is_proved(fault) else "not proved"
        table.add_row(
            Text(f"{fault['name']} {fault['target']}".strip()),
            Text(proof, style="" if is_proved(fault) else "yellow"),
            duration(fault["start_s"]),
            "never healed" if end is None else duration(end - fault["start_s"]),
            duration(fault["detect_s"]),
            duration(fault["recover_s"]),
            count(fault["missed"]),
        )
    more = len(report["faults"]) - FAULTS_SHOWN_MAX
    if more > 0:
        table.add_row(Text(f"and {more} more"), "", "", "", "", "", "")
    return table

"""``spot report``: the results of runs."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spot.testbed.report import (
    BrokenReport,
    StoredRun,
    find_run,
    list_runs,
    print_report,
    write_summary,
)
from spot.testbed.report.figures import moment
from spot.testbed.report.files import PAGE_FILE
from spot.testbed.report.terminal import STYLES

__all__ = ["command"]

RUNS_SHOWN = 30


@click.command("report")
@click.argument("run", required=False)
@click.option("--summary", is_flag=True, help="Write a page over all runs, and print its path.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="The directory of runs.",
)
def command(run: str | None, summary: bool, open_page: bool, as_json: bool, results: Path) -> None:
    """Show the results of RUN, or list all runs, newest first.

    \b
      spot report                      all runs
      spot report latest               the newest
      spot report split-brain          the newest of that scenario
      spot report split-brain/TIME     that one; a path works too
      spot report --summary --open     times to detect and to recover, over all runs
    """  # noqa: D301  click: a \b keeps a paragraph's lines
    if summary and run is not None:
        raise click.UsageError("--summary is over all runs: leave the run out")
    if summary:
        _show_page(write_summary(results), open_page, as_json)
    elif run is not None:
        _show_run(find_run(results, run), open_page, as_json)
    elif open_page:
        raise click.UsageError("--open needs a run, or --summary: spot report latest --open")
    else:
        _list(list_runs(results), results, as_json)


def _show_run(run: StoredRun, open_page: bool, as_json: bool) -> None:
    if run.report is None:
        raise BrokenReport(run.broken)
    if as_json:
        click.echo(json.dumps(run.report))
        return
    print_report(Console(highlight=False), run.report)
    page = run.directory / PAGE_FILE
    if page.is_file():
        _show_page(page, open_page, as_json)
    else:
        click.echo(f"no page: {page} is not there")


def _show_page(page: Path, open_page: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"page": str(page.absolute())}))
    else:
        click.echo(page)
    if open_page and not webbrowser.open(page.absolute().as_uri()):
        click.echo("no browser answers here: open the page yourself", err=True)


def _list(runs: list[StoredRun], results: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_document(run) for run in runs]))
        return
    if not runs:
        click.echo(f"no run below {results}: make one with 'spot scenario run'")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("run", overflow="fold")
    table.add_column("backend", no_wrap=True)
    table.add_column("seed", justify="right", no_wrap=True)
    table.add_column("started", no_wrap=True)
    for run in runs[:RUNS_SHOWN]:
        if run.report is None:
            table.add_row(Text("broken", style="yellow"), Text(run.name), "", "", "")
            continue
        verdict, seed = run.report["verdict"], run.report["seed"]
        table.add_row(
            Text(verdict, style=STYLES[verdict]),
            Text(run.name),
            Text(run.report["backend"]),
            "" if seed is None else str(seed),
            moment(run.report["started"]),
        )
    Console(highlight=False).print(table)
    if len(runs) > RUNS_SHOWN:
        click.echo(f"and {len(runs) - RUNS_SHOWN} older ones: spot report --summary shows more")
    for run in runs[:RUNS_SHOWN]:
        if run.broken is not None:
            click.echo(run.broken, err=True)


def _document(run: StoredRun) -> dict[str, Any]:
    page = run.directory / PAGE_FILE
    return {
        "run": run.name,
        "path": str(run.directory.absolute()),
        "page": str(page.absolute()) if page.is_file() else None,
        "verdict": None if run.report is None else run.report["verdict"],
        "backend": None if run.report is None else run.report["backend"],
        "seed": None if run.report is None else run.report["seed"],
        "started": run.started,
        "broken": run.broken,
    }

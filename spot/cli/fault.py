"""``spot fault``: breaks something in a running cluster, and proves that it is broken."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spot.cli.running import on_option, the_cluster
from spot.testbed import BadFault, Cluster, Proof, UnknownNode
from spot.testbed.faults import FAULTS, ActiveFault, Fault, inject, parse_fault
from spot.testbed.faults.by_hand import HandFault, faults_by_hand, forget, remember
from spot.testbed.process_id import ProcessId

__all__ = ["command", "print_proofs"]

EXIT_NOT_PROVED = 3
LIST = "list"
POLL_S = 0.5


@click.command(
    "fault",
    epilog="Kinds: " + ", ".join(FAULTS),
)
@click.argument("kind", type=click.Choice([LIST, *FAULTS]), metavar="KIND")
@click.argument("target", nargs=-1)
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0), help="Heal it after this many seconds."
)
@on_option
@click.option("--kinds", is_flag=True, help="With list: show all kinds, and how to write them.")
@click.option("--json", "as_json", is_flag=True, help="Print the proof as JSON.")
def command(
    kind: str,
    target: tuple[str, ...],
    seconds: float | None,
    on: str | None,
    kinds: bool,
    as_json: bool,
) -> None:
    """Make a fault of this KIND in the cluster that is up.

    \b
      spot fault cut a b                      their connection closes
      spot fault blackhole a b towards=a      a hears nothing from b any more
      spot fault partition a,b c              groups that don't hear each other
      spot fault latency a b latency=200      200 ms each way
      spot fault crash a --for 5              SIGKILL, and a new start after 5 s
      spot fault list --kinds                 every kind, and how to write it
      spot fault list                         the faults that act now
      spot heal                               undo all of them

    The fault lasts until 'spot heal', or for --for seconds. A fault that needs a running process
    (flap, and starve on processes) stays in the foreground until Ctrl-C heals it.

    Exit with 0 if the fault was proved to act, with 3 if not.
    """  # noqa: D301  click: a \b keeps a paragraph's lines
    if kinds or kind == LIST:
        if kind != LIST or target or seconds is not None:
            raise click.UsageError("'spot fault list' takes --kinds, --on and --json only")
        if kinds:
            _print_kinds(as_json)
        else:
            _print_active(the_cluster(on), as_json)
        return
    try:
        fault = parse_fault(" ".join([kind, *target]))
    except BadFault as error:
        raise click.UsageError(str(error)) from error
    cluster = the_cluster(on)
    try:
        fault.check(cluster.topology)
    except (BadFault, UnknownNode) as error:
        raise click.UsageError(str(error)) from error
    if not _make(cluster, fault, seconds, as_json):
        raise SystemExit(EXIT_NOT_PROVED)


def print_proofs(console: Console, proofs: Sequence[Proof]) -> None:
    """Prints a line for each proof."""
    for proof in proofs:
        mark = Text("  seen  ", "green") if proof.shown else Text("  NOT   ", "red")
        console.print(mark.append(f"{proof.wanted}: {proof.seen}", ""), soft_wrap=True)


def _make(cluster: Cluster, fault: Fault, seconds: float | None, as_json: bool) -> bool:
    """Makes the fault. Returns whether it was proved to act."""
    console = Console(highlight=False, quiet=as_json)
    is_kept = seconds is not None or fault.is_kept(cluster.run.backend)
    keeper = ProcessId.of(os.getpid()) if is_kept else None
    if is_kept:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # 'spot heal' sends it
    active = inject(cluster, fault)
    try:
        if not fault.is_momentary:
            window = active.window
            remember(cluster.run, HandFault(str(fault), window.began, False, keeper))
        active.prove()
        window = active.window
        if not fault.is_momentary:
            remember(cluster.run, HandFault(str(fault), window.began, window.is_proved, keeper))
        console.print(Text(f"{fault}: ", "bold").append(_state(active)))
        print_proofs(console, window.proofs)
        console.print(f"Now: {fault.watch}", soft_wrap=True)
        if is_kept and not fault.is_momentary:
            until = "Ctrl-C" if seconds is None else f"Ctrl-C, or {seconds:g} s have passed"
            console.print(f"It lasts until {until}; 'spot status --watch' elsewhere shows it.")
            _wait(cluster, seconds)
        elif not fault.is_momentary:
            console.print("'spot status --watch' shows it, 'spot heal' undoes it.")
    except BaseException:
        _heal(cluster, active, console)
        raise
    if not cluster.run.directory.exists():
        console.print(f"{cluster.topology.name} went down")
    elif is_kept or fault.is_momentary:
        _heal(cluster, active, console)
    if as_json:
        click.echo(json.dumps(_document(active)))
    return active.window.is_proved


def _wait(cluster: Cluster, seconds: float | None) -> None:
    """Waits until the time is over, Ctrl-C comes, or the cluster has gone."""
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while cluster.run.directory.exists() and (end is None or time.monotonic() < end):
            time.sleep(POLL_S if end is None else max(0.0, min(end - time.monotonic(), POLL_S)))
    except KeyboardInterrupt:
        return


def _heal(cluster: Cluster, active: ActiveFault, console: Console) -> None:
    proofs = active.heal()
    forget(cluster.run, str(active.fault))
    console.print("healed:")
    print_proofs(console, proofs)


def _state(active: ActiveFault) -> Text:
    window = active.window
    if window.error is not None:
        return Text(f"it failed: {window.error}", "red")
    if window.is_proved:
        return Text("it acts", "green")
    return Text("it could not be proved to act", "red")


def _document(active: ActiveFault) -> dict[str, Any]:
    window = active.window
    return {
        "fault": window.text,
        "proved": window.is_proved,
        "error": window.error,
        "healed": window.healed is not None,
        "proof": [
            {"wanted": one.wanted, "shown": one.shown, "seen": one.seen} for one in window.proofs
        ],
    }


def _print_kinds(as_json: bool) -> None:
    if as_json:
        kinds = [
            {
                "kind": kind.name,
                "usage": kind.usage,
                "summary": kind.summary,
                "proof": kind.proof,
                "watch": kind.watch,
                "needs_proxies": kind.needs_proxies,
            }
            for kind in FAULTS.values()
        ]
        click.echo(json.dumps(kinds))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("written")
    table.add_column("what it does")
    for kind in FAULTS.values():
        table.add_row(Text(kind.usage), Text(kind.summary))
    Console(highlight=False).print(table)


def _print_active(cluster: Cluster, as_json: bool) -> None:
    now = time.monotonic()
    found = faults_by_hand(cluster.run)
    if as_json:
        documents = [
            {"fault": one.text, "since_s": now - one.began, "proved": one.proved} for one in found
        ]
        click.echo(json.dumps(documents))
        return
    console = Console(highlight=False)
    for one in found:
        how = "" if one.proved else ", not proved"
        if one.keeper is not None:
            kept = "kept by" if one.keeper.is_alive else "left by the killed"
            how += f", {kept} process {one.keeper.pid}"
        console.print(f"{one.text}: for {now - one.began:.0f} s{how}", markup=False)
    if not found:
        console.print(f"no fault acts on {cluster.topology.name}")

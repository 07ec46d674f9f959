"""``spot scenario``: lists, shows and runs scenarios, and runs a plan again."""

from __future__ import annotations

import json
import secrets
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spot.cli.backend import backend_option, choose_backend
from spot.cli.scenario_batch import Outcome, outcome_table, run_batch
from spot.testbed.artefacts import find_plan
from spot.testbed.random_scenario import RANDOM, SEED_MAX, random_scenario
from spot.testbed.report import UnknownRun, print_result, write_summary
from spot.testbed.report.files import PAGE_FILE
from spot.testbed.scenario import Scenario
from spot.testbed.scenario_file import UnknownScenario, find_scenario, read_scenario, shipped
from spot.testbed.verdict import Verdict
from spot.testbed.yaml_reader import BadScenario

__all__ = ["command"]

ALL = "all"
SEED_OF_ALL = 1
"""The seed of ``all``, which is the same on every machine."""
SEEDS_MAX = 100_000
JOBS_DEFAULT = 2

results_option = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Directory of the artefacts.",
)


def _seeds(ctx: click.Context, param: click.Parameter, value: str | None) -> range | None:
    """``7`` or ``1-100``, as a range."""
    if value is None:
        return None
    first, dash, last = value.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise click.BadParameter(f"{value!r} is not a range of seeds such as 1-100")
    low, high = int(numbers[0]), int(numbers[-1])
    if not low <= high <= SEED_MAX or high - low >= SEEDS_MAX:
        raise click.BadParameter(
            f"{value!r} must rise, end at {SEED_MAX} at most, and have at most {SEEDS_MAX} seeds"
        )
    return range(low, high + 1)


@click.group("scenario")
def command() -> None:
    """Run scenarios: break a cluster by plan, heal it, and check SPOT's guarantees.

    Exit codes: 0 pass, 1 fail, 3 unknown (of several, fail outranks unknown), 2 wrong usage.
    """


@command.command("list", short_help="Name the scenarios that come with SPOT.")
@click.option("--tag", help="Only those with this tag.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(tag: str | None, as_json: bool) -> None:
    """List the scenarios that come with SPOT, and what each shows."""
    scenarios = _tagged(tag)
    if as_json:
        documents = [
            {
                "name": one.name,
                "title": one.title,
                "topology": one.topology.name,
                "nodes": len(one.topology.names),
                "backends": list(one.backends),
                "tags": list(one.tags),
                "seconds": one.length,
            }
            for one in scenarios
        ]
        click.echo(json.dumps(documents))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("scenario", no_wrap=True)
    table.add_column("nodes", justify="right")
    for heading in ("what it shows", "tags"):
        table.add_column(heading)
    for one in scenarios:
        count = str(len(one.topology.names))
        table.add_row(Text(one.name), count, Text(one.title), Text(" ".join(one.tags)))
    if tag in (None, RANDOM):
        table.add_row(RANDOM, "", "A plan drawn from a seed: --seed 7", RANDOM)
    Console(highlight=False).print(table)


@command.command("show", short_help="Print a scenario's file.")
@click.argument("name")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), help="The seed of 'random'.")
def show(name: str, seed: int | None) -> None:
    """Print the file of the scenario NAME, or the plan of 'random --seed N'."""
    if name == RANDOM:
        click.echo(random_scenario(_drawn_seed() if seed is None else seed).to_yaml(), nl=False)
        return
    if seed is not None:
        raise click.UsageError("--seed is for 'random'")
    _found(name)  # reports a broken file
    path = shipped().get(name, Path(name))
    click.echo(path.read_text(encoding="utf-8"), nl=False)


@command.command("run", short_help="Run scenarios and judge them.")
@click.argument("names", nargs=-1, metavar="NAME... | all | FILE.yaml")
@backend_option
@click.option("--seed", type=click.IntRange(0, SEED_MAX), help="The seed of 'random' (any).")
@click.option("--seeds", callback=_seeds, metavar="A-B", help="Run 'random' with each seed: 1-100.")
@click.option("--tag", help="Run SPOT's scenarios that have this tag.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=JOBS_DEFAULT,
    show_default=True,
    help="How many run at a time.",
)
@click.option("--program", help="Run this command as each node, on processes: 'python node.py'.")
@click.option("--image", help="Run this image as each node, in containers: 'mine:1.0'.")
@results_option
def run(
    names: tuple[str, ...],
    backend: str | None,
    seed: int | None,
    seeds: range | None,
    tag: str | None,
    jobs: int,
    program: str | None,
    image: str | None,
    results: Path,
) -> None:
    """Run the scenarios with these NAMEs, which may be files of your own, or all scenarios.

    Each leaves journals, logs, its plan and a report in results/NAME/TIME/. With --program or
    --image the nodes are yours, see docs/testing-your-own.md.
    """
    scenarios = _chosen(names, seed, seeds, tag)
    if program or image:
        backend, scenarios = _of_theirs(backend, scenarios, program, image)
    _run(scenarios, backend, results, jobs)


@command.command("replay", short_help="Run the plan of an earlier run again.")
@click.argument("run_", metavar="RUN")
@backend_option
@results_option
def replay(run_: str, backend: str | None, results: Path) -> None:
    """Run the plan of RUN again: a directory of artefacts, SCENARIO/TIME, or SCENARIO."""
    try:
        scenario = read_scenario(find_plan(results, run_))
    except (UnknownRun, BadScenario) as error:
        raise click.UsageError(str(error)) from error
    _run([scenario], backend, results, 1)


def _run(scenarios: list[Scenario], backend: str | None, results: Path, jobs: int) -> None:
    say = Console(stderr=True, highlight=False)
    chosen = choose_backend(backend, say)
    fitting = [one for one in scenarios if chosen in one.backends]
    for one in scenarios:
        if one not in fitting:
            say.print(f"{one.name} is left out: it runs on {' and '.join(one.backends)} only")
    if not fitting:
        raise click.UsageError(f"no scenario is left to run on {chosen}")
    try:
        results.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=results).close()
    except OSError as error:
        raise click.UsageError(
            f"nothing can be written to --results {results}: {error.strerror}"
        ) from error
    outcomes = run_batch(fitting, chosen, results, jobs, say)
    _show_outcomes(outcomes, results)
    raise SystemExit(Verdict.of(outcome.verdict for outcome in outcomes).exit_code)


def _show_outcomes(outcomes: list[Outcome], results: Path) -> None:
    console = Console(highlight=False)
    if len(outcomes) == 1 and outcomes[0].result is not None:
        print_result(console, outcomes[0].result)
        where: Path = outcomes[0].result.directory / PAGE_FILE
    else:
        console.print(outcome_table(outcomes))
        try:
            where = write_summary(results)
        except OSError as error:  # the verdicts are known, and the exit code tells them
            console.print(Text(f"no report: {error}", style="yellow"), soft_wrap=True)
            return
    console.print(Text(f"report: {where}"), soft_wrap=True)
    for outcome in outcomes:
        if outcome.verdict is not Verdict.PASS:
            text = f"{outcome.verdict}: {outcome.again or outcome.error}"
            console.print(Text(text), soft_wrap=True, style="bold")


def _chosen(
    names: tuple[str, ...], seed: int | None, seeds: range | None, tag: str | None
) -> list[Scenario]:
    if not names and tag is None:
        raise click.UsageError("name a scenario ('spot scenario list'), 'all', a file, or --tag")
    if seed is not None and seeds is not None:
        raise click.UsageError("give --seed or --seeds, not both")
    if (seed is not None or seeds is not None) and RANDOM not in names:
        raise click.UsageError("--seed and --seeds are for 'random'")
    if tag is not None and names:
        raise click.UsageError("give names or --tag, not both")
    if tag is not None:
        found = _tagged(tag)
        if not found:
            raise click.UsageError(f"no scenario has the tag {tag!r}: 'spot scenario list'")
        return found
    scenarios: list[Scenario] = []
    for name in names:
        if name == ALL:
            scenarios += [*_tagged(None), random_scenario(SEED_OF_ALL)]
        elif name == RANDOM:
            one = _drawn_seed() if seed is None else seed
            scenarios += [random_scenario(number) for number in seeds or (one,)]
        else:
            scenarios.append(_found(name))
    return scenarios


def _of_theirs(
    backend: str | None, scenarios: list[Scenario], program: str | None, image: str | None
) -> tuple[str, list[Scenario]]:
    """The backend that the user's own node needs, and the scenarios with that node."""
    if program and image:
        raise click.UsageError("give --program (processes) or --image (containers), not both")
    needed, option = ("process", "--program") if program else ("docker", "--image")
    if backend not in (None, needed):
        raise click.UsageError(f"{option} needs the backend {needed}, not {backend}")
    try:
        words = tuple(shlex.split(program)) if program else None
    except ValueError as error:
        raise click.UsageError(f"--program {program!r}: {error}") from error
    return needed, [replace(one, program=words, image=image) for one in scenarios]


def _tagged(tag: str | None) -> list[Scenario]:
    found = [_found(name) for name in shipped()]
    return [one for one in found if tag is None or tag in one.tags]


def _found(name: str) -> Scenario:
    try:
        return find_scenario(name)
    except (UnknownScenario, BadScenario) as error:
        raise click.UsageError(str(error)) from error


def _drawn_seed() -> int:
    return secrets.randbelow(1_000_000)

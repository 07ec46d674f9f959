"""Runs scenarios, a few at a time, and shows their progress and their results."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from spot.testbed.errors import ClusterError
from spot.testbed.random_scenario import RANDOM
from spot.testbed.report.figures import duration
from spot.testbed.report.terminal import STYLES
from spot.testbed.results import Result
from spot.testbed.scenario import Scenario
from spot.testbed.scenario_file import shipped
from spot.testbed.scenario_run import run_scenario
from spot.testbed.verdict import Verdict

__all__ = ["Outcome", "outcome_table", "run_batch"]

log = logging.getLogger(__name__)

WRONG_SHOWN_MAX = 6


@dataclass(frozen=True)
class Outcome:
    """The result of one scenario of a batch."""

    scenario: Scenario
    backend: str
    result: Result | None
    """None: it was not run."""
    error: str = ""
    """Why it was not."""

    @property
    def verdict(self) -> Verdict:
        """Unknown if it was not run."""
        return Verdict.UNKNOWN if self.result is None else self.result.verdict

    @property
    def again(self) -> str | None:
        """The command that runs the same plan again. None: there is no plan."""
        name, seed = self.scenario.name, self.scenario.seed
        if self.scenario.program or self.scenario.image or (name != RANDOM and self.result):
            # The plan names the user's own node.
            what = f"replay {self.result.directory}" if self.result else None
        elif name == RANDOM:
            what = f"run {name} --seed {seed}"
        else:
            what = f"run {name}" if name in shipped() else None
        return f"spot scenario {what} --backend {self.backend}" if what else None

    @property
    def wrong(self) -> list[str]:
        """The lines that say what is wrong."""
        if self.result is None:
            return [self.error]
        findings = [one for one in self.result.guarantees if one.verdict is not Verdict.PASS]
        findings.sort(key=lambda one: one.verdict is not Verdict.FAIL)
        lines = [*self.result.evidence.trouble]
        for one in findings:
            if one.verdict is self.verdict:
                lines.append(f"{one.guarantee}: {one.summary}")
                lines += [f"  {detail}" for detail in one.details[:1]]
        return lines


class ScenarioBatch:
    """One batch, run in threads. The main thread shows it, and ends it on Ctrl-C."""

    def __init__(
        self, total: int, backend: str, results: Path, progress: Progress, say: Console
    ) -> None:
        self._total = total
        self._done = 0
        self._overall = progress.add_task(f"0 of {total} done", total=None, visible=total > 1)
        self._backend = backend
        self._results = results
        self._progress = progress
        self._say = say
        self.cancelled = threading.Event()

    def run(self, scenario: Scenario) -> Outcome:
        """One scenario. Called by a thread of the pool."""
        if self.cancelled.is_set():
            return Outcome(scenario, self._backend, None, "not run, as the batch was interrupted")
        named = _name_of(scenario)
        task = self._progress.add_task(named, total=None)
        try:
            result = run_scenario(
                scenario,
                backend=self._backend,
                results=self._results,
                progress=lambda text: self._progress.update(task, description=f"{named}: {text}"),
                cancelled=self.cancelled,
            )
        except (ClusterError, OSError) as error:
            outcome = Outcome(scenario, self._backend, None, f"not run: {error}")
        except Exception as error:
            # The other scenarios of the batch may still have results.
            log.exception("%s could not be run or judged", named)
            why = f"not run or not judged: {type(error).__name__}: {error}"
            outcome = Outcome(scenario, self._backend, None, why)
        else:
            outcome = Outcome(scenario, self._backend, result)
        self._ended(task, outcome)
        return outcome

    def _ended(self, task: TaskID, outcome: Outcome) -> None:
        self._progress.remove_task(task)
        self._done += 1
        self._progress.update(self._overall, description=f"{self._done} of {self._total} done")
        verdict = Text(f"{outcome.verdict:7}", style=STYLES[outcome.verdict])
        took = duration(outcome.result.duration_s) if outcome.result else ""
        # Printed above the scenarios that still run, which are drawn again below it.
        self._say.print(Text.assemble(verdict, " ", _name_of(outcome.scenario), f" {took}"))
        if outcome.verdict is not Verdict.PASS:
            for line in outcome.wrong[:WRONG_SHOWN_MAX]:
                self._say.print(Text(f"        {line}"), soft_wrap=True)
            if outcome.again:
                self._say.print(Text(f"        again: {outcome.again}"), soft_wrap=True)


def run_batch(
    scenarios: Sequence[Scenario], backend: str, results: Path, jobs: int, say: Console
) -> list[Outcome]:
    """Runs all scenarios, ``jobs`` at a time. Those that must run alone come last, one by one.

    Ctrl-C and SIGTERM end the scenarios that are running: they are healed and cleaned up, and
    reported with what they showed so far. The others are not run. Call it from the main thread.
    """
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=say,
        transient=True,
        disable=not say.is_terminal,
    )
    batch = ScenarioBatch(len(scenarios), backend, results, progress, say)
    done: list[Outcome] = []
    with progress, _terminated_like_interrupted():
        for together, at_once in (
            ([one for one in scenarios if not one.alone], jobs),
            ([one for one in scenarios if one.alone], 1),
        ):
            with ThreadPoolExecutor(at_once) as pool:
                pending = [pool.submit(batch.run, scenario) for scenario in together]
                _wait(batch, pending, say)
            done += [future.result() for future in pending]
    order = {id(scenario): place for place, scenario in enumerate(scenarios)}
    return sorted(done, key=lambda outcome: order[id(outcome.scenario)])


def _wait(batch: ScenarioBatch, pending: list[Future[Outcome]], say: Console) -> None:
    try:
        wait(pending)
    except KeyboardInterrupt:
        batch.cancelled.set()
        say.print("interrupted: healing and ending what runs, some seconds")
        wait(pending)


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """A table of a batch: verdicts, and the longest times to detect and to recover."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("scenario", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for heading in ("took", "faults", "detect", "recover", "missed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            Text(_name_of(outcome.scenario)),
            Text(outcome.verdict, style=STYLES[outcome.verdict]),
            *_figures(outcome.result),
        )
    return table


def _figures(result: Result | None) -> list[str]:
    if result is None:
        return [""] * 5
    detect, recover, missed = (
        [value for fault in result.faults if (value := getattr(fault, name)) is not None]
        for name in ("detect_s", "recover_s", "missed")
    )
    return [
        duration(result.duration_s),
        str(len(result.faults)),
        duration(max(detect, default=None)),
        duration(max(recover, default=None)),
        f"{sum(missed):,}" if missed else "-",
    ]


def _name_of(scenario: Scenario) -> str:
    seed = "" if scenario.seed is None else f" --seed {scenario.seed}"
    return f"{scenario.name}{seed}"


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

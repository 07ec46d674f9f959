"""The parts of a benchmark: a row of contestants, their load, the figures compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.needs import Need, missing

if TYPE_CHECKING:
    from bench.stage import Stage

__all__ = [
    "Contestant",
    "Figures",
    "Line",
    "Load",
    "Outcome",
    "Ratio",
    "Row",
    "compare",
    "delivered",
    "merged",
]

Figures = Mapping[str, float]


def merged(reports: Sequence[Figures]) -> Figures:
    """The reports of all roles, merged into one."""
    return {name: value for figures in reports for name, value in figures.items()}


def delivered(reports: Sequence[Figures]) -> Figures:
    """The rate of all receivers together, in deliveries a second, and what the others reported.

    Each receiver reports ``msgs``, and when it ``began`` and ``ended`` to receive them, by
    ``time.perf_counter``, which is one clock for all processes.
    """
    receivers = [figures for figures in reports if "msgs" in figures]
    others = merged([figures for figures in reports if "msgs" not in figures])
    began = min(figures["began"] for figures in receivers)
    ended = max(figures["ended"] for figures in receivers)
    rate = sum(figures["msgs"] for figures in receivers) / (ended - began)
    return {**others, "rate": rate}


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load that every contestant of a row carries."""

    messages: int
    """Messages one way, or round trips."""
    payload_bytes: int = 64
    hwm: int = 100_000
    """High-water mark, in messages, of each queue on both sides."""
    batch: int = 1_000
    """Messages in each call (batched calls), or sent before they are received (one thread)."""
    subscribers: int = 1
    topics: int = 1
    patterns: int = 0
    """Subscriptions to patterns that match nothing."""
    rate_hz: float = 0.0
    """Messages offered in a second. 0: as many as the publisher can."""
    seconds: float = 0.0
    """Seconds that a load lasts which is not counted in messages."""
    taken_hz: float = 0.0
    """Messages a second that a slow subscriber takes."""
    stopped_s: float = 0.0
    """Seconds that a subscriber is stopped."""


def whole(load: Load) -> Load:
    """The load as it is."""
    return load


@dataclass(frozen=True)
class Contestant:
    """A contestant to measure. Each role is a module's function and runs in its own process."""

    name: str
    roles: tuple[Callable[[Stage], None], ...]
    sum_up: Callable[[Sequence[Figures]], Figures] = merged
    """Makes the figures of a round from the reports of the roles, in the order of roles."""
    carries: Callable[[Load], Load] = whole
    """Share of the row's load. A slower contestant gets fewer messages, to last as long."""
    needs: tuple[Need, ...] = ()
    """What must be installed for it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison: a figure of ``subject`` divided by that of ``against``."""

    figure: str
    unit: str
    scale: float = 1.0
    """The factor that turns a figure into ``unit``."""
    subject: str = "SPOT"
    against: str = "raw"
    at_least: float | None = None
    at_most: float | None = None
    """Goals for the median ratio. None: no goal."""
    guard: float | None = None
    """The goal for ``--quick`` instead. It has room for a noisy machine and few rounds, so that it
    fails for a regression, not for a busy neighbour. None: no goal."""

    @property
    def guarded(self) -> Line:
        """The line as ``--quick`` judges it."""
        if self.at_most is not None:
            return replace(self, at_most=self.guard)
        return replace(self, at_least=self.guard)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Contestants that carry the same load, and the lines that the table shows of them."""

    name: str
    what: str
    against: str
    contestants: tuple[Contestant, ...]
    load: Load
    lines: tuple[Line, ...]
    quick: Load | None = None
    """The load for ``--quick``. None: the row is not part of it."""
    rounds_scale: int = 1
    """Rounds to play for each round asked for. A figure such as p99 needs many short ones."""

    @property
    def figures(self) -> tuple[Line, ...]:
        """One line for each figure that the contestants report."""
        return tuple({line.figure: line for line in self.lines}.values())

    @property
    def not_measured(self) -> str | None:
        """What is missing on this machine to play the row, and how to get it."""
        needs = [need for contestant in self.contestants for need in contestant.needs]
        return missing(needs)


@dataclass(frozen=True)
class Ratio:
    """The result of one line: medians of both sides, and the ratio within each round."""

    line: Line
    subject: float
    against: float
    median: float
    least: float
    greatest: float

    @property
    def good(self) -> bool:
        """Whether the median ratio keeps the line's bounds."""
        line = self.line
        return (line.at_least is None or self.median >= line.at_least) and (
            line.at_most is None or self.median <= line.at_most
        )


@dataclass(frozen=True)
class Outcome:
    """A row that was played: the figures of every round by contestant, or why it failed."""

    row: Row
    load: Load
    rounds: tuple[Mapping[str, Figures], ...]
    """In the order of playing, also within a round."""
    failure: str | None = None
    not_measured: str | None = None
    """Why the row was not played at all."""

    @property
    def ratios(self) -> tuple[Ratio, ...]:
        """One ratio for each line. None when the row failed or was not played."""
        if self.failure is not None or self.not_measured is not None:
            return ()
        return tuple(compare(line, self.rounds) for line in self.row.lines)


def compare(line: Line, rounds: tuple[Mapping[str, Figures], ...]) -> Ratio:
    """The line's ratio, paired within each round."""
    subjects = [figures[line.subject][line.figure] for figures in rounds]
    others = [figures[line.against][line.figure] for figures in rounds]
    ratios = [subject / other for subject, other in zip(subjects, others, strict=True)]
    return Ratio(
        line,
        statistics.median(subjects),
        statistics.median(others),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )

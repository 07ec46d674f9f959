"""A sweep: the same measurement at growing sizes, and how fast its figures grow."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.progress import Progress
from bench.rounds import Failed, order, play_round
from bench.row import Contestant, Figures, Load

__all__ = ["Curve", "Sweep", "SweepOutcome", "order_of_growth", "play_sweep"]

TIMEOUT = 300.0
"""Seconds that a contestant may take for one size: the largest have up to 65 processes."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A figure over the sizes of a sweep."""

    figure: str
    label: str
    """The text of the axis, with its unit."""
    scale: float = 1.0
    """The factor that turns a figure into that unit."""
    order_at_most: float | None = None
    """How fast SPOT's figure may grow: 0 not at all, 1 linearly, 2 as the square of the size.
    None: not judged."""
    is_drawn: bool = True
    """Whether the figure has a panel in the picture."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Contestants that carry a load at growing sizes."""

    name: str
    what: str
    size: str
    """What grows, as the axis names it."""
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    """The sizes for ``--quick``."""
    contestants: Callable[[int], tuple[Contestant, ...]]
    load: Callable[[int], Load]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class SweepOutcome:
    """What was measured, as figures by round, size and contestant, and what failed."""

    sweep: Sweep
    sizes: tuple[int, ...]
    rounds: tuple[Mapping[int, Mapping[str, Figures]], ...]
    failures: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The contestants."""
        return tuple(contestant.name for contestant in self.sweep.contestants(self.sizes[0]))

    def points(self, name: str, curve: Curve) -> list[tuple[int, float]]:
        """The median over the rounds at each size where the contestant was measured."""
        found = []
        for size in self.sizes:
            values = [
                sizes[size][name][curve.figure]
                for sizes in self.rounds
                if curve.figure in sizes[size].get(name, {})
            ]
            if values:
                found.append((size, statistics.median(values)))
        return found

    def order(self, name: str, curve: Curve) -> float | None:
        """How fast the contestant's figure grows. None if that is unknown."""
        return order_of_growth(self.points(name, curve))

    def is_good(self, curve: Curve) -> bool:
        """Whether SPOT's figure keeps its limit of growth."""
        found = self.order("SPOT", curve)
        return curve.order_at_most is None or (found is not None and found <= curve.order_at_most)


def order_of_growth(points: Sequence[tuple[int, float]]) -> float | None:
    """The exponent k of size**k that best fits the upper half of the sizes, at least three of them.

    A cost that is the same at every size hides the growth at small sizes, so only the upper half
    counts. None with fewer than three sizes and figures above zero.
    """
    upper = list(points)[-max(3, (len(points) + 1) // 2) :]
    if len(upper) < 3 or any(value <= 0 for _, value in upper):
        return None
    xs = [math.log(size) for size, _ in upper]
    ys = [math.log(value) for _, value in upper]
    return statistics.linear_regression(xs, ys).slope


def play_sweep(
    sweep: Sweep, sizes: tuple[int, ...], rounds: int, progress: Progress
) -> SweepOutcome:
    """Plays all sizes in each round. A size that fails is left out, and named in the outcome."""
    played: list[dict[int, dict[str, Figures]]] = []
    failures: list[str] = []
    for index in range(rounds):
        played.append({})
        for size in sizes:
            figures = played[-1][size] = {}
            for contestant in order(sweep.contestants(size), index):
                try:
                    figures[contestant.name] = play_round(contestant, sweep.load(size), TIMEOUT)
                except Failed as failure:
                    where = f"{sweep.name}, {sweep.size} {size}, {contestant.name}: {failure}"
                    failures.append(where)
                    progress.tell(f"FAILED {where}")
            progress.step(f"{sweep.name}: round {index + 1} of {rounds}, {sweep.size} {size:,}")
    return SweepOutcome(sweep, sizes, tuple(played), tuple(failures))

"""How far a run is: a bar if a person watches a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from importlib import util
from types import TracebackType
from typing import Any, Self

__all__ = ["Progress"]


class Progress:
    """A run with a known number of steps, shown on standard error. A context manager."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and util.find_spec("rich") is not None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=self._steps)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, line: str) -> None:
        """One step is done. The line says which."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=line)
        else:
            self.tell(f"[{self._done}/{self._steps}] {line}")

    def skip(self, steps: int, line: str) -> None:
        """This many steps will not be done. The line says why."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
        self.tell(line)

    def tell(self, line: str) -> None:
        """Prints something that must not scroll by unseen."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

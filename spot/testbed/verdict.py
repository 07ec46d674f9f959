"""Verdicts: pass, fail or unknown, on one guarantee and on a whole run.

A verdict is *unknown* in these cases:

- A fault could not be applied, or was not proved to have acted (checkers/faults_proved.py).
- A checker lacks observations: there was no message or no outage, a journal is missing or has lost
  records, or nothing exercised the guarantee (checkers/finding.py).
- The testbed itself failed: a proxy died, or a node ended although no fault had ended it
  (``verdict_of`` in scenario_run.py).

Fail outranks unknown, and unknown outranks pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Finding", "Verdict"]


class Verdict(StrEnum):
    """The verdict on a guarantee, or on a whole run."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"
    """See the top of this file."""

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The verdict on all of these: fail, else unknown, else pass. Without any: unknown."""
        found = set(verdicts)
        if cls.FAIL in found:
            return cls.FAIL
        return cls.PASS if found == {cls.PASS} else cls.UNKNOWN

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 unknown; 2 is a usage error."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}[self]


@dataclass(frozen=True)
class Finding:
    """The verdict of one checker on one run."""

    guarantee: str
    """The name in ``docs/guarantees.md``."""
    verdict: Verdict
    summary: str
    """One line with figures: ``12,400 messages received once, 0 twice``."""
    details: tuple[str, ...] = field(default=())
    """The first few faults found, or why the verdict is unknown. Each names node and time."""
    is_exercised: bool = True
    """False: nothing in this run could have broken the guarantee, so the verdict is unknown."""

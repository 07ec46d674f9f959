"""What a scenario itself expects of a run, as patterns of journal records.

Guarantees hold in every run; an expectation says what this scenario must show, or must not, such
as "a is told that b was lost, because the link closed, within 0.1 s of the cut".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spot.testbed.journal import Record

__all__ = ["Expectation"]


@dataclass(frozen=True)
class Expectation:
    """Records of ``kind`` that must, or must not, stand in the journal of ``node``.

    Where: during the whole run until its nodes are told to leave, during a fault (from ``began`` to
    ``healed``), or after its heal. A fault is named by its number in the run, counted from 1, by
    its kind (``cut``), or as it is written (``cut a b``). A name that fits several means each.
    """

    name: str
    """What is expected, in a sentence: the name of the finding."""
    kind: str
    """The kind of the records."""
    node: str | None = None
    """Whose journal. None: those of all nodes together."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Every field named here must have the value, or one of the values where it is a list. Of a
    field of the record that is a list itself, one entry must."""
    during: int | str | None = None
    """From when this fault began until it was healed."""
    after: int | str | None = None
    """From when this fault was healed until the nodes were stopped. Not with ``during``. Neither:
    the whole run."""
    within: float | None = None
    """Ends that span of time so many seconds after the fault had acted, or was healed; or the run
    began. None: it is not shortened."""
    at_least: int = 1
    """So many records must fit."""
    at_most: int | None = None
    """No more than so many may. None: any number."""
    must: bool = True
    """False: no record may fit, whatever ``at_least`` and ``at_most`` say."""

    def fits(self, record: Record) -> bool:
        """Whether kind and fields are those that are meant; not when it happened."""
        return record.kind == self.kind and all(
            name in record.fields and _is_one_of(record.fields[name], wanted)
            for name, wanted in self.fields.items()
        )


def _is_one_of(value: Any, wanted: Any) -> bool:
    choices = wanted if isinstance(wanted, list | tuple) else [wanted]
    values = value if isinstance(value, list) else [value]
    return any(one in choices for one in values)

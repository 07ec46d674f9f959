"""What a scenario itself expects of a run, as patterns of journal records.

Guarantees hold in every run. An expectation says what this scenario must show, or must not show,
such as "a is told that b was lost, because the link closed, within 0.1 s of the cut".
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
    """The kind of the records, such as ``link_down``."""
    node: str | None = None
    """The node whose journal counts. None: the journals of all nodes together."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Each field named here must have this value, or one of these values if it is a list. If the
    record's field is a list, one of its entries must."""
    during: int | str | None = None
    """From when this fault began until it was healed."""
    after: int | str | None = None
    """From when this fault was healed until the nodes were stopped. Not with ``during``. Neither:
    the whole run."""
    within: float | None = None
    """The records must come within so many seconds after the fault acted or was healed, or after
    the run began. None: no such limit."""
    at_least: int = 1
    """The least number of records that must match."""
    at_most: int | None = None
    """The largest number of records that may match. None: any number."""
    must: bool = True
    """False: no record may match, whatever ``at_least`` and ``at_most`` say."""

    def fits(self, record: Record) -> bool:
        """Whether a record's kind and fields match. Does not look at the time."""
        return record.kind == self.kind and all(
            name in record.fields and _is_one_of(record.fields[name], wanted)
            for name, wanted in self.fields.items()
        )


def _is_one_of(value: Any, wanted: Any) -> bool:
    choices = wanted if isinstance(wanted, list | tuple) else [wanted]
    values = value if isinstance(value, list) else [value]
    return any(one in choices for one in values)

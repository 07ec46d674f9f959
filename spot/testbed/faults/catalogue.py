"""All faults by name, and the parser of their texts.

A new fault is a file here that defines a ``Fault`` (fault.py), an import, and an entry of
``FAULTS`` below. A fault that cuts links stands in ``_CUTTING`` of overlap.py as well, and a fault
for users of the testbed in ``__init__.py``. CONTRIBUTING.md has the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spot.testbed.errors import BadFault
from spot.testbed.faults.bandwidth import Bandwidth
from spot.testbed.faults.blackhole import Blackhole
from spot.testbed.faults.crash import Crash
from spot.testbed.faults.cut import Cut
from spot.testbed.faults.fault import Fault
from spot.testbed.faults.flap import Flap
from spot.testbed.faults.garbage import Garbage
from spot.testbed.faults.hub_lost import HubLost
from spot.testbed.faults.late import Late
from spot.testbed.faults.latency import Latency
from spot.testbed.faults.partition import Bridge, Halves, Isolate, Partition, Ring
from spot.testbed.faults.pause import Pause
from spot.testbed.faults.readdress import Readdress
from spot.testbed.faults.reset import Reset
from spot.testbed.faults.restart import Restart
from spot.testbed.faults.starve import Starve
from spot.testbed.faults.stop import Stop
from spot.testbed.faults.truncate import Truncate
from spot.testbed.faults.wording import Words

__all__ = ["FAULTS", "parse_fault"]

FAULTS: Mapping[str, type[Fault]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Cut,
            Blackhole,
            Latency,
            Bandwidth,
            Reset,
            Truncate,
            Flap,
            Partition,
            Isolate,
            Halves,
            Bridge,
            Ring,
            Crash,
            Stop,
            Restart,
            Pause,
            Starve,
            Readdress,
            Late,
            HubLost,
            Garbage,
        )
    }
)
"""Every kind, in the order in which the documentation has them."""


def parse_fault(text: str) -> Fault:
    """The fault of a text such as ``cut a b`` or ``latency a b latency=200 jitter=50``.

    Raises BadFault. It does not look whether the nodes exist; ``Fault.check`` does.
    """
    name = (text.split() or [""])[0]
    if name not in FAULTS:
        raise BadFault(f"there is no fault {name!r}: take one of {', '.join(FAULTS)}")
    kind = FAULTS[name]
    words = Words(text, kind.usage)
    fault = kind.parse(words)
    words.end()
    return fault

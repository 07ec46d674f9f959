"""Faults: named values that are applied to a running cluster, proved to act, and always healed.

    with inject(cluster, parse_fault("partition a,b c")) as active:
        active.prove()
        ...
    assert active.window.is_proved

Each fault has a file. ``fault.py`` says what a fault is, ``canary.py`` how an edge is probed.
"""

from spot.testbed.faults.active import ActiveFault, FaultNotApplied, FaultNotHealed, inject
from spot.testbed.faults.bandwidth import Bandwidth
from spot.testbed.faults.blackhole import Blackhole
from spot.testbed.faults.catalogue import FAULTS, parse_fault
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

__all__ = [
    "FAULTS",
    "ActiveFault",
    "Bandwidth",
    "Blackhole",
    "Bridge",
    "Crash",
    "Cut",
    "Fault",
    "FaultNotApplied",
    "FaultNotHealed",
    "Flap",
    "Garbage",
    "Halves",
    "HubLost",
    "Isolate",
    "Late",
    "Latency",
    "Partition",
    "Pause",
    "Readdress",
    "Reset",
    "Restart",
    "Ring",
    "Starve",
    "Stop",
    "Truncate",
    "inject",
    "parse_fault",
]

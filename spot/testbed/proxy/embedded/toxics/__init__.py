"""The toxics by the name that the API knows them by. A new one is a file here and a line below."""

from __future__ import annotations

from spot.testbed.proxy.embedded.toxics.bandwidth import BandwidthToxic
from spot.testbed.proxy.embedded.toxics.base import Toxic
from spot.testbed.proxy.embedded.toxics.latency import LatencyToxic
from spot.testbed.proxy.embedded.toxics.limit_data import LimitDataToxic
from spot.testbed.proxy.embedded.toxics.noop import NoopToxic
from spot.testbed.proxy.embedded.toxics.reset_peer import ResetPeerToxic
from spot.testbed.proxy.embedded.toxics.slicer import SlicerToxic
from spot.testbed.proxy.embedded.toxics.slow_close import SlowCloseToxic
from spot.testbed.proxy.embedded.toxics.timeout import TimeoutToxic

__all__ = ["TOXICS", "NoopToxic", "Toxic"]

TOXICS: dict[str, type[Toxic]] = {
    "bandwidth": BandwidthToxic,
    "latency": LatencyToxic,
    "limit_data": LimitDataToxic,
    "noop": NoopToxic,
    "reset_peer": ResetPeerToxic,
    "slicer": SlicerToxic,
    "slow_close": SlowCloseToxic,
    "timeout": TimeoutToxic,
}

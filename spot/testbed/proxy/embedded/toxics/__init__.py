"""The toxics by the name that the API knows them by. A new one is a file here and a line below."""

from __future__ import annotations

from spot.testbed.proxy.embedded.toxics.bandwidth import Bandwidth
from spot.testbed.proxy.embedded.toxics.base import Toxic
from spot.testbed.proxy.embedded.toxics.latency import Latency
from spot.testbed.proxy.embedded.toxics.limit_data import LimitData
from spot.testbed.proxy.embedded.toxics.noop import Noop
from spot.testbed.proxy.embedded.toxics.reset_peer import ResetPeer
from spot.testbed.proxy.embedded.toxics.slicer import Slicer
from spot.testbed.proxy.embedded.toxics.slow_close import SlowClose
from spot.testbed.proxy.embedded.toxics.timeout import Timeout

__all__ = ["TOXICS", "Noop", "Toxic"]

TOXICS: dict[str, type[Toxic]] = {
    "bandwidth": Bandwidth,
    "latency": Latency,
    "limit_data": LimitData,
    "noop": Noop,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "slow_close": SlowClose,
    "timeout": Timeout,
}

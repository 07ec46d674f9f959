"""The state that all parts of a node share: its identity, its limits, its time, and its effects."""

from __future__ import annotations

from spot.config import Config
from spot.core.counters import Counters
from spot.core.effects import Effects
from spot.core.wire import batches
from spot.core.wire.greeting import Incarnation


class NodeContext:
    """One object that every part of a NodeCore gets with its construction.

    ``now`` is the time of the current call, in monotonic seconds. ``deadline`` is when the node
    wants to be called next. ``refusing`` says that publishes to topics of this node are refused, as
    it has no quorum. ``leaving`` says that it has said goodbye to all peers.
    """

    __slots__ = (
        "bytes_max",
        "config",
        "counters",
        "deadline",
        "effects",
        "incarnation",
        "leaving",
        "node",
        "now",
        "rcvhwm",
        "refusing",
        "sndhwm",
    )

    def __init__(self, config: Config, node: str, incarnation: Incarnation, now: float) -> None:
        self.config = config
        self.node = node
        self.incarnation = incarnation
        self.sndhwm = config.sndhwm
        self.rcvhwm = config.rcvhwm
        self.bytes_max = max(config.max_message_bytes, 2 * batches.CHUNK_BYTES)
        self.counters = Counters()
        self.effects = Effects()
        self.now = now
        self.deadline = now
        self.refusing = False
        self.leaving = False

    def due(self, at: float) -> None:
        """The node wants to be called at this moment, if nothing is due before."""
        if at < self.deadline:
            self.deadline = at

    def note_missed(self, missed: int | None) -> None:
        """Counts messages that this node's subscriptions missed. None: an unknown number."""
        if missed is None:
            self.counters.missed_unknown += 1
        else:
            self.counters.missed_msgs += missed

"""The barrier behind ``cluster_sync``."""

from __future__ import annotations


class Sync:
    """One ``cluster_sync`` under way: which nodes have answered with which topics."""

    __slots__ = ("answers", "nonce")

    def __init__(self, nonce: int) -> None:
        self.nonce = nonce
        self.answers: dict[str, frozenset[str]] = {}

"""The node program, around a node that has been made wrong."""

from __future__ import annotations

import sys

from spot import Spot
from spot.program import run
from spot.program.__main__ import main

EVERY = 20
"""Of so many messages one goes wrong."""


def play(node: type[Spot] = Spot) -> None:
    """Runs the node program with nodes of this class, until a signal ends it."""
    vars(run)["Spot"] = node
    sys.exit(main([]))

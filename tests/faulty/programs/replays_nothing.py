"""A node that says it has a replay buffer, and keeps none."""

from __future__ import annotations

from spot import Config, Spot
from tests.faulty.programs.faulty import play


class ReplaysNothing(Spot):
    def __init__(self, config: Config) -> None:
        super().__init__(config.with_settings(history_bytes=0))


if __name__ == "__main__":
    play(ReplaysNothing)

"""A node that counts itself for everybody."""

from __future__ import annotations

from spot import Config, Spot
from tests.faulty.programs.faulty import play


class AlwaysHasAQuorum(Spot):
    def __init__(self, config: Config) -> None:
        assert config.node_id is not None
        super().__init__(config.with_settings(members=(config.node_id,)))


if __name__ == "__main__":
    play(AlwaysHasAQuorum)

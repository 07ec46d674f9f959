"""A node whose view takes everybody back as soon as there is a link."""

from __future__ import annotations

from spot import Config, Spot
from tests.faulty.programs.faulty import play


class TrustsALinkAtOnce(Spot):
    def __init__(self, config: Config) -> None:
        super().__init__(config.with_settings(stable_after=0))


if __name__ == "__main__":
    play(TrustsALinkAtOnce)

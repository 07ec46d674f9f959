"""A node that sends one in twenty of what it publishes to others' topics a second time."""

from __future__ import annotations

from typing import Any

from spot import Spot
from spot.program.payload import publisher_of
from tests.faulty.programs.faulty import EVERY, play


class PublishesTwice(Spot):
    sent = 0

    def publish(self, topic: str, data: Any, **options: Any) -> None:
        super().publish(topic, data, **options)
        if publisher_of(data) is not None:
            self.sent += 1
            if self.sent % EVERY == 0:
                super().publish(topic, data, **options)


if __name__ == "__main__":
    play(PublishesTwice)

"""A node whose publish raises once in twenty times, after it has published all the same."""

from __future__ import annotations

from typing import Any

from spot import QueueFull, Spot
from tests.faulty.programs.faulty import EVERY, play


class PublishesWhatRaised(Spot):
    count = 0

    def publish(self, topic: str, data: bytes | bytearray | memoryview, **given: Any) -> None:
        super().publish(topic, data, **given)
        self.count += 1
        if self.count % EVERY == 0:
            raise QueueFull("the queue is full, or so it says")


if __name__ == "__main__":
    play(PublishesWhatRaised)

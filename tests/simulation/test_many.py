"""Many topics in one record: the guarantees hold for each of them, and wrong cores are noticed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from spot.core.topics.announced import Announced
from spot.core.topics.hosted_topic import HostedTopic
from spot.core.wire.multi_batch import MultiBatch
from tests.simulation.catching import assert_caught
from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.schedule import draw_many_topics
from tests.simulation.world import run_plan

SEEDS = 60
SEEDS_TO_CATCH = 200


@pytest.mark.parametrize("start", range(0, SEEDS, 20))
def test_random_schedules_with_many_topics_hold_every_guarantee(start: int) -> None:
    """A cut, a full queue or a new subscription meets one topic of a record, or all of them."""
    batches = 0

    def counts(node: Node) -> None:
        receive = node.core.receiver.on_multi

        def count(announced: Announced, batch: MultiBatch) -> None:
            nonlocal batches
            batches += 1
            receive(announced, batch)

        node.core.receiver.on_multi = count  # type: ignore[method-assign]

    for seed in range(start, start + 20):
        try:
            run_plan(partial(draw_many_topics, seed), counts)
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")
    assert batches > 200


def mixes_topics_up(node: Node) -> None:
    """Payloads of one topic go out under the number of another."""
    receive = node.core.receiver.on_multi

    def wrong(announced: Announced, batch: MultiBatch) -> None:
        receive(announced, batch._replace(topic_ids=batch.topic_ids[::-1]))

    node.core.receiver.on_multi = wrong  # type: ignore[method-assign]


def counts_no_gaps(node: Node) -> None:
    """What does not follow is taken for what does."""
    receive = node.core.receiver.on_multi

    def wrong(announced: Announced, batch: MultiBatch) -> None:
        for topic_id, sequence in zip(batch.topic_ids, batch.sequences, strict=True):
            stream = node.core.receiver._find_stream(announced, topic_id)
            if stream is not None and stream.last < sequence:
                stream.last = sequence - 1
                stream.owed = 0
        receive(announced, batch)

    node.core.receiver.on_multi = wrong  # type: ignore[method-assign]


def drops_the_last(node: Node) -> None:
    order = node.core.hosting.publish_across

    def wrong(topics: Sequence[HostedTopic], payloads: Sequence[bytes]) -> int:
        room = order(topics, payloads)
        for subscriber in topics[-1].live:
            flow = subscriber.flow
            if flow.out and node.random.random() < 0.1:
                chunk = flow.out.pop()
                flow.out_msgs -= chunk.count
                flow.out_bytes -= chunk.size
        return room

    node.core.hosting.publish_across = wrong  # type: ignore[method-assign]


def remembers_for_ever(node: Node) -> None:
    """Streams are taken as they were when they were first looked at."""
    registry = node.core.registry

    class Wrong(type(registry)):  # type: ignore[misc]
        version = property(lambda self: 0, lambda self, value: None)

    registry.__class__ = Wrong


def gives_each_topic_all_the_room(node: Node) -> None:
    order = node.core.hosting.publish_across

    def wrong(topics: Sequence[HostedTopic], payloads: Sequence[bytes]) -> int:
        return order(topics, payloads) + len(payloads)

    node.core.hosting.publish_across = wrong  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (mixes_topics_up, "is .*, not |was never published"),
        (counts_no_gaps, "says missed"),
        (drops_the_last, "says missed|up to|lost"),
        (remembers_for_ever, "."),
        (gives_each_topic_all_the_room, "says there is room"),
    ],
)
def test_oracle_catches_a_core_that(wrong: Callable[[Node], None], said: str) -> None:
    """Without, nobody would know whether the schedules reach what is special to many topics."""
    assert_caught(wrong, said, SEEDS_TO_CATCH, draw_many_topics)

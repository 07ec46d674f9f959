import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from spot import Closed, QueueFull, Spot
from spot.program.payload import counter_of
from spot.program.recorder import Recorder
from spot.program.settings import ProgramSettings
from spot.program.traffic import Traffic, publish_numbered
from tests.library.waiting import wait_until


class _Node:
    """Takes publishes as a node would, refuses those it is told to, closes after ``last``."""

    def __init__(self, last: int, refused: frozenset[int] = frozenset()) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.times: list[float] = []
        self._last = last
        self._refused = refused

    def publish(self, topic: str, data: bytes) -> None:
        counter = counter_of(data)
        assert counter is not None
        if counter > self._last:
            raise Closed("closed")
        self.times.append(time.monotonic())
        if counter in self._refused:
            raise QueueFull("full", topic=topic)
        self.published.append((topic, data))


class _Records:
    def __init__(self) -> None:
        self.kept: list[tuple[Any, ...]] = []

    def publish(self, at: float, topic: str, counter: int) -> None:
        self.kept.append(("publish", topic, counter))

    def publish_error(self, at: float, topic: str, counter: int, error: Exception) -> None:
        self.kept.append(("publish_error", topic, counter))


def _publish(
    node: _Node,
    *,
    rate: float,
    topics: tuple[str, ...] = ("t",),
    stopped: threading.Event | None = None,
) -> _Records:
    records = _Records()
    publish_numbered(
        cast(Spot, node),
        cast(Recorder, records),
        topics,
        rate=rate,
        payload_bytes=16,
        stopped=stopped or threading.Event(),
    )
    return records


def test_traffic_numbers_every_topic_from_one() -> None:
    """Loss is found by counters alone, so they must begin and go on as docs/journal.md says."""
    node = _Node(last=3)
    records = _publish(node, rate=10_000, topics=("t", "u"))
    expected = [("publish", topic, counter) for counter in (1, 2, 3) for topic in ("t", "u")]
    assert records.kept == expected
    assert [counter_of(data) for _, data in node.published] == [1, 1, 2, 2, 3, 3]


def test_traffic_never_uses_a_counter_again_after_an_error() -> None:
    """That a publish which raised never arrives can be checked only if its number is its own."""
    node = _Node(last=4, refused=frozenset({2}))
    records = _publish(node, rate=10_000)
    assert records.kept == [
        ("publish", "t", 1),
        ("publish_error", "t", 2),
        ("publish", "t", 3),
        ("publish", "t", 4),
    ]


def test_traffic_keeps_its_rate_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate that drifts with the cost of each publish would make every figure per second wrong."""
    now = [1000.0]

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            now[0] += timeout + 0.0001  # and a little longer, as always
            return False

    class Costly(_Node):
        def publish(self, topic: str, data: bytes) -> None:
            super().publish(topic, data)
            self.times[-1] = now[0]
            now[0] += 0.0007

    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("spot.program.traffic.time", clock)
    node = Costly(last=101)
    _publish(node, rate=500, stopped=Waiting())
    assert node.times[-1] - node.times[0] == pytest.approx(100 / 500, rel=0.02)


def test_traffic_ends_when_it_is_told_to() -> None:
    """SIGTERM must not wait for a publisher that sleeps until its next message is due."""
    stopped = threading.Event()
    thread = threading.Thread(
        target=publish_numbered,
        args=(_Node(last=9), _Records(), ("t",)),
        kwargs={"rate": 0.01, "payload_bytes": 1, "stopped": stopped},
    )
    thread.start()
    stopped.set()
    thread.join(timeout=5)
    assert not thread.is_alive()


def _traffic(node: _Node, **settings: str) -> tuple[Traffic, _Records]:
    records = _Records()
    given = ProgramSettings.from_env({"SPOT_RATE": "500", **settings})
    return Traffic(cast(Spot, node), cast(Recorder, records), given), records


def test_traffic_that_is_quiet_publishes_nothing_more() -> None:
    """What was published after the answer would look lost to whoever counts then."""
    node = _Node(last=10**6)
    traffic, records = _traffic(node, SPOT_TOPICS="t")
    thread = threading.Thread(target=traffic.publish_own)
    thread.start()
    wait_until(lambda: records.kept, what="a publish")
    assert traffic.quiet(5)
    count = len(node.published)
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert len(node.published) == count == len(records.kept)


def test_traffic_tells_when_a_publish_does_not_return() -> None:
    """A publisher that waits for a full queue is not quiet yet, and must not be called so."""
    publishing, release = threading.Event(), threading.Event()

    class Blocked(_Node):
        def publish(self, topic: str, data: bytes) -> None:
            publishing.set()
            release.wait(10)

    traffic, _ = _traffic(Blocked(last=1), SPOT_TOPICS="t")
    thread = threading.Thread(target=traffic.publish_own)
    thread.start()
    try:
        assert publishing.wait(5)
        assert not traffic.quiet(0)
    finally:
        release.set()
        thread.join(timeout=5)
    assert traffic.quiet(5)


def test_traffic_follows_topics_that_come_and_go() -> None:
    """A backup that takes a topic over by command must serve it from then on."""
    node = _Node(last=10**6)
    traffic, _ = _traffic(node)
    thread = threading.Thread(target=traffic.publish_own)
    thread.start()
    try:
        traffic.add("t")
        wait_until(lambda: node.published, what="a publish to the new topic")
        traffic.drop("t")
        traffic.add("u")
        wait_until(lambda: node.published[-1][0] == "u", what="a publish to the next")
    finally:
        traffic.quiet(5)
        thread.join(timeout=5)
    counters = [counter_of(data) for _, data in node.published]
    assert counters == sorted(set(counters), key=counters.index), "no counter is used twice"

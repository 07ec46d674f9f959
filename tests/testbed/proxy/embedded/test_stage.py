"""The queue of a toxic: what it holds is never lost, whenever the toxic comes or goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.testbed.proxy.embedded.stage import PlacedToxic, Stage
from spot.testbed.proxy.embedded.toxics import TOXICS


@dataclass
class Bucket:
    """Where bytes end."""

    data: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def put(self, data: bytes | memoryview) -> None:
        assert not self.ended
        self.data += data

    def end(self) -> None:
        self.ended = True

    async def room(self) -> None:
        pass


def _stage(kind: str, after: Bucket, **attributes: int) -> Stage:
    placed = PlacedToxic("t", kind, "upstream", 1.0, TOXICS[kind](**attributes))
    return Stage(placed, after, lambda: None)


@settings(max_examples=50)
@given(
    st.sampled_from(
        [
            ("latency", {"latency": 1}),
            ("bandwidth", {"rate": 1}),
            ("slicer", {"average_size": 3}),
            ("noop", {}),
            ("slow_close", {"delay": 1000}),
        ]
    ),
    st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    st.integers(min_value=0, max_value=6),
    st.booleans(),
)
def test_stage_that_leaves_hands_over_all_it_has(
    toxic: tuple[str, dict[str, int]], chunks: list[bytes], turns: int, ended: bool
) -> None:
    """At whatever moment a toxic is removed, each byte arrives once and in order, and the end."""

    async def run() -> Bucket:
        bucket = Bucket()
        stage = _stage(toxic[0], bucket, **toxic[1])
        for chunk in chunks:
            stage.put(chunk)
            await asyncio.sleep(0)
        if ended:
            stage.end()
        for _ in range(turns):
            await asyncio.sleep(0)
        stage.leave()
        await asyncio.sleep(0)
        return bucket

    bucket = asyncio.run(run())
    assert bytes(bucket.data) == b"".join(chunks)
    assert bucket.ended == ended


def test_stage_counts_what_waits_in_it() -> None:
    """The source is held up by this number: it must come back to nothing."""

    async def run() -> None:
        bucket = Bucket()
        stage = _stage("bandwidth", bucket)
        stage.put(bytes(1000))
        stage.put(bytes(1))
        assert stage.cost_bytes > 1001
        stage.drop(400)
        stage.drop()
        stage.drop(1)
        assert stage.cost_bytes == 0
        stage.abort()

    asyncio.run(run())


@pytest.mark.parametrize("kind", sorted(TOXICS))
def test_stage_passes_the_end_on(kind: str) -> None:
    """With nothing to hold, every toxic lets a connection end."""

    async def run() -> bool:
        bucket = Bucket()
        stage = _stage(kind, bucket)
        stage.end()
        for _ in range(10):
            await asyncio.sleep(0)
        stage.put(b"too late")
        return bucket.ended and not bucket.data

    assert asyncio.run(run())

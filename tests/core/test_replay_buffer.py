"""What a replay buffer holds: the newest messages, whole, within its limit in bytes; and which
buffer gives way when all together hold too much.
"""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.topics.replay_buffer import ReplayBuffer, ReplayBuffers, cost_of
from spot.core.wire import batches, codec
from spot.core.wire.batches import Chunk
from tests.core.fixed import examples
from tests.core.frames import PAYLOADS


def buffer_of(limit: int, buffers: ReplayBuffers | None = None) -> ReplayBuffer:
    return ReplayBuffer(limit, 1, buffers or ReplayBuffers(1 << 30))


def chunk_of(first: int, payloads: list[bytes]) -> Chunk:
    return batches.encoded(codec.DATA, 1, first, payloads)


def payloads_in(buffer: ReplayBuffer, first: int) -> dict[int, bytes]:
    """All that a reader finds from a sequence on."""
    found: dict[int, bytes] = {}
    at = first
    while (chunk := buffer.find(at)) is not None:
        piece = chunk.part(max(at, chunk.first), 3)
        batch = batches.batch_of(piece.data, piece.large)
        assert batch.first == piece.first
        found |= dict(enumerate(batches.payloads_of(batch), piece.first))
        at = piece.last + 1
    return found


@examples(100)
@given(
    many=st.lists(st.tuples(PAYLOADS, st.booleans()), max_size=80),
    limit=st.one_of(st.just(0), st.integers(200, 300), st.integers(0, 3000), st.just(1 << 20)),
    start=st.integers(1, 200),
)
def test_history_holds_the_newest_as_they_were(
    many: list[tuple[list[bytes], bool]], limit: int, start: int
) -> None:
    # What comes out of a replay must be what went in, from any position, however it was joined
    # and cut; and nothing older than what is held may be held.
    buffers = ReplayBuffers(1 << 30)
    buffer = buffer_of(limit, buffers)
    published: list[bytes] = []
    for payloads, plain in many:
        chunk = chunk_of(len(published) + 1, payloads)
        published += payloads
        if plain and buffer.takes_plain(payloads, chunk.size):
            if len(payloads) == 1:
                full = buffer.add_one(chunk.first, payloads[0], chunk.size)
                assert full is (buffer.size > limit)
            else:
                buffer.add_plain(chunk.first, payloads, chunk.size)
            while buffer.size > buffer.limit:
                buffers.drop_oldest(buffer)
            continue
        for piece in buffer.fitting(chunk):
            buffers.add(buffer, piece)
            while buffer.size > buffer.limit:
                buffers.drop_oldest(buffer)
        assert buffer.size == sum(map(cost_of, buffer.chunks)) == buffers.size <= limit
    assert buffer.size == buffers.size <= limit
    everything = payloads_in(buffer, 1)
    assert everything == {at: published[at - 1] for at in everything}
    if published and cost_of(chunk_of(1, published[-1:])) <= limit:
        assert list(everything) == list(range(min(everything), len(published) + 1))
    assert payloads_in(buffer, start) == {
        at: data for at, data in everything.items() if at >= start
    }


def test_a_message_that_fits_alone_is_kept_whatever_batch_it_came_in() -> None:
    # Cut out of a batch of sizes that differ it must take no more than as a batch of its own.
    last = chunk_of(2, [b"x"])
    buffer = buffer_of(cost_of(last))
    for piece in buffer.fitting(chunk_of(1, [b"", b"x"])):
        buffer.add(piece)
        while buffer.size > buffer.limit:
            buffer.drop_oldest()
    assert payloads_in(buffer, 1) == {2: b"x"}


@examples(200)
@given(payloads=PAYLOADS, data=st.data())
def test_a_part_of_a_batch_is_that_part(payloads: list[bytes], data: st.DataObject) -> None:
    # A reader may come with any position, and take as few as its window allows.
    chunk = chunk_of(5, payloads)
    skip = data.draw(st.integers(0, len(payloads) - 1))
    most = data.draw(st.integers(1, len(payloads)))
    part = chunk.part(5 + skip, most)
    wanted = payloads[skip : skip + most]
    assert batches.payloads_of(batches.batch_of(part.data, part.large)) == tuple(wanted)
    assert (part.first, part.count, part.size) == (5 + skip, len(wanted), sum(map(len, wanted)))


def test_single_messages_are_kept_densely() -> None:
    # A thousand messages a second, each a batch of its own, for as long as an outage may last.
    buffer = buffer_of(4 << 20)
    for at in range(1, 15_001):
        buffer.add(chunk_of(at, [b"x" * 64]))
    assert buffer.size < 15_000 * 90
    assert len(payloads_in(buffer, 1)) == 15_000


@pytest.mark.parametrize(("size", "count"), [(64, 1), (2000, 1), (10, 30), (100_000, 1)])
def test_limit_covers_the_memory_that_it_takes(size: int, count: int) -> None:
    # "Overhead included": the limit is about the memory of the process.
    buffer = buffer_of(4 << 20)
    tracemalloc.start()
    at = 1
    while buffer.size < 3 << 20:
        payloads = [bytes(size) for _ in range(count)]
        for chunk in buffer.fitting(chunk_of(at, payloads)):
            buffer.add(chunk)
        at += count
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 1.1 * buffer.size


def test_full_replay_buffers_take_from_the_one_that_holds_most() -> None:
    # One busy topic must not push out what the buffers of quiet topics hold.
    buffers = ReplayBuffers(100_000)
    quiet = [buffer_of(1 << 20, buffers) for _ in range(9)]
    busy = buffer_of(1 << 20, buffers)
    dropped = 0
    for at in range(1, 1001):
        for buffer in quiet if at <= 20 else ():
            buffers.add(buffer, chunk_of(at, [b"x" * 64]))
        buffers.add(busy, chunk_of(at, [b"x" * 1000]))
        while buffers.size > buffers.limit:
            largest = buffers.largest()
            assert largest is busy
            buffers.drop_oldest(largest)
            dropped += 1
    assert dropped
    assert busy.size > 50_000
    assert all(len(payloads_in(buffer, 1)) == 20 for buffer in quiet)


def test_shares_shrink_as_topics_come() -> None:
    # A buffer that held all of it alone gives way to every new topic.
    buffers = ReplayBuffers(100_000)
    found: list[ReplayBuffer] = []
    for _ in range(20):
        found.append(buffer_of(1 << 20, buffers))
        for at in range(1, 300):
            buffers.add(found[-1], chunk_of(at, [b"x" * 1000]))
            while buffers.size > buffers.limit:
                buffers.drop_oldest(buffers.largest())
    sizes = [buffer.size for buffer in found]
    assert sum(sizes) == buffers.size <= 100_000
    assert min(sizes) >= 2000
    assert max(sizes) <= 10_000, "what nobody needs may be used"
    for buffer in found:
        buffers.forget(buffer)
    assert buffers.size == 0
    assert not buffers.buffers

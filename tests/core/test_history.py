"""What a history holds: the newest, whole, within its bytes; and who gives way on a full shelf."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.data.replay_buffer import History, Shelf, cost_of
from spot.core.topics.registry import HostedTopic
from spot.core.wire import batches, codec
from spot.core.wire.batches import Chunk
from tests.core.fixed import examples
from tests.core.frames import PAYLOADS


def history_of(limit: int, shelf: Shelf | None = None) -> History:
    return History(limit, HostedTopic(1, "t", 1), shelf or Shelf(1 << 30))


def chunk_of(first: int, payloads: list[bytes]) -> Chunk:
    return batches.encoded(codec.DATA, 1, first, payloads)


def payloads_in(history: History, first: int) -> dict[int, bytes]:
    """All that a reader finds from a sequence on."""
    found: dict[int, bytes] = {}
    at = first
    while (chunk := history.find(at)) is not None:
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
    shelf = Shelf(1 << 30)
    history = history_of(limit, shelf)
    published: list[bytes] = []
    for payloads, plain in many:
        chunk = chunk_of(len(published) + 1, payloads)
        published += payloads
        if plain and history.takes_plain(payloads, chunk.size):
            if len(payloads) == 1:
                full = history.add_one(chunk.first, payloads[0], chunk.size)
                assert full is (history.size > limit)
            else:
                history.add_plain(chunk.first, payloads, chunk.size)
            while history.size > history.limit:
                shelf.drop_oldest(history)
            continue
        for piece in history.fitting(chunk):
            shelf.add(history, piece)
            while history.size > history.limit:
                shelf.drop_oldest(history)
        assert history.size == sum(map(cost_of, history.chunks)) == shelf.size <= limit
    assert history.size == shelf.size <= limit
    everything = payloads_in(history, 1)
    assert everything == {at: published[at - 1] for at in everything}
    if published and cost_of(chunk_of(1, published[-1:])) <= limit:
        assert list(everything) == list(range(min(everything), len(published) + 1))
    assert payloads_in(history, start) == {
        at: data for at, data in everything.items() if at >= start
    }


def test_a_message_that_fits_alone_is_kept_whatever_batch_it_came_in() -> None:
    # Cut out of a batch of sizes that differ it must take no more than as a batch of its own.
    last = chunk_of(2, [b"x"])
    history = history_of(cost_of(last))
    for piece in history.fitting(chunk_of(1, [b"", b"x"])):
        history.add(piece)
        while history.size > history.limit:
            history.drop_oldest()
    assert payloads_in(history, 1) == {2: b"x"}


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
    history = history_of(4 << 20)
    for at in range(1, 15_001):
        history.add(chunk_of(at, [b"x" * 64]))
    assert history.size < 15_000 * 90
    assert len(payloads_in(history, 1)) == 15_000


@pytest.mark.parametrize(("size", "count"), [(64, 1), (2000, 1), (10, 30), (100_000, 1)])
def test_limit_covers_the_memory_that_it_takes(size: int, count: int) -> None:
    # "Overhead included": the limit is about the memory of the process.
    history = history_of(4 << 20)
    tracemalloc.start()
    at = 1
    while history.size < 3 << 20:
        payloads = [bytes(size) for _ in range(count)]
        for chunk in history.fitting(chunk_of(at, payloads)):
            history.add(chunk)
        at += count
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 1.1 * history.size


def test_a_full_shelf_takes_from_who_holds_most() -> None:
    # One busy topic must not push out the history of the quiet ones.
    shelf = Shelf(100_000)
    quiet = [history_of(1 << 20, shelf) for _ in range(9)]
    busy = history_of(1 << 20, shelf)
    dropped = 0
    for at in range(1, 1001):
        for history in quiet if at <= 20 else ():
            shelf.add(history, chunk_of(at, [b"x" * 64]))
        shelf.add(busy, chunk_of(at, [b"x" * 1000]))
        while shelf.size > shelf.limit:
            largest = shelf.largest()
            assert largest is busy
            shelf.drop_oldest(largest)
            dropped += 1
    assert dropped
    assert busy.size > 50_000
    assert all(len(payloads_in(history, 1)) == 20 for history in quiet)


def test_shares_shrink_as_topics_come() -> None:
    # Who held all of it alone gives way to every topic that is new.
    shelf = Shelf(100_000)
    histories: list[History] = []
    for _ in range(20):
        histories.append(history_of(1 << 20, shelf))
        for at in range(1, 300):
            shelf.add(histories[-1], chunk_of(at, [b"x" * 1000]))
            while shelf.size > shelf.limit:
                shelf.drop_oldest(shelf.largest())
    sizes = [history.size for history in histories]
    assert sum(sizes) == shelf.size <= 100_000
    assert min(sizes) >= 2000
    assert max(sizes) <= 10_000, "what nobody needs may be used"
    for history in histories:
        shelf.forget(history)
    assert shelf.size == 0
    assert not shelf.histories

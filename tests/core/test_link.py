"""Links: credit, queues and frames."""

from hypothesis import given
from hypothesis import strategies as st

from spot.core.link import QUEUE_BYTES, Flow, Link, LinkState, chunk_msgs
from spot.core.wire import batches, codec
from spot.core.wire.batches import Chunk, encoded
from tests.core.fixed import examples

FRAME_BYTES = 100


def new_link(msgs: int = 0, size: int = 0) -> Link:
    link = Link(b"c", LinkState.UP, 1, 0.0, 0.0)
    for flow in link.flows:
        flow.limit_msgs = msgs
        flow.limit_bytes = size
    return link


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("data"), st.integers(1, 6), st.integers(0, 60)),
        st.tuples(st.just("publish"), st.integers(1, 6), st.integers(0, 60)),
        st.tuples(st.just("large"), st.just(1), st.integers(100, 300)),
        st.tuples(st.just("record"), st.just(0), st.just(0)),
        st.tuples(st.just("control"), st.just(0), st.just(0)),
        st.tuples(st.just("credit"), st.integers(0, 20), st.integers(0, 300)),
        st.tuples(st.just("take"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@examples(400)
@given(steps=STEPS)
def test_frames_keep_order_lose_nothing_and_heed_credit(
    steps: list[tuple[str, int, int]],
) -> None:
    # A batch that is lost or out of place here breaks the numbering at the subscriber; one
    # beyond the credit ends the link as a violation.
    link = new_link()
    queued: dict[str, list[tuple[int, int]]] = {"data": [], "publish": []}
    controls: list[int] = []
    sent: dict[str, list[tuple[int, int]]] = {"data": [], "publish": []}
    controls_sent: list[int] = []

    def take() -> None:
        for frame in link.take_frames(FRAME_BYTES):
            size = 0
            for kind, start, end, large in codec.records(frame):
                if kind in (codec.DATA, codec.PUBLISH, codec.DATA_LARGE):
                    batch = batches.decode_batch(frame[0], start, end, large)
                    if batch.large is not None:
                        assert set(batch.large) <= {batch.first % 256}
                    of_kind = "publish" if kind == codec.PUBLISH else "data"
                    assert size < FRAME_BYTES, "a frame goes on beyond its size"
                    size += batch.payload_bytes
                    sent[of_kind].append((batch.first, batch.msgs))
                elif kind == codec.HEAD:
                    sent["data"].append((codec.decode_head(frame[0][start:end])[1], 0))
                else:
                    controls_sent.append(codec.decode_nonce(frame[0][start:end]))

    last = (("credit", 1 << 20, 1 << 20), ("take", 0, 0))
    for number, (action, count, size) in enumerate((*steps, *last), start=1):
        if action in ("data", "publish"):
            kind = codec.DATA if action == "data" else codec.PUBLISH
            data, total = batches.encode_batch(kind, 1, number, [b"x" * size] * count)
            flow = link.data if action == "data" else link.publishes
            flow.queue(Chunk(data, count, total))
            queued[action].append((number, count))
        elif action == "large":
            payload = bytes([number % 256]) * size
            data = batches.encode_large(codec.DATA_LARGE, 1, number, payload)
            link.data.queue(Chunk(data, 1, size, payload))
            queued["data"].append((number, 1))
        elif action == "record":
            link.data.queue_record(codec.encode_head(1, number, 0))
            queued["data"].append((number, 0))
        elif action == "control":
            link.control.append(codec.encode_nonce(codec.PING, number))
            controls.append(number)
        elif action == "credit":
            for flow in link.flows:
                flow.limit_msgs += count
                flow.limit_bytes += size
        else:
            before = {flow: flow.sent_bytes for flow in link.flows}
            take()
            assert controls_sent == controls, "records that are exempt never wait"
            for flow in link.flows:
                assert flow.sent_msgs <= flow.limit_msgs
                if flow.sent_bytes > before[flow]:
                    # One chunk may go over the limit of bytes, which begins below it.
                    assert flow.sent_bytes < flow.limit_bytes + 6 * 60 + 300
        for name, flow in (("data", link.data), ("publish", link.publishes)):
            assert sent[name] == queued[name][: len(sent[name])]
            waiting = queued[name][len(sent[name]) :]
            assert flow.out_msgs == sum(count for _, count in waiting)
            assert len(flow.out) == len(waiting)
            assert flow.out_bytes == sum(chunk.size for chunk in flow.out)
            assert flow.sent_msgs == sum(count for _, count in sent[name])
    assert sent == queued
    assert not link.data.out
    assert not link.publishes.out
    assert link.data.out_bytes == link.publishes.out_bytes == 0


def test_nothing_to_send_makes_no_frame() -> None:
    # An empty frame would be a protocol error at the peer.
    link = new_link()
    assert link.take_frames(FRAME_BYTES) == []
    link.data.queue(Chunk(batches.encode_batch(codec.DATA, 1, 1, [b"x"])[0], 1, 1))
    assert link.take_frames(FRAME_BYTES) == [], "no credit"


def test_long_lists_go_in_many_frames() -> None:
    # A frame is handled in one go: nobody is answered meanwhile, and peers would call it silence.
    link = new_link(0, 1000)
    lists = [codec.record(codec.TOPICS, bytes(40_000)) for _ in range(20)]
    link.control += lists[:10]
    for record in lists[10:]:
        link.data.queue_record(record)
    frames = link.take_frames(FRAME_BYTES)
    assert max(len(frame) for (frame,) in frames) < 200_000
    assert b"".join(frame for (frame,) in frames) == b"".join(lists)


def test_publishes_pass_a_stream_that_waits_for_credit() -> None:
    # Two nodes that wait for each other's subscribers would otherwise wait for ever.
    link = new_link(1, 1000)
    link.data.limit_msgs = 0
    link.data.queue(Chunk(batches.encode_batch(codec.DATA, 1, 1, [b"x"])[0], 1, 1))
    link.publishes.queue(Chunk(batches.encode_batch(codec.PUBLISH, 1, 1, [b"x"])[0], 1, 1))
    ((frame,),) = link.take_frames(FRAME_BYTES)
    assert [kind for kind, *_ in codec.records((frame,))] == [codec.PUBLISH]


def test_records_wait_behind_their_batches() -> None:
    # The end of a topic must not overtake its last message.
    link = new_link(0, 1000)
    link.data.queue(Chunk(batches.encode_batch(codec.DATA, 1, 1, [b"x"])[0], 1, 1))
    link.data.queue_record(codec.encode_gone(1, 1))
    assert link.take_frames(FRAME_BYTES) == []
    link.data.limit_msgs = 1
    ((frame,),) = link.take_frames(FRAME_BYTES)
    assert [kind for kind, *_ in codec.records((frame,))] == [codec.DATA, codec.TOPIC_GONE]


def test_room_counts_messages_and_bytes() -> None:
    # sndhwm messages or 16 MiB, whichever comes first, bound a publisher's memory.
    flow = Flow()
    assert flow.room(10) == 10
    flow.queue(Chunk(b"", 7, 70))
    assert flow.room(10) == 3
    assert flow.room(5) == 0, "hwm may be made smaller than what waits"
    flow.queue(Chunk(b"", 1, QUEUE_BYTES))
    assert flow.room(10) == 0


def test_chunk_fits_the_window() -> None:
    # A batch goes whole: larger than a quarter of the window, it could wait for credit for ever.
    for window in (*range(1, 50), 4095, 4096, 10_000, 1 << 31):
        chunk = chunk_msgs(window)
        assert 1 <= chunk <= max(1, window // 4)
        assert chunk <= 1024


@examples(400)
@given(
    window=st.integers(1, 200),
    later=st.lists(st.integers(1, 200), max_size=3),
    steps=st.lists(
        st.tuples(st.integers(1, 50), st.integers(0, QUEUE_BYTES // 3)), min_size=1, max_size=60
    ),
)
def test_grants_never_stall_and_never_exceed_the_window(
    window: int, later: list[int], steps: list[tuple[int, int]]
) -> None:
    # Too little credit and the stream stops for ever; too much and memory isn't bounded. The
    # sender goes by what it was told, the receiver grants as its application takes.
    link = new_link()
    link.first_grant(window)
    floor = link.data.grant_floor
    told_msgs, told_bytes = link.data.granted_msgs, link.data.granted_bytes
    largest = chunk_msgs(window)
    waiting: list[tuple[int, int]] = []
    sent_msgs = sent_bytes = 0
    for at, (count, size) in enumerate(steps):
        count = min(count, largest)
        if later and at == len(steps) // 2:
            window = later.pop()
            if link.data.grant(window):
                told_msgs, told_bytes = link.data.granted_msgs, link.data.granted_bytes
        while sent_msgs + count > told_msgs or sent_bytes >= told_bytes:
            assert waiting, "all was taken, and yet there is no credit"
            taken, taken_bytes = waiting.pop(0)
            link.data.consumed_msgs += taken
            link.data.consumed_bytes += taken_bytes
            if link.data.grant(window):
                assert link.data.granted_msgs >= told_msgs, "credit is never taken back"
                assert link.data.granted_bytes >= told_bytes
                told_msgs, told_bytes = link.data.granted_msgs, link.data.granted_bytes
                assert told_msgs - link.data.consumed_msgs <= max(200, floor)
        sent_msgs += count
        sent_bytes += size
        waiting.append((count, size))
        assert sum(size for _, size in waiting[:-1]) < QUEUE_BYTES


def test_credit_says_both_flows() -> None:
    # What a host may send and what may be published to it are counted apart.
    link = new_link()
    link.first_grant(100)
    link.publishes.consumed_msgs = 50
    assert not link.data.grant(100)
    assert link.publishes.grant(100)
    assert link.credit == (100, QUEUE_BYTES, 150, QUEUE_BYTES)


def test_drop_takes_one_stream_out_of_the_queue_and_keeps_the_rest_in_order() -> None:
    # What is left of an ended subscription would hold up the next; news of topics must not go.
    link = new_link(100, 1000)
    chunks = [encoded(codec.DATA, number, 1, [b"ab", b"c"]) for number in (1, 2, 1)]
    gone = codec.encode_gone(1, 5)
    link.data.queue(chunks[0])
    link.data.queue_record(codec.encode_head(1, 0, 1))
    link.data.queue(chunks[1])
    link.data.queue_record(gone)
    link.data.queue(chunks[2])
    link.data.drop({1})
    assert (link.data.out_msgs, link.data.out_bytes) == (2, 3)
    assert link.take_frames(1000) == [(chunks[1].data + gone,)]
    assert (link.data.out_msgs, link.data.out_bytes) == (0, 0)

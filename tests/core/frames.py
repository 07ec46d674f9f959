"""What Hypothesis makes frames of."""

from hypothesis import strategies as st

from spot.core.wire import batches, codec
from spot.core.wire.codec import Heartbeat, TopicEntry
from spot.core.wire.interests import EXACT, PATTERN, POSITION, InterestEntry, encode_interest
from spot.core.wire.multi_batch import encode_multi

START = b"SPOT" + bytes((codec.PROTOCOL_VERSION, codec.PROTOCOL_VERSION))
"""What a greeting of this version begins with."""

U8 = st.integers(0, (1 << 8) - 1)
U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
SEQ = st.integers(1, codec.SEQ_MAX - 1)
HEAD = st.integers(0, codec.SEQ_MAX - 1)
NAMES = st.text(min_size=1, max_size=60).filter(lambda name: 1 <= len(name.encode()) <= 255)
ORIGINS = st.one_of(st.just(""), NAMES)
TOPICS = st.lists(st.builds(TopicEntry, U32, SEQ, HEAD, NAMES, st.booleans(), ORIGINS), max_size=5)
KINDS = st.sampled_from((EXACT, PATTERN, POSITION))
INTERESTS = st.lists(st.builds(InterestEntry, KINDS, U64, HEAD, NAMES), max_size=5)
HEADS = st.lists(st.tuples(U32, HEAD), max_size=5)
PAYLOADS = st.one_of(
    st.lists(st.binary(max_size=40), min_size=1, max_size=20),
    st.integers(0, 30).flatmap(
        lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=20)
    ),
)

ROWS = PAYLOADS.flatmap(
    lambda payloads: st.tuples(
        st.lists(U32, min_size=len(payloads), max_size=len(payloads)),
        st.lists(SEQ, min_size=len(payloads), max_size=len(payloads)),
        st.just(payloads),
    )
)
"""Topic numbers, sequences and payloads of a multi-topic batch."""

RECORDS = st.one_of(
    st.builds(lambda rows: encode_multi(*rows)[0], ROWS),
    st.builds(
        lambda kind, topic, first, payloads: batches.encode_batch(kind, topic, first, payloads)[0],
        st.sampled_from((codec.DATA, codec.PUBLISH)),
        U32,
        SEQ,
        PAYLOADS,
    ),
    st.builds(lambda entries, all_: codec.encode_topics(entries, complete=all_), TOPICS, U8),
    st.builds(encode_interest, st.sampled_from((12, 13)), INTERESTS),
    st.builds(
        lambda *fields: codec.encode_heartbeat(Heartbeat(*fields)),
        *(U64, U64, U32, U32),
    ),
    st.builds(codec.encode_heads, HEADS),
    st.builds(codec.encode_settled, U64, U64),
    st.builds(lambda *limits: codec.encode_credit(limits), U64, U64, U64, U64),
    st.builds(codec.encode_gone, U32, HEAD),
    st.builds(codec.encode_quorum, st.booleans()),
    st.builds(codec.encode_head, U32, HEAD, U64),
    st.builds(codec.encode_begin, U64, HEAD, U64, NAMES),
    st.builds(codec.encode_nonce, st.sampled_from((6, 7, 8, 9)), U64),
)

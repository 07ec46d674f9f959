"""Whatever a connection sends: a node raises nothing, and keeps its state within bounds."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from spot.core.data.inbox import Notice
from spot.core.membership.links import REFUSED_MAX
from spot.core.node import NodeCore
from spot.core.wire import batches, codec
from spot.core.wire.codec import NodeEntry, Sender, TopicEntry
from spot.core.wire.greeting import Refusal, encode_goodbye, encode_node_gone
from spot.core.wire.interests import InterestEntry, encode_interest
from spot.core.wire.multi_batch import encode_multi
from tests.core.fixed import examples
from tests.core.frames import RECORDS, START
from tests.core.wires import new_cluster

CONN = b"\x00conn"
OTHER = new_cluster("other", now=1.0)
CONTROL = st.one_of(
    st.binary(max_size=60).map(lambda body: codec.record(codec.HELLO, START + body)),
    st.integers(0, 3).map(lambda link: replace(OTHER.handshake.me, link=link).encode()),
    st.just(codec.record(codec.CONFIRM)),
    st.builds(lambda *said: Refusal(*said).encode(), st.text(max_size=5), st.text(max_size=5)),
    st.builds(
        encode_goodbye,
        st.sampled_from(["left", "silent", "replaced", "removed", "linked already"]),
        st.dictionaries(st.integers(0, 9), st.integers(0, 99), max_size=3),
    ),
    st.builds(codec.record, st.integers(0, 40), st.binary(max_size=50)),
)
# Few numbers and names, so that records meet what earlier ones made.
SMALL = st.integers(0, 4)
NAMES = st.sampled_from(["t", "a", "b", "*", "x\n"])
MEETING = st.one_of(
    st.builds(
        lambda entries, complete: codec.encode_topics(entries, complete=complete),
        st.lists(
            st.builds(
                TopicEntry, SMALL, st.integers(1, 3), SMALL, NAMES, st.booleans(), st.just("")
            ),
            max_size=3,
        ),
        st.booleans(),
    ),
    st.builds(codec.encode_gone, SMALL, SMALL),
    st.builds(codec.encode_head, SMALL, SMALL, SMALL),
    st.builds(codec.encode_begin, SMALL, SMALL, SMALL, NAMES),
    st.builds(
        encode_interest,
        st.sampled_from([codec.INTEREST, codec.INTEREST_GONE]),
        st.lists(st.builds(InterestEntry, st.integers(0, 2), SMALL, SMALL, NAMES), max_size=3),
    ),
    st.builds(
        lambda kind, topic, first, msgs: batches.encode_batch(kind, topic, first, [b"x"] * msgs)[0],
        st.sampled_from([codec.DATA, codec.PUBLISH]),
        SMALL,
        st.integers(1, 9),
        st.integers(1, 4),
    ),
    st.lists(st.tuples(SMALL, st.integers(1, 9), st.binary(max_size=3)), min_size=1).map(
        lambda rows: encode_multi(*zip(*rows, strict=True))[0]
    ),
)
NODES = st.sampled_from(["other", "x", "y", "victim"])
VICTIM_AT = 10.0
VICTIM = new_cluster("victim", now=VICTIM_AT).handshake.me.incarnation
SENDERS = st.builds(
    lambda names, publisher, host: Sender(*names, *publisher, *host),
    st.tuples(NODES, NODES),
    st.tuples(SMALL, SMALL),
    st.sampled_from([(1, 1), (VICTIM.started, VICTIM.random)]),
)
RELAYED = st.one_of(
    st.builds(
        lambda *fields: codec.encode_node(NodeEntry(*fields)),
        *(NODES, SMALL, SMALL, st.just(1 << 20)),
        st.lists(NODES, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(
        lambda *fields: codec.encode_topics((TopicEntry(*fields),), complete=False),
        *(SMALL, st.integers(1, 3), SMALL, NAMES, st.booleans(), NODES),
    ),
    st.builds(encode_node_gone, NODES, st.just("closed"), st.dictionaries(SMALL, SMALL)),
    st.builds(
        codec.encode_follow, st.sampled_from([codec.FOLLOW, codec.UNFOLLOW]), SMALL, SMALL, SMALL
    ),
    st.builds(
        codec.encode_fetch, st.sampled_from([codec.FETCH, codec.FETCHED]), SMALL, SMALL, SMALL
    ),
    st.builds(
        lambda topic, first: batches.encode_batch(codec.AGAIN, topic, first, [b"x"])[0],
        SMALL,
        st.integers(1, 9),
    ),
    st.builds(
        lambda sender, topic, first: codec.forwarded(
            sender, batches.encode_batch(codec.PUBLISH, topic, first, [b"x"])[0]
        ),
        SENDERS,
        SMALL,
        st.integers(1, 9),
    ),
    st.builds(codec.encode_confirmed, SENDERS, SMALL, SMALL),
)
FRAMES = st.lists(
    st.one_of(
        st.lists(st.one_of(MEETING, RELAYED, RECORDS, CONTROL), min_size=1, max_size=3).map(
            b"".join
        ),
        st.binary(max_size=40),
    ).flatmap(
        lambda frame: st.lists(st.binary(max_size=3), max_size=1).map(
            lambda larges: (frame, *larges)
        )
    ),
    min_size=1,
    max_size=8,
)


def victim() -> NodeCore:
    cluster = new_cluster("victim", now=VICTIM_AT)
    cluster.announcer.create_topic("t", 1)
    cluster.announcer.create_topic("b", 1, standby=True)
    cluster.announcer.subscribe("a", pattern=False)
    cluster.announcer.subscribe("*", pattern=True)
    return cluster


def greeted(cluster: NodeCore) -> None:
    cluster.frame(CONN, (OTHER.handshake.me.encode(),), 10.0)
    cluster.frame(CONN, (codec.record(codec.CONFIRM),), 10.0)
    assert set(cluster.links.by_node) == {"other"}


def feed(cluster: NodeCore, conn: bytes, frames: list[tuple[bytes, ...]]) -> None:
    now = 10.0
    for frame in frames:
        now += 0.01
        cluster.frame(conn, frame, now)
        cluster.take_sends(now)
        cluster.effects.events.clear()
        cluster.effects.hangups.clear()
        cluster.effects.unnamed_refusals.clear()
        assert len(cluster.links.by_conn) <= 1
        assert set(cluster.links.by_node.values()) <= set(cluster.links.by_conn.values())
        for link in cluster.links.by_conn.values():
            for flow in link.flows:
                assert flow.recv_msgs <= flow.granted_msgs, "more was taken than credit was given"
        for hosts in cluster.registry.remote.values():
            for topic in hosts.values():
                assert topic.link is None or topic.link in cluster.links.by_conn.values(), (
                    "a topic hangs on a link that is gone"
                )
        for hosted in cluster.registry.local.values():
            assert {each.link for each in hosted.subscribers} <= set(cluster.links.by_conn.values())
        assert cluster.counters.publish_unknown >= 0
        item = cluster.take()
        while item is not None:
            if not isinstance(item, Notice):
                assert item.messages()
                cluster.taken(item, now)
            item = cluster.take()
    cluster.tick(now + 0.01)
    cluster.peers.describe()
    cluster.metrics(refused=0, waiting=())


@examples(120)
@given(frames=FRAMES)
def test_a_stranger_never_raises(frames: list[tuple[bytes, ...]]) -> None:
    # Anybody who reaches the port can send this.
    feed(victim(), CONN, frames)


@examples(200)
@given(frames=FRAMES)
def test_a_greeted_peer_never_raises(frames: list[tuple[bytes, ...]]) -> None:
    # A peer that is faulty or of another version ends its own link and nothing else.
    cluster = victim()
    greeted(cluster)
    feed(cluster, CONN, frames)


@examples(100)
@given(frames=FRAMES)
def test_who_was_dialled_never_raises(frames: list[tuple[bytes, ...]]) -> None:
    # A wrong endpoint may lead to anything.
    cluster = victim()
    cluster.peers.add("there", 10.0)
    cluster.tick(10.0)
    ((conn, _),) = cluster.effects.dials
    cluster.effects.dials.clear()
    cluster.made(conn, 10.0)
    feed(cluster, conn, frames)


def test_strangers_are_answered_once_and_forgotten() -> None:
    # A flood of garbage makes no flood of answers, and no list without end.
    cluster = victim()
    for number in range(REFUSED_MAX + 500):
        conn = number.to_bytes(4, "big")
        for _ in range(3):
            cluster.frame(conn, (b"garbage",), 10.0)
    assert len(cluster.take_sends(10.0)) == REFUSED_MAX + 500
    assert len(cluster.links._told) == REFUSED_MAX
    assert not cluster.links.by_conn


def test_more_than_the_credit_ends_the_link() -> None:
    # Credit bounds this node's memory. A node that ignores it is no peer.
    cluster = victim()
    greeted(cluster)
    cluster.frame(CONN, (codec.encode_topics((TopicEntry(1, 1, 0, "a"),), complete=True),), 10.0)
    cluster.frame(CONN, (codec.encode_head(1, 0, 0),), 10.0)
    first = 1
    for _ in range(1000):
        frame, _ = batches.encode_batch(codec.DATA, 1, first, [b"x"] * 100)
        cluster.frame(CONN, (frame,), 10.0)
        first += 100
        assert cluster.inbox.msgs <= cluster.context.config.rcvhwm
    assert not cluster.links.by_node


def test_a_number_announced_twice_ends_the_link() -> None:
    # The first topic would go on hanging on the link after its end.
    cluster = victim()
    greeted(cluster)
    for name in ("a", "b"):
        entry = TopicEntry(1, 1, 0, name)
        cluster.frame(CONN, (codec.encode_topics((entry,), complete=False),), 10.0)
    assert not cluster.links.by_node
    assert cluster.registry.remote["a"]["other"].link is None


def test_a_host_cannot_settle_what_was_not_published() -> None:
    # It would take from the outbox what was not sent, and from the counts what was not lost.
    cluster = victim()
    greeted(cluster)
    cluster.frame(CONN, (codec.encode_topics((TopicEntry(1, 1, 0, "a"),), complete=True),), 10.0)
    remote = cluster.registry.host_of("a")
    assert remote is not None
    cluster.remote.publish(remote, [b"x"] * 9)
    (outbox,) = cluster.remote.outboxes["other"].values()
    for number, refused in ((5, 3), (4, 2), (5, 3)):
        cluster.frame(CONN, (codec.encode_settled(number, refused),), 10.0)
        assert outbox.unsettled == 4, "what is settled stays so"
        assert cluster.counters.publish_unknown == 3
    cluster.frame(CONN, (codec.encode_settled(10, 3),), 10.0)
    assert not cluster.links.by_node
    assert outbox.unsettled == 4

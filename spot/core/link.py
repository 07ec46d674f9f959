"""One link to a peer: its state, its liveness, its queue and its credit.

Credit is absolute: the receiver says up to which total of messages and bytes the sender may go
since the link was made, and raises it as the application takes messages. Only batches count;
all other records are exempt, so that a full link still beats its heart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from spot.core.topics.interest import Interest
from spot.core.wire import codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk
from spot.core.wire.greeting import Incarnation
from spot.core.wire.multi_batch import without

if TYPE_CHECKING:
    from spot.core.data.outbox import Publisher
    from spot.core.membership.dial import Dial
    from spot.core.topics.position import Position
    from spot.core.topics.registry import HostedTopic, RemoteTopic, Way
    from spot.core.wire.codec import NodeEntry

QUEUE_BYTES = 16 << 20
CONTROL_BYTES = 64 * 1024
"""Other records go in frames of about so much: to handle one takes no longer than 50 ms."""
STREAM = frozenset((codec.DATA, codec.DATA_LARGE, codec.HEAD))
"""The records that a stream consists of; each begins with the number of its topic."""


def chunk_msgs(window_msgs: int) -> int:
    """The largest batch for a window: credit is given by quarters, and a batch goes whole."""
    return min(CHUNK_MSGS, max(1, window_msgs // 4))


class LinkState(Enum):
    """A link that we dialled is DIALLING until the peer's HELLO; one that was dialled to us is
    ANSWERED until the peer's CONFIRM."""

    DIALLING = "dialling"
    ANSWERED = "answered"
    UP = "up"


class Ingress(NamedTuple):
    """Messages that a node published, which wait for their place; ``last`` is that publisher's
    number of the last of them. ``sender`` and ``chunk`` are there if they came through a relay.
    """

    topic_id: int
    payloads: tuple[bytes, ...]
    size: int
    last: int
    sender: codec.Sender | None = None
    chunk: Chunk | None = None


class Flow:
    """Batches of one kind over a link, both ways: what waits here for credit, and what may come.

    What a host sends to subscribers and what is published to a host are two flows: a host that
    waits for room for its peer's publishes must not hold up what that peer sends to it, or two
    nodes would wait for each other for ever.
    """

    __slots__ = (
        "consumed_bytes",
        "consumed_msgs",
        "grant_floor",
        "granted_bytes",
        "granted_msgs",
        "limit_bytes",
        "limit_msgs",
        "out",
        "out_bytes",
        "out_msgs",
        "recv_bytes",
        "recv_msgs",
        "sent_bytes",
        "sent_msgs",
    )

    def __init__(self) -> None:
        self.out: deque[Chunk] = deque()
        self.out_msgs = 0
        self.out_bytes = 0
        self.sent_msgs = 0
        self.sent_bytes = 0
        self.limit_msgs = 0
        self.limit_bytes = 0

        self.recv_msgs = 0
        self.recv_bytes = 0
        self.consumed_msgs = 0
        self.consumed_bytes = 0
        self.granted_msgs = 0
        self.granted_bytes = 0
        self.grant_floor = 0

    def room(self, hwm: int) -> int:
        """How many more messages may be queued for this peer."""
        if self.out_bytes >= QUEUE_BYTES:
            return 0
        return max(0, hwm - self.out_msgs)

    def queue(self, chunk: Chunk) -> None:
        self.out.append(chunk)
        self.out_msgs += chunk.count
        self.out_bytes += chunk.size

    def grant(self, window_msgs: int) -> bool:
        """Whether the peer gets new limits: once a quarter of the window was taken."""
        # The peer's batches were made to fit the window of the greeting, and go whole.
        window_msgs = max(window_msgs, self.grant_floor)
        msgs = self.consumed_msgs + window_msgs
        size = self.consumed_bytes + QUEUE_BYTES
        if msgs - self.granted_msgs < max(1, window_msgs // 4) and (
            size - self.granted_bytes < QUEUE_BYTES // 4
        ):
            return False
        self.granted_msgs = max(msgs, self.granted_msgs)
        self.granted_bytes = size
        return True


class Link(Flow):
    """The state of one connection; the deciding is done in cluster.py and liveness.py."""

    __slots__ = (
        "answer_by",
        "aside",
        "aside_told",
        "asked",
        "asked_at",
        "asked_before",
        "asks",
        "awaiting",
        "beat_at",
        "behind",
        "bytes_max",
        "changed",
        "circles",
        "conn",
        "control",
        "dial",
        "ended",
        "ending",
        "feeds",
        "follows",
        "forwarders",
        "has_unasked",
        "heard_at",
        "incarnation",
        "ingress",
        "ingress_since",
        "interest",
        "interval",
        "is_up",
        "lacks",
        "link_id",
        "lost",
        "node",
        "offered",
        "peer_beat",
        "peer_beat_at",
        "positions",
        "publisher",
        "publishes",
        "renewed",
        "renewed_patterns",
        "returns",
        "rtt",
        "shunned",
        "state",
        "streams",
        "streams_as_of",
        "synced",
        "told",
        "topics",
        "up_since",
        "ways",
        "window_msgs",
    )

    def __init__(
        self, conn: bytes, state: LinkState, link_id: int, now: float, answer_by: float
    ) -> None:
        super().__init__()
        self.conn = conn
        self.state = state
        # As ``state`` says, for those who ask with each frame.
        self.is_up = state is LinkState.UP
        self.link_id = link_id
        self.dial: Dial | None = None
        self.answer_by = answer_by
        self.node = ""
        self.incarnation = Incarnation(0, 0)
        self.up_since = 0.0

        self.heard_at = now
        self.asked_at = 0.0
        self.asked_before = 0.0
        self.interval = 0.0
        self.beat_at = 0.0
        self.peer_beat = 0
        self.peer_beat_at = 0.0
        self.rtt: float | None = None

        self.control: list[bytes] = []
        self.window_msgs = 1
        self.bytes_max = 0
        # A subscriber that is set aside is not waited for; what it lacks, and from which sequence
        # on, comes from history. What history did not hold any more is lost to it.
        self.aside = False
        self.aside_told = False
        self.lacks: dict[HostedTopic, int] = {}
        self.lost = 0
        # Topics of which something went out since their heads were last told.
        self.changed: set[HostedTopic] = set()
        # What the peer said of topics that its patterns match.
        self.positions: dict[HostedTopic, tuple[int, int]] = {}
        # Topics of which something waits in the queue that a HEAD must not overtake.
        self.behind: set[HostedTopic] = set()
        # Names of topics whose end waits in the queue.
        self.ending: set[str] = set()

        # How many INTEREST and FOLLOW went out, and how many came: a HEAD says the latter, so that
        # what was told to an earlier subscription does not begin a later one.
        self.asks = 0
        self.asked = 0
        # The same for topics that are not known yet: the INTEREST since which a name is wanted
        # without a break, after one that has ended, and since which a pattern is.
        self.has_unasked = False
        self.renewed: dict[str, int] = {}
        self.renewed_patterns: dict[str, int] = {}
        self.topics: dict[int, RemoteTopic] = {}
        self.ended: set[str] = set()
        # By number: positions in what comes the usual way, as of a version of the registry.
        self.streams: dict[int, Position] = {}
        self.streams_as_of = -1
        self.synced = False
        self.interest = Interest()
        self.feeds: set[HostedTopic] = set()
        # Relays: topics that the peer asked for by number; nodes that it offers, and is offered;
        # topics, with their hosts, and nodes that are of no use; followed topics whose beginning it
        # has not told; up to which number what a node published by way of the peer was confirmed.
        self.follows: set[HostedTopic] = set()
        self.ways: dict[str, Way] = {}
        self.offered: dict[str, NodeEntry] = {}
        self.shunned: dict[int, str] = {}
        self.circles: set[str] = set()
        self.awaiting: set[RemoteTopic] = set()
        self.returns: dict[codec.Sender, int] = {}
        # What the peer published here, and what others did by way of it; up to which number it was
        # told that this was dealt with.
        self.publisher: Publisher | None = None
        self.told = 0
        self.forwarders: dict[Publisher, int] = {}
        self.publishes = Flow()
        self.ingress: deque[Ingress] = deque()
        self.ingress_since = 0.0

    def go_up(self, now: float) -> None:
        """The greeting is done."""
        self.state = LinkState.UP
        self.is_up = True
        self.up_since = now
        self.heard_at = now

    def first_grant(self, window_msgs: int) -> None:
        """The credit that a HELLO gives."""
        for flow in (self, self.publishes):
            flow.granted_msgs = window_msgs
            flow.granted_bytes = QUEUE_BYTES
            flow.grant_floor = min(window_msgs, 2 * chunk_msgs(window_msgs))

    @property
    def credit(self) -> tuple[int, int, int, int]:
        """What the peer may send since the link was made, as CREDIT says it."""
        flow = self.publishes
        return self.granted_msgs, self.granted_bytes, flow.granted_msgs, flow.granted_bytes

    @property
    def has_unsent(self) -> bool:
        return bool(self.out or self.lacks or self.publishes.out)

    def takes(self, count: int) -> bool:
        """Whether credit allows so many more messages at once."""
        return (
            self.sent_msgs + self.out_msgs + count <= self.limit_msgs
            and self.sent_bytes + self.out_bytes < self.limit_bytes
        )

    def queue_record(self, record: bytes) -> None:
        """Queues a record that keeps its place behind the batches before it."""
        self.queue(Chunk(record))

    def drop(self, topic_ids: Set[int]) -> None:
        """What waits of some topics' streams is not wanted any more; new ones may begin at once."""
        out, self.out = self.out, deque()
        self.out_msgs = self.out_bytes = 0
        for chunk in out:
            kind = chunk.data[0]
            if kind == codec.MEDLEY:
                left = without(chunk.data, topic_ids)
                if left is not None:
                    self.queue(Chunk(*left))
            elif kind not in STREAM or chunk.topic_id not in topic_ids:
                self.queue(chunk)

    def take_frames(self, frame_bytes: int) -> list[tuple[bytes, ...]]:
        """All that may be sent now, as frames of about ``frame_bytes`` at the most."""
        frames: list[tuple[bytes, ...]] = []
        records = self.control
        self.control = []
        if len(records) > 1:
            records = _framed(records, frames)
        larges: list[bytes] = []
        size = 0
        for flow in (self, self.publishes):
            out = flow.out
            while out:
                chunk = out[0]
                if chunk.count and (
                    flow.sent_msgs + chunk.count > flow.limit_msgs
                    or flow.sent_bytes >= flow.limit_bytes
                ):
                    break
                out.popleft()
                flow.out_msgs -= chunk.count
                flow.out_bytes -= chunk.size
                flow.sent_msgs += chunk.count
                flow.sent_bytes += chunk.size
                records.append(chunk.data)
                # What is no batch takes longer to handle than its bytes tell.
                size += chunk.size if chunk.count else 4 * len(chunk.data)
                if chunk.large is not None:
                    larges.append(chunk.large)
                if size >= frame_bytes:
                    frames.append((b"".join(records) if len(records) > 1 else records[0], *larges))
                    records = []
                    larges = []
                    size = 0
        if records:
            frames.append((b"".join(records) if len(records) > 1 else records[0], *larges))
        return frames


def _framed(records: list[bytes], frames: list[tuple[bytes, ...]]) -> list[bytes]:
    """Makes frames of control records, and returns the last of them, to which more may be added."""
    left: list[bytes] = []
    size = 0
    for record in records:
        if size >= CONTROL_BYTES:
            frames.append((b"".join(left),))
            left = []
            size = 0
        left.append(record)
        size += len(record)
    return left

"""One link to a peer: its state, its liveness, and the queues and the credit of its two flows.

Credit is absolute: the receiver says how many messages and bytes the sender may send in total since
the link was made. It raises these totals as the application takes messages. Only batches cost
credit. All other records are exempt, so that a full link still carries heartbeats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from enum import Enum

from spot.core.wire import codec
from spot.core.wire.batches import CHUNK_MSGS, Batch, Chunk
from spot.core.wire.codec import ProtocolError
from spot.core.wire.greeting import Incarnation
from spot.core.wire.multi_batch import MultiBatch, without

QUEUE_BYTES = 16 << 20
FRAME_BYTES = 256 * 1024
"""The most bytes that a frame of batches holds, roughly."""
CONTROL_BYTES = 64 * 1024
"""About the most bytes in a frame of other records: its receiver handles it in less than 50 ms."""
STREAM = frozenset((codec.DATA, codec.DATA_LARGE, codec.HEAD))
"""The records that a stream consists of. Each begins with the number of its topic."""


def chunk_msgs(window_msgs: int) -> int:
    """The largest batch for a window. Credit is given by quarters, and a batch is sent whole."""
    return min(CHUNK_MSGS, max(1, window_msgs // 4))


class LinkState(Enum):
    """The state of a link.

    A link that this node dialled is DIALLING until the peer's HELLO. A link that the peer dialled
    is ANSWERED until the peer's CONFIRM.
    """

    DIALLING = "dialling"
    ANSWERED = "answered"
    UP = "up"


class Flow:
    """Batches of one kind over a link, in both directions: the queue that waits here for credit,
    and what may come.

    A link has two flows: what a host sends to subscribers, and what is published to a host. A host
    that waits for room for its peer's publishes must not hold up what that peer sends to it;
    otherwise two nodes could wait for each other for ever.
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
        """How many more messages may be queued for the peer."""
        if self.out_bytes >= QUEUE_BYTES:
            return 0
        return max(0, hwm - self.out_msgs)

    def queue(self, chunk: Chunk) -> None:
        self.out.append(chunk)
        self.out_msgs += chunk.count
        self.out_bytes += chunk.size

    def queue_record(self, record: bytes) -> None:
        """Queues a record that keeps its place behind the batches before it."""
        self.queue(Chunk(record))

    def has_credit(self, count: int) -> bool:
        """Whether credit allows this many more messages at once."""
        return (
            self.sent_msgs + self.out_msgs + count <= self.limit_msgs
            and self.sent_bytes + self.out_bytes < self.limit_bytes
        )

    def charge(self, batch: Batch | MultiBatch, bytes_max: int) -> int:
        """Notes a batch that arrived, and returns its payload bytes.

        Raises ProtocolError if the batch exceeds the credit that this node gave. In bytes it may
        exceed the credit by one message of ``bytes_max``.
        """
        size = batch.payload_bytes
        self.recv_msgs += batch.msgs
        self.recv_bytes += size
        if self.recv_msgs > self.granted_msgs:
            raise ProtocolError(
                f"{self.recv_msgs} messages were sent, but credit was given for {self.granted_msgs}"
            )
        if self.recv_bytes - size >= self.granted_bytes + bytes_max:
            raise ProtocolError(
                f"{self.recv_bytes} bytes were sent, but credit was given for {self.granted_bytes}"
            )
        return size

    def grant(self, window_msgs: int) -> bool:
        """Whether the peer gets new limits: it does once a quarter of the window was taken."""
        # The peer's batches were made to fit the window of the greeting, and are sent whole.
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

    def drop(self, topic_ids: Set[int]) -> None:
        """Removes queued records of some topics' streams, so that new streams may begin at once."""
        out, self.out = self.out, deque()
        self.out_msgs = self.out_bytes = 0
        for chunk in out:
            kind = chunk.data[0]
            if kind == codec.MULTI_DATA:
                left = without(chunk.data, topic_ids)
                if left is not None:
                    self.queue(Chunk(*left))
            elif kind not in STREAM or chunk.topic_id not in topic_ids:
                self.queue(chunk)


class Link:
    """The state of one connection.

    ``endpoint`` is the endpoint that this node dialled; it is None where the peer dialled.
    ``data`` is the flow from hosts to subscribers, ``publishes`` the flow from publishers to hosts.
    """

    __slots__ = (
        "answer_by",
        "beat_at",
        "bytes_max",
        "conn",
        "control",
        "data",
        "endpoint",
        "heard_at",
        "incarnation",
        "interval",
        "is_up",
        "link_id",
        "node",
        "peer_beat",
        "peer_beat_at",
        "probed_at",
        "probed_before",
        "publishes",
        "rtt",
        "state",
        "up_since",
        "window_msgs",
    )

    def __init__(
        self,
        conn: bytes,
        state: LinkState,
        link_id: int,
        now: float,
        answer_by: float,
        endpoint: str | None = None,
    ) -> None:
        self.conn = conn
        self.state = state
        # What ``state`` says, for code that asks with each frame.
        self.is_up = state is LinkState.UP
        self.link_id = link_id
        self.endpoint = endpoint
        self.answer_by = answer_by
        self.node = ""
        self.incarnation = Incarnation(0, 0)
        self.up_since = 0.0

        self.heard_at = now
        self.probed_at = 0.0
        self.probed_before = 0.0
        self.interval = 0.0
        self.beat_at = 0.0
        self.peer_beat = 0
        self.peer_beat_at = 0.0
        self.rtt: float | None = None

        self.control: list[bytes] = []
        self.window_msgs = 1
        self.bytes_max = 0
        self.data = Flow()
        self.publishes = Flow()

    @property
    def is_dialled(self) -> bool:
        """Whether this node has dialled."""
        return self.endpoint is not None

    @property
    def flows(self) -> tuple[Flow, Flow]:
        return self.data, self.publishes

    def go_up(self, now: float) -> None:
        """The greeting is done."""
        self.state = LinkState.UP
        self.is_up = True
        self.up_since = now
        self.heard_at = now

    def first_grant(self, window_msgs: int) -> None:
        """The credit that a HELLO gives."""
        for flow in self.flows:
            flow.granted_msgs = window_msgs
            flow.granted_bytes = QUEUE_BYTES
            flow.grant_floor = min(window_msgs, 2 * chunk_msgs(window_msgs))

    @property
    def credit(self) -> tuple[int, int, int, int]:
        """The totals that the peer may send since the link was made, as CREDIT says them."""
        data, publishes = self.data, self.publishes
        return (
            data.granted_msgs,
            data.granted_bytes,
            publishes.granted_msgs,
            publishes.granted_bytes,
        )

    def take_frames(self, frame_bytes: int) -> list[tuple[bytes, ...]]:
        """All records that may be sent now, as frames of about ``frame_bytes`` at the most."""
        frames: list[tuple[bytes, ...]] = []
        records = self.control
        self.control = []
        if len(records) > 1:
            records = _framed(records, frames)
        larges: list[bytes] = []
        size = 0
        for flow in (self.data, self.publishes):
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
                # A record other than a batch takes longer to handle than its size suggests.
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
    """Makes frames of control records. Returns the records of the last frame, which may still
    grow."""
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

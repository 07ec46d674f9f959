"""The greeting. The dialler says HELLO, the listener says HELLO or REFUSE, and the dialler says
CONFIRM.

A HELLO is ``"SPOT" | lowest version u8 | highest version u8 | JSON``, so that every future version
can read the versions of every other.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from spot.core.wire.codec import (
    GOODBYE,
    HELLO,
    NODE_GONE,
    PROTOCOL_VERSION,
    REFUSE,
    SEQ_MAX,
    ProtocolError,
    record,
)
from spot.errors import InvalidArgument
from spot.names import check_word

MAGIC = b"SPOT"
NODE_UNKNOWN = "?"
"""Stands for the node id of a greeting that only another version understands."""
HELLO_BYTES_MAX = 8192
U64_MAX = (1 << 64) - 1

REFUSED_SELF = "self"
REFUSED_CLUSTER = "cluster"
REFUSED_VERSION = "version"
REFUSED_DUPLICATE = "duplicate node id"
REFUSED_REMOVED = "removed"
REFUSED_LINKED = "linked already"
REFUSED_PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True, order=True)
class Incarnation:
    """One incarnation of a node: wall-clock nanoseconds of its start, and random bits."""

    started: int
    random: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What a node says about itself.

    ``link`` is the dialler's random number for this connection. ``existing`` is the number of a
    link that the answering node already has with the dialler, or 0. ``window_msgs`` and
    ``window_bytes`` are the first credit, ``bytes_max`` is the largest payload that the node takes.
    Times are in seconds.
    """

    cluster: str
    node: str
    incarnation: Incarnation
    link: int
    existing: int
    window_msgs: int
    window_bytes: int
    bytes_max: int
    heartbeat: float
    peer_timeout: float
    version_low: int = PROTOCOL_VERSION
    version_high: int = PROTOCOL_VERSION

    def encode(self) -> bytes:
        fields = {name: getattr(self, name) for name in self.__slots__}
        low = fields.pop("version_low")
        high = fields.pop("version_high")
        fields["incarnation"] = [self.incarnation.started, self.incarnation.random]
        return record(HELLO, MAGIC + bytes((low, high)) + json.dumps(fields).encode())


def _json(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a greeting is not JSON") from error
    if not isinstance(fields, dict):
        raise ProtocolError("a greeting is not a JSON object")
    return fields


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= U64_MAX:
        raise ProtocolError(f"a greeting's {name} is {value!r:.40}")
    return value


def _seconds(fields: dict[str, Any], name: str) -> float:
    value = fields.get(name)
    if not isinstance(value, int | float) or not 0.001 <= value <= 1e9:
        raise ProtocolError(f"a greeting's {name} is {value!r:.40}")
    return float(value)


def _word(fields: dict[str, Any], name: str) -> str:
    try:
        return check_word(name, fields.get(name))
    except InvalidArgument as error:
        raise ProtocolError(f"a greeting's {error}") from error


def _said(fields: dict[str, Any], name: str, chars_max: int) -> str:
    """A peer's text for people, with characters that are safe in logs and terminals."""
    text = str(fields.get(name, ""))[:chars_max]
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def versions_of(body: bytes) -> tuple[int, int]:
    """The lowest and highest version of a HELLO's sender, whatever else the HELLO holds."""
    if len(body) < 6 or len(body) > HELLO_BYTES_MAX or body[:4] != MAGIC or body[4] > body[5]:
        raise ProtocolError("a greeting does not begin as SPOT's do")
    return body[4], body[5]


def _understood(low: int, high: int, me_low: int, me_high: int) -> bool:
    """Whether two nodes have a version in common."""
    return low <= me_high and high >= me_low


def _foreign(low: int, high: int, body: bytes) -> Hello:
    """A greeting whose versions this build can read, with the node id if it stands where it does
    today. The rest is empty. ``judge`` refuses such a greeting.
    """
    try:
        node = _word(_json(body[6:]), "node")
    except ProtocolError:
        node = NODE_UNKNOWN
    return Hello("", node, Incarnation(0, 0), 0, 0, 0, 0, 0, 0.0, 0.0, low, high)


def decode_hello(body: bytes) -> Hello:
    """Raises ProtocolError for a malformed greeting. A greeting of a version that this build does
    not speak may have another form: it is decoded as far as ``judge`` needs it.
    """
    low, high = versions_of(body)
    if not _understood(low, high, PROTOCOL_VERSION, PROTOCOL_VERSION):
        return _foreign(low, high, body)
    fields = _json(body[6:])
    incarnation = fields.get("incarnation")
    if not isinstance(incarnation, list) or len(incarnation) != 2:
        raise ProtocolError(f"a greeting's incarnation is {incarnation!r:.40}")
    life = {"started": incarnation[0], "random": incarnation[1]}
    return Hello(
        cluster=_word(fields, "cluster"),
        node=_word(fields, "node"),
        incarnation=Incarnation(_number(life, "started"), _number(life, "random")),
        link=_number(fields, "link"),
        existing=_number(fields, "existing"),
        window_msgs=max(1, _number(fields, "window_msgs")),
        window_bytes=max(1, _number(fields, "window_bytes")),
        bytes_max=_number(fields, "bytes_max"),
        heartbeat=_seconds(fields, "heartbeat"),
        peer_timeout=_seconds(fields, "peer_timeout"),
        version_low=low,
        version_high=high,
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a link was refused: a stable ``reason``, and a sentence for people."""

    reason: str
    text: str

    def encode(self) -> bytes:
        return record(REFUSE, json.dumps(asdict(self)).encode())


def decode_refusal(body: bytes) -> Refusal:
    fields = _json(body[:HELLO_BYTES_MAX])
    return Refusal(_said(fields, "reason", 80), _said(fields, "text", 400))


def judged_self(me: Hello) -> Refusal:
    """A node has met itself."""
    return Refusal(REFUSED_SELF, f"the endpoint is that of node {me.node} itself")


def judge(hello: Hello, me: Hello) -> Refusal | None:
    """Whether the versions, identity and cluster of a greeting can be accepted at all."""
    if hello.incarnation == me.incarnation:
        return judged_self(me)
    if not _understood(hello.version_low, hello.version_high, me.version_low, me.version_high):
        return Refusal(
            REFUSED_VERSION,
            f"node {me.node} speaks protocol versions {me.version_low} to {me.version_high}, "
            f"node {hello.node} speaks {hello.version_low} to {hello.version_high}: "
            "run builds of SPOT that share a version",
        )
    if hello.cluster != me.cluster:
        return Refusal(
            REFUSED_CLUSTER,
            f"node {hello.node} belongs to cluster {hello.cluster!r}, "
            f"node {me.node} to {me.cluster!r}",
        )
    if hello.node == me.node:
        return Refusal(REFUSED_DUPLICATE, f"two nodes have the id {me.node!r}")
    return None


def encode_goodbye(reason: str, heads: dict[int, int]) -> bytes:
    """GOODBYE with the final sequence of each topic, by topic number."""
    return record(GOODBYE, json.dumps({"reason": reason, "heads": list(heads.items())}).encode())


def encode_node_gone(node: str, reason: str, heads: dict[int, int]) -> bytes:
    """NODE_GONE: a node behind a relay, why it is lost, its final sequences if they are known."""
    fields = {"node": node, "reason": reason, "heads": list(heads.items())}
    return record(NODE_GONE, json.dumps(fields).encode())


def decode_node_gone(body: bytes) -> tuple[str, str, dict[int, int]]:
    node = _word(_json(body), "node")
    return node, *decode_goodbye(body)


def decode_goodbye(body: bytes) -> tuple[str, dict[int, int]]:
    fields = _json(body)
    heads: dict[int, int] = {}
    pairs = fields.get("heads", [])
    if not isinstance(pairs, list):
        raise ProtocolError("a goodbye's heads are malformed")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ProtocolError("a goodbye's heads are malformed")
        topic_id, head = (_number({"head": value}, "head") for value in pair)
        if head >= SEQ_MAX:
            raise ProtocolError(f"a goodbye's head is {head}")
        heads[topic_id] = head
    return _said(fields, "reason", 80), heads

"""Settings: keywords, Config and the environment, and that they take effect."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from spot import Config, InvalidArgument, Spot, SpotError
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, endpoint_of
from tests.library.waiting import receive

DEFAULTS = {
    "node_id": None,
    "cluster_name": "spot",
    "bind": (),
    "cluster": (),
    "members": (),
    "require_quorum": False,
    "topics": (),
    "subscribe": (),
    "sndhwm": 10_000,
    "rcvhwm": 10_000,
    "overflow": "catch-up",
    "sync_timeout": 1.0,
    "heartbeat": 0.5,
    "peer_timeout": 2.0,
    "send_timeout": 1.0,
    "linger": 1.0,
    "stable_after": 2.0,
    "reconnect_min": 0.1,
    "reconnect_max": 5.0,
    "max_message_bytes": 64 << 20,
    "keepalive_idle": 10,
    "keepalive_interval": 5,
    "keepalive_count": 3,
}

ENVIRONMENT = {
    "SPOT_NODE_ID": ("node-7", "node_id", "node-7"),
    "SPOT_CLUSTER_NAME": ("blue", "cluster_name", "blue"),
    "SPOT_BIND": ("tcp://*:0, inproc://a", "bind", ("tcp://*:0", "inproc://a")),
    "SPOT_CLUSTER": ("tcp://a:1,tcp://b:2,", "cluster", ("tcp://a:1", "tcp://b:2")),
    "SPOT_MEMBERS": ("a, b,c", "members", ("a", "b", "c")),
    "SPOT_REQUIRE_QUORUM": ("1", "require_quorum", True),
    "SPOT_RELAY": ("1", "relay", True),
    "SPOT_TOPICS": ("t:1, t:2", "topics", ("t:1", "t:2")),
    "SPOT_SUBSCRIBE": ("t:1,n:*", "subscribe", ("t:1", "n:*")),
    "SPOT_SNDHWM": ("7", "sndhwm", 7),
    "SPOT_RCVHWM": ("8", "rcvhwm", 8),
    "SPOT_OVERFLOW": ("ERROR", "overflow", "error"),
    "SPOT_SYNC_TIMEOUT": ("0.5", "sync_timeout", 0.5),
    "SPOT_HEARTBEAT": ("0.2", "heartbeat", 0.2),
    "SPOT_PEER_TIMEOUT": ("3", "peer_timeout", 3.0),
    "SPOT_SEND_TIMEOUT": ("none", "send_timeout", None),
    "SPOT_LINGER": ("0", "linger", 0.0),
    "SPOT_STABLE_AFTER": ("4", "stable_after", 4.0),
    "SPOT_RECONNECT_MIN": ("0.2", "reconnect_min", 0.2),
    "SPOT_RECONNECT_MAX": ("9", "reconnect_max", 9.0),
    "SPOT_MAX_MESSAGE_BYTES": ("1000", "max_message_bytes", 1000),
    "SPOT_KEEPALIVE_IDLE": ("11", "keepalive_idle", 11),
    "SPOT_KEEPALIVE_INTERVAL": ("6", "keepalive_interval", 6),
    "SPOT_KEEPALIVE_COUNT": ("4", "keepalive_count", 4),
    "SPOT_HISTORY_BYTES": ("0", "history_bytes", 0),
    "SPOT_HISTORY_TOTAL_BYTES": ("1000", "history_total_bytes", 1000),
    "SPOT_LOG_LEVEL": ("Debug", "log_level", "debug"),
}


def test_defaults_are_the_documented_ones() -> None:
    """They are in the README and in everybody's mind."""
    config = Config()
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_environment_sets_a_setting(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers are configured by their environment, and by nothing else."""
    text, name, value = ENVIRONMENT[variable]
    monkeypatch.setenv(variable, text)
    if name == "require_quorum":
        monkeypatch.setenv("SPOT_MEMBERS", "a")
    assert getattr(Config.from_env(), name) == value
    assert getattr(Config(), name) != value, "a Config of one's own is what one wrote"


def test_environment_covers_every_setting() -> None:
    """A setting that can't be set in a container is half a setting."""
    fields = {field.name for field in dataclasses.fields(Config)}
    assert {name for _, name, _ in ENVIRONMENT.values()} == fields


def test_environment_is_the_base_and_keywords_override(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program fixes what it must, an operator the rest; an explicit Config ignores both."""
    monkeypatch.setenv("SPOT_RCVHWM", "8")
    monkeypatch.setenv("SPOT_SNDHWM", "7")
    monkeypatch.setenv("SPOT_LINGER", " ")
    node = make_node(rcvhwm=9)
    assert (node.config.rcvhwm, node.config.sndhwm) == (9, 7)
    node = make_node(config=Config(peer_timeout=5), rcvhwm=9)
    assert (node.config.peer_timeout, node.config.rcvhwm, node.config.sndhwm) == (5, 9, 10_000)


BAD = [
    ("node_id", "a b"),
    ("node_id", ""),
    ("node_id", 5),
    ("cluster_name", None),
    ("cluster_name", "a,b"),
    ("bind", "tcp://*:5555"),
    ("bind", ["5555"]),
    ("cluster", ["tcp://a:0"]),
    ("cluster", "tcp://a:1"),
    ("members", "a"),
    ("members", [""]),
    ("members", ["a b"]),
    ("members", ["a", "a"]),
    ("require_quorum", 1),
    ("topics", "t"),
    ("topics", ["a*"]),
    ("topics", [b"t"]),
    ("subscribe", [""]),
    ("subscribe", "t"),
    ("sndhwm", 0),
    ("rcvhwm", -1),
    ("rcvhwm", 1.5),
    ("sndhwm", True),
    ("overflow", "drop"),
    ("sync_timeout", -1),
    ("sync_timeout", None),
    ("heartbeat", 0),
    ("heartbeat", "0.5"),
    ("peer_timeout", 0.29),
    ("peer_timeout", float("nan")),
    ("peer_timeout", float("inf")),
    ("send_timeout", -0.1),
    ("linger", -1),
    ("stable_after", -1),
    ("reconnect_min", 0),
    ("reconnect_max", 0),
    ("max_message_bytes", 0),
    ("max_message_bytes", 1 << 40),
    ("keepalive_idle", 0),
    ("keepalive_interval", 0.5),
    ("keepalive_count", 128),
    ("log_level", "loud"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_setting_is_named(name: str, value: Any) -> None:
    """Setting and value stand in the text, whichever way it came."""
    for make in (Config, Spot):
        with pytest.raises(InvalidArgument) as caught:
            make(**{name: value})
        assert caught.value.errno == errno.EINVAL
        text = str(caught.value)
        # Of a list it is the item that is wrong.
        wrong = value[0] if isinstance(value, list) else value
        assert repr(wrong) in text
        assert name in text


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SPOT_RCVHWM", "many"),
        ("SPOT_RCVHWM", "0"),
        ("SPOT_PEER_TIMEOUT", "2s"),
        ("SPOT_HEARTBEAT", "-1"),
        ("SPOT_OVERFLOW", "drop"),
        ("SPOT_BIND", "5555"),
        ("SPOT_CLUSTER", "tcp://a"),
        ("SPOT_TOPICS", "a*"),
        ("SPOT_MEMBERS", "a,b,a"),
        ("SPOT_REQUIRE_QUORUM", "maybe"),
        ("SPOT_NODE_ID", "a b"),
    ],
)
def test_bad_environment_names_the_variable(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator knows the variable, not the keyword."""
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidArgument, match=re.escape(f"{variable}='{text}'")):
        Spot()


@pytest.mark.parametrize("name", ["peer_timeout", "heartbeat", "send_timeout"])
@pytest.mark.parametrize("value", [1e300, float("inf")])
def test_time_that_nobody_waits_is_told_with_the_longest(name: str, value: float) -> None:
    """'At least 0.3' is no answer to who wrote a number that is far above."""
    with pytest.raises(
        InvalidArgument, match=f"{name} .*, at most 1000000000, not {re.escape(repr(value))}"
    ):
        Config().with_settings(**{name: value})


def test_quorum_of_nobody_is_refused() -> None:
    """A node that requires what it can never have would refuse every publish: a mistake."""
    with pytest.raises(InvalidArgument, match=r"require_quorum.*members is empty"):
        Spot(require_quorum=True)


def test_unknown_setting_is_a_type_error() -> None:
    """As for every Python function: a misspelt keyword must not be ignored."""
    makers: list[Callable[..., object]] = [Config, Spot, Config().with_settings, Config.from_env]
    for make in makers:
        with pytest.raises(TypeError, match="peer_timout"):
            make(peer_timout=1)
    with pytest.raises(TypeError, match="peer_timout"):
        Spot(Config(), peer_timout=1)
    with pytest.raises(TypeError, match="must be a Config, not dict"):
        Spot({"peer_timeout": 1})  # type: ignore[arg-type]


def test_waits_that_contradict_each_other_are_named() -> None:
    """reconnect_min above reconnect_max can't be meant."""
    with pytest.raises(InvalidArgument, match=r"reconnect_min 2.0.*reconnect_max 1.0"):
        Config(reconnect_min=2, reconnect_max=1)


def test_config_is_frozen_and_comparable() -> None:
    """It may be shared between nodes, and used as a default."""
    config = Config(topics=["a"], bind=iter([ANY_PORT]))  # type: ignore[arg-type]
    assert config.topics == ("a",)
    assert config.bind == (ANY_PORT,)
    assert config == Config(topics=("a",), bind=(ANY_PORT,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.rcvhwm = 5  # type: ignore[misc]


def test_constructor_carries_out_its_lists(make_node: MakeNode) -> None:
    """bind, topics, cluster and subscribe: a whole node in one line."""
    host = make_node(bind=[ANY_PORT, ANY_PORT], topics=["t:1", "t:2"])
    node = make_node(cluster=host.endpoints, subscribe=["t:1", "n:*"], topics=["n:1"])
    node.cluster_sync()
    host.publish("t:1", b"a")
    host.publish("t:2", b"not subscribed")
    node.publish("n:1", b"b")
    assert {(m.topic, m.data) for m in receive(node, 2)} == {("t:1", b"a"), ("n:1", b"b")}
    assert len(host.endpoints) == 2


def test_constructor_that_fails_leaves_nothing_behind(host: Spot, free_ports: int) -> None:
    """The port must be free for a second try, and no thread may stay."""
    free = f"tcp://127.0.0.1:{free_ports}"
    threads = threading.active_count()
    wrong: list[dict[str, Any]] = [
        {"bind": [free, endpoint_of(host)]},
        {"bind": [free], "topics": ["t", "t"]},
    ]
    for settings in wrong:
        with pytest.raises(SpotError):
            Spot(**settings)
        with Spot() as node:
            assert node.bind(free) == free
    assert threading.active_count() <= threads


def test_node_ids_are_unique_by_default(make_node: MakeNode) -> None:
    """Two nodes of one host without a name must not refuse each other as duplicates."""
    nodes = [make_node() for _ in range(20)]
    assert len({node.node_id for node in nodes}) == 20
    assert make_node(node_id="node-7").node_id == "node-7"


def sockets_of_port(port: int) -> list[socket.socket]:
    """The sockets of this process that are connected to the port."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            sock = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        try:
            if sock.getpeername()[1] == port:
                found.append(sock)
                continue
        except (OSError, IndexError):
            pass
        sock.close()
    return found


def test_connections_have_keepalive_and_no_delay(make_node: MakeNode, host: Spot) -> None:
    """TCP_NODELAY is always on, and the keepalive settings reach the kernel."""
    node = make_node(
        cluster=host.endpoints, keepalive_idle=11, keepalive_interval=6, keepalive_count=4
    )
    node.cluster_sync()
    (sock,) = sockets_of_port(port_of(endpoint_of(host)))
    with sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 11
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 6
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4

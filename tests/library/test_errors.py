"""The error tree: one root, the errno of the table, fields, causes, and Closed everywhere."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import zmq

import spot
from spot import (
    Closed,
    HostUnreachable,
    InvalidArgument,
    NoQuorum,
    QueueFull,
    Spot,
    SpotError,
    TimedOut,
)
from tests.library.nodes import MakeNode, endpoint_of

TREE = {
    "InvalidArgument": errno.EINVAL,
    "Closed": errno.EBADF,
    "TopicExists": errno.EEXIST,
    "TopicNotFound": errno.ENOENT,
    "NotSubscribed": errno.ENOENT,
    "PeerExists": errno.EEXIST,
    "PeerNotFound": errno.ENOENT,
    "EndpointExists": errno.EEXIST,
    "AddressInUse": errno.EADDRINUSE,
    "HostUnreachable": errno.EHOSTUNREACH,
    "NoQuorum": errno.ENETUNREACH,
    "QueueFull": errno.EAGAIN,
    "MessageTooLarge": errno.EMSGSIZE,
    "TooManyOpenFiles": errno.EMFILE,
    "TooManyThreads": errno.EAGAIN,
    "TimedOut": errno.ETIMEDOUT,
    "WouldDeadlock": errno.EDEADLK,
}


@pytest.mark.parametrize("name", TREE)
def test_error_has_the_errno_of_the_table(name: str) -> None:
    """Programs that come from the C API compare errno; others catch one root."""
    kind = getattr(spot, name)
    error = kind("why")
    assert isinstance(error, SpotError)
    assert isinstance(error, OSError)
    assert (error.errno, str(error)) == (TREE[name], "why")


def test_tree_is_whole() -> None:
    """Every public error is under the root, and in the table above."""
    public = {
        name
        for name, thing in vars(spot).items()
        if inspect.isclass(thing) and issubclass(thing, BaseException)
    }
    assert public == {*TREE, "SpotError"}
    assert issubclass(InvalidArgument, ValueError)
    assert issubclass(TimedOut, TimeoutError)


def test_fields_are_empty_where_they_do_not_apply() -> None:
    """A handler may look at every field of every error."""
    error = SpotError("why")
    fields = (error.endpoint, error.node, error.topic, error.topics, error.limit, error.reason)
    assert fields == (None, None, None, (), None, None)


def full(error: SpotError) -> dict[str, Any]:
    return {**vars(error), "errno": error.errno, "text": str(error)}


@pytest.mark.parametrize(
    "error",
    [
        HostUnreachable("lost", node="n", endpoint="e", topics=("a", "b"), reason="closed"),
        TimedOut("late", answers={"e": frozenset({"t"})}, missing=("f",)),
        QueueFull("full", topic="t", limit=5),
        NoQuorum("alone", topic="t", node="n", limit=2),
        InvalidArgument("bad"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_survives_pickling(error: SpotError) -> None:
    """A pool of processes hands errors over by pickling; one that can't be read hangs it."""
    if isinstance(error, QueueFull | NoQuorum):
        error.accepted = 7
    if isinstance(error, NoQuorum):
        error.missing = ("m",)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert full(other) == full(error)


CALLS: dict[str, Callable[[Spot], object]] = {
    "topic_create": lambda node: node.topic_create("u"),
    "topic_destroy": lambda node: node.topic_destroy("t"),
    "topic_route": lambda node: node.topic_route("u", "tcp://127.0.0.1:9"),
    "topic_exists": lambda node: node.topic_exists("t"),
    "topic_is_local": lambda node: node.topic_is_local("t"),
    "list_topics": lambda node: node.list_topics(),
    "subscribe": lambda node: node.subscribe("t"),
    "subscribe_pattern": lambda node: node.subscribe_pattern("*"),
    "unsubscribe": lambda node: node.unsubscribe("t"),
    "unsubscribe_pattern": lambda node: node.unsubscribe_pattern("*"),
    "publish": lambda node: node.publish("t", b"x"),
    "publish_many": lambda node: node.publish_many("t", [b"x"]),
    "flush": lambda node: node.flush(),
    "wait_for_subscribers": lambda node: node.wait_for_subscribers("t"),
    "recv": lambda node: node.recv(0),
    "recv_many": lambda node: node.recv_many(1, 0),
    "fileno": lambda node: node.fileno(),
    "bind": lambda node: node.bind("tcp://127.0.0.1:0"),
    "cluster_add": lambda node: node.cluster_add("tcp://127.0.0.1:9"),
    "cluster_remove": lambda node: node.cluster_remove("client"),
    "cluster_sync": lambda node: node.cluster_sync(),
    "is_healthy": lambda node: node.is_healthy("client"),
    "peers": lambda node: node.peers(),
    "metrics": lambda node: node.metrics(),
    "view": lambda node: node.view(),
    "events": lambda node: node.events(),
    "set_hwm": lambda node: node.set_hwm(1, 1),
}
QUIET = {"close", "node_id", "endpoints", "config", "closed"}


def test_every_call_is_in_the_list() -> None:
    """A new call must be thought of here, too."""
    public = {name for name in dir(Spot) if not name.startswith("_")}
    assert public == {*CALLS, *QUIET}


@pytest.mark.parametrize("name", CALLS)
def test_call_after_close_raises_closed(host: Spot, client: Spot, name: str) -> None:
    """Whatever the node did before: published, received, half-read a batch."""
    host.subscribe("t")
    host.publish_many("t", [b"1", b"2", b"3"])
    assert host.recv(1) is not None
    host.close()
    with pytest.raises(Closed, match="closed") as caught:
        CALLS[name](host)
    assert caught.value.errno == errno.EBADF
    assert client.node_id == "client"


def test_no_zmq_error_leaves_the_library(make_node: MakeNode, host: Spot) -> None:
    """Who catches SpotError must catch all; what zmq said is the cause."""
    with pytest.raises(SpotError) as caught:
        make_node().bind(endpoint_of(host))
    assert not isinstance(caught.value, zmq.ZMQError)
    assert isinstance(caught.value.__cause__, zmq.ZMQError)

"""Timeouts that are none: told at once by every call, whatever else it would do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from spot import SEND_TIMEOUT, InvalidArgument, Message, Spot, TopicNotFound, aio
from tests.library.nodes import ANY_PORT, MakeNode

Call = Callable[[Any, Any], Any]

WRONG = (-1, -0.001, float("nan"), float("-inf"), "1", True, b"1", object())
CALLS: dict[str, Call] = {
    "publish": lambda node, timeout: node.publish("t", b"x", timeout=timeout),
    "publish to no topic": lambda node, timeout: node.publish("none", b"x", timeout=timeout),
    "publish_many": lambda node, timeout: node.publish_many("t", [b"x"], timeout=timeout),
    "publish_many of none": lambda node, timeout: node.publish_many("t", [], timeout=timeout),
    "flush": lambda node, timeout: node.flush(timeout),
    "recv": lambda node, timeout: node.recv(timeout),
    "recv_many": lambda node, timeout: node.recv_many(5, timeout),
    "wait_for_subscribers": lambda node, timeout: node.wait_for_subscribers("t", 1, timeout),
    "cluster_add": lambda node, timeout: node.cluster_add("tcp://127.0.0.1:9", timeout=timeout),
    "cluster_sync": lambda node, timeout: node.cluster_sync(timeout),
    "is_healthy": lambda node, timeout: node.is_healthy("nobody", timeout),
    "topic_route": lambda node, timeout: node.topic_route(
        "r", "tcp://127.0.0.1:9", timeout=timeout
    ),
    "events": lambda node, timeout: node.events(timeout),
}


def fill(node: Spot) -> None:
    """Makes the fast ways of publish and recv the ones that are taken."""
    node.subscribe("t")
    node.publish_many("t", [b"1", b"2", b"3"])
    node.publish("t", b"4")
    first = node.recv(5)
    assert first is not None
    assert first.data == b"1"


@pytest.mark.parametrize("name", CALLS)
def test_wrong_timeout_is_refused_at_once(make_node: MakeNode, name: str) -> None:
    """A sign slip must not hide until a queue is full; nothing was published or taken."""
    node = make_node(bind=[ANY_PORT], topics=["t"])
    fill(node)
    for wrong in wrong_for(name):
        with pytest.raises(InvalidArgument, match="timeout"):
            CALLS[name](node, wrong)
    assert node.peers() == ()
    assert [message.data for message in rest(node)] == [b"2", b"3", b"4"]


def wrong_for(name: str) -> tuple[object, ...]:
    """The timeouts that a call must refuse: only publishes have the setting as theirs."""
    return WRONG if name.startswith("publish") else (*WRONG, SEND_TIMEOUT)


def rest(node: Spot) -> Iterator[Message]:
    """The messages that are there."""
    while (message := node.recv(0.1)) is not None:
        yield message


async def called(node: aio.Spot, name: str, timeout: object) -> None:
    """Makes a call, and awaits it unless it is the one that returns an iterator."""
    given = CALLS[name](node, timeout)
    if not isinstance(given, AsyncIterator):
        await given


@pytest.mark.parametrize("name", CALLS)
def test_wrong_timeout_is_refused_at_once_by_asyncio(name: str) -> None:
    """The asyncio form takes ways of its own in publish, recv and recv_many."""

    async def test() -> None:
        async with aio.Spot(topics=["t"], linger=0) as node:
            fill(node._node)
            for wrong in wrong_for(name):
                with pytest.raises(InvalidArgument, match="timeout"):
                    await called(node, name, wrong)
            data = []
            while (message := await node.recv(0.1)) is not None:
                data.append(message.data)
            assert data == [b"2", b"3", b"4"]

    asyncio.run(test())


@pytest.mark.parametrize("timeout", [SEND_TIMEOUT, None, 0, 0.0, 1, 2.5, 1e12, float("inf")])
def test_right_timeouts_are_taken(make_node: MakeNode, timeout: Any) -> None:
    """SEND_TIMEOUT may be passed on, so that a wrapper need not know the setting."""
    node = make_node(topics=["t"])
    fill(node)
    node.publish("t", b"5", timeout=timeout)
    node.publish_many("t", [b"6"], timeout=timeout)
    if timeout is not SEND_TIMEOUT:
        assert node.recv(timeout) is not None
    with pytest.raises(TopicNotFound):
        node.publish("none", b"x", timeout=timeout)
    assert repr(SEND_TIMEOUT) == "SEND_TIMEOUT"

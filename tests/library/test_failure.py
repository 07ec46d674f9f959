"""A node that fails within closes with its cause: applications end, rather than hang."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from spot import Closed, Config, Spot, aio
from tests.library.nodes import ANY_PORT, MakeNode
from tests.library.waiting import wait_until

STAGES = ("poll", "receive", "send", "tick", "flush", "has_input", "read_monitor")
WAITS: dict[str, Callable[[Spot], object]] = {
    "recv": lambda node: node.recv(20),
    "recv_many": lambda node: node.recv_many(10, 20),
    "iteration": lambda node: next(iter(node)),
    "events": lambda node: list(node.events(20)),
    "wait_for_subscribers": lambda node: node.wait_for_subscribers("mine", 9, 20),
}


def break_stage(node: Spot, stage: str, error: Exception) -> None:
    """From now on this stage of the node's loop raises the error."""
    driver = node._driver

    def fail(*_args: object, **_how: object) -> None:
        raise error

    with driver.lock:
        if stage == "poll":
            driver._leader_poll = driver._io_poll = Mock(poll=fail)
        elif stage == "tick":
            driver.core.tick = fail  # type: ignore[method-assign]
        elif stage == "flush":
            driver.buffers.order = fail  # type: ignore[method-assign, assignment]
        else:
            setattr(driver.transport, stage, fail)


@pytest.fixture
def broken_pair(make_node: MakeNode) -> tuple[Spot, Spot]:
    """A node, which is to be broken, and its peer."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], log_level="error")
    node = make_node(
        node_id="node", bind=[ANY_PORT], cluster=host.endpoints, topics=["mine"], peer_timeout=0.5
    )
    node.cluster_sync()
    node.subscribe("t")
    return host, node


def drive(host: Spot, node: Spot, stage: str) -> None:
    """Has the stage run soon."""
    if stage == "flush":
        # What is published waits for a flush, by whoever comes to it.
        node._driver.buffers.hot_until = float("inf")
        node._driver.buffers.armed = False
        node.publish("mine", b"x")
        node._driver.buffers.hot_until = 0.0
    elif stage == "read_monitor":
        # A stranger connects.
        port = int(node.endpoints[0].rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
    else:
        host.publish("t", b"x")


@pytest.mark.parametrize("waits", WAITS)
@pytest.mark.parametrize("stage", STAGES)
def test_failure_ends_every_wait_and_later_call(
    broken_pair: tuple[Spot, Spot], stage: str, waits: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Waits end with Closed and its cause; threads and sockets end; it is logged once."""
    host, node = broken_pair
    cause = OSError(5, "injected")
    found: list[BaseException] = []

    def wait() -> None:
        try:
            for _ in range(100):
                WAITS[waits](node)
        except Closed as error:
            found.append(error)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: node._driver.wakeups.leading and node._driver.wakeups.waiting)
    with caplog.at_level(logging.ERROR, "spot"):
        break_stage(node, stage, cause)
        drive(host, node, stage)
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert [error.__cause__ for error in found] == [cause, cause]
        wait_until(lambda: node._driver.closed)
        wait_until(lambda: not node._driver._io.is_alive())
        wait_until(lambda: [record for record in caplog.records if record.exc_info])
    assert node.closed
    for call in (node.metrics, node.peers, lambda: node.publish("mine", b"x"), node.recv):
        with pytest.raises(Closed, match="injected") as told:
            call()
        assert told.value.__cause__ is cause
    node.close()
    logged = [record for record in caplog.records if "has failed" in record.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info is not None
    assert logged[0].exc_info[1] is cause


@pytest.mark.parametrize("stage", STAGES)
def test_failure_while_nobody_waits(broken_pair: tuple[Spot, Spot], stage: str) -> None:
    """The I/O thread meets it: the node closes, its port is free, and its peer is told."""
    host, node = broken_pair
    (endpoint,) = node.endpoints
    wait_until(lambda: node._driver.wakeups.io_polls)
    break_stage(node, stage, ValueError("injected"))
    try:
        drive(host, node, stage)
    except Closed:
        assert stage == "flush"
    wait_until(lambda: not node._driver._io.is_alive())
    with pytest.raises(Closed, match="injected"):
        node.recv(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(endpoint.rpartition(":")[2])))
    wait_until(lambda: not host.peers())


def test_failure_in_a_call_raises_closed_there(broken_pair: tuple[Spot, Spot]) -> None:
    """Whoever's call comes to it gets it, with the cause."""
    _, node = broken_pair
    cause = OSError(5, "injected")
    break_stage(node, "send", cause)
    with pytest.raises(Closed, match="injected") as told:
        node.cluster_sync(5)
    assert told.value.__cause__ is cause
    wait_until(lambda: not node._driver._io.is_alive())


def test_failure_ends_waits_of_asyncio(make_node: MakeNode) -> None:
    """Tasks get Closed with its cause, iterations too."""

    async def run() -> list[BaseException]:
        node = aio.Spot(Config(topics=("t",)))
        await node.subscribe("t")

        async def iterate() -> None:
            async for _ in node:
                pass

        async def listen() -> None:
            async for _ in node.events():
                pass

        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (node.recv(), node.recv_many(5), iterate(), listen())
        ]
        await asyncio.sleep(0.1)
        break_stage(node._node, "has_input", ValueError("injected"))
        with pytest.raises(Closed):
            node._node.recv(0)
        found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        await node.close()
        return [each for each in found if isinstance(each, BaseException)]

    found = asyncio.run(run())
    assert [type(error) for error in found] == [Closed] * 4
    assert [str(error.__cause__) for error in found] == ["injected"] * 4


def test_failure_while_closing_is_no_error_of_close(broken_pair: tuple[Spot, Spot]) -> None:
    """The node ends in any case."""
    _, node = broken_pair
    break_stage(node, "send", OSError(5, "injected"))
    node.close()
    assert node._driver.closed
    assert not node._driver._io.is_alive()


def test_name_is_looked_up_later_if_no_thread_can_be_started(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit of processes a dial by name fails, and is made again."""
    host = make_node(bind=[ANY_PORT])
    port = host.endpoints[0].rpartition(":")[2]
    node = make_node(topics=["t"])
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "spot-resolve":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    events = node.events(10)
    node.cluster_add(f"tcp://localhost:{port}")
    failed = next(event for event in events if event.kind == "dial_failed")
    assert "can't start new thread" in str(failed.reason)
    monkeypatch.undo()
    node.cluster_sync(10)


def test_frame_that_fails_ends_its_link_only(broken_pair: tuple[Spot, Spot]) -> None:
    """One peer's frame must not end the node of all others."""
    host, node = broken_pair
    plain = node._core.frame

    def fail_once(*_args: object) -> None:
        node._core.frame = plain  # type: ignore[method-assign]
        raise ValueError("injected")

    node._core.frame = fail_once  # type: ignore[method-assign, assignment]
    host.publish("t", b"x")
    wait_until(lambda: node.metrics().links_lost == 1)
    node.cluster_sync(10)
    assert not node.closed

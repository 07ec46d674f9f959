"""spot.aio: the same calls, awaited, in one event loop."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import inspect
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

import spot
from spot import Closed, HostUnreachable, Message, QueueFull, SpotError, TopicNotFound, aio
from tests.library.nodes import ANY_PORT

Test = Callable[[], Coroutine[Any, Any, None]]


def run(test: Test) -> None:
    """Runs one asyncio test, with a loop that complains about what blocks it."""

    async def guarded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(guarded())


async def pair(**settings: Any) -> tuple[aio.Spot, aio.Spot]:
    """A host of topic t, and a node that is synchronised with it."""
    host = aio.Spot(node_id="host", bind=[ANY_PORT], topics=["t"], linger=0.2, **settings)
    node = aio.Spot(node_id="node", cluster=host.endpoints, linger=0.2, **settings)
    await node.cluster_sync()
    return host, node


async def full_pair(**settings: Any) -> tuple[aio.Spot, aio.Spot, int]:
    """A host of topic t whose queue is full, its subscriber, and how many it has accepted."""
    settings = {"linger": 0, "sndhwm": 10} | settings
    host = aio.Spot(node_id="host", bind=[ANY_PORT], topics=["t"], **settings)
    node = aio.Spot(node_id="node", cluster=host.endpoints, rcvhwm=10, linger=0)
    await node.cluster_sync()
    await node.subscribe("t")
    accepted = 0
    while accepted < 1000:
        publishing = asyncio.ensure_future(host.publish("t", b"%d" % accepted, timeout=None))
        while not publishing.done() and (await host.metrics()).queued_msgs < 10:
            await asyncio.wait([publishing], timeout=0.2)
        publishing.cancel()
        await asyncio.wait([publishing])
        if publishing.cancelled():
            break
        accepted += 1
    return host, node, accepted


async def data_of(node: aio.Spot, count: int) -> list[bytes]:
    """The next messages, so many."""
    found = [await node.recv(5) for _ in range(count)]
    return [message.data for message in found if message]


async def becomes(ready: Callable[[], object], seconds: float = 5) -> None:
    """Waits until it is true."""
    async with asyncio.timeout(seconds):
        while not ready():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


def calling_threads() -> set[threading.Thread]:
    """The threads that were there for calls of spot.aio, the loop's executor's among them."""
    return {
        thread
        for thread in threading.enumerate()
        if thread.name.startswith(("spot-call", "asyncio_"))
    }


def test_calls_are_those_of_the_sync_form() -> None:
    """Names, parameters and defaults: what one learnt for one form holds for the other."""
    for name in dir(spot.Spot):
        if name.startswith("_") or name == "fileno":
            continue
        sync = inspect.getattr_static(spot.Spot, name)
        other = inspect.getattr_static(aio.Spot, name)
        if isinstance(sync, property):
            assert isinstance(other, property), name
            continue
        parameters = [
            [
                (parameter.name, parameter.kind, parameter.default)
                for parameter in inspect.signature(call).parameters.values()
                if not parameter.name.startswith("_")
            ]
            for call in (sync, other)
        ]
        assert parameters[0] == parameters[1], name


def test_guide_program_in_asyncio() -> None:
    """The two programs of the guide, in one loop."""

    async def test() -> None:
        async with aio.Spot(bind=[ANY_PORT]) as host, aio.Spot() as node:
            await host.topic_create("sensor:temperature")
            await node.cluster_add(host.endpoints[0])
            assert await node.cluster_sync(timeout=5) == {
                host.endpoints[0]: frozenset({"sensor:temperature"})
            }
            await node.subscribe("sensor:temperature")
            await host.wait_for_subscribers("sensor:temperature", timeout=5)
            await host.publish("sensor:temperature", b"21.5")
            message = await node.recv(timeout=5)
            assert message is not None
            assert (message.data, message.seq) == (b"21.5", 1)
            assert await node.is_healthy(host.endpoints[0], timeout=2)
            assert (await node.peers())[0].state == "up"
            assert (await node.metrics()).recv_msgs == 1
            assert await node.list_topics() == ["sensor:temperature"]
            assert await node.topic_exists("sensor:temperature")
            assert not await node.topic_is_local("sensor:temperature")
            await node.unsubscribe("sensor:temperature")
            await node.subscribe_pattern("sensor:*")
            await node.unsubscribe_pattern("sensor:*")
            await node.set_hwm(10, 10)
            await host.flush(timeout=5)
            await node.cluster_remove(host.endpoints[0])
            await node.topic_route("sensor:temperature", host.endpoints[0])
            await host.topic_destroy("sensor:temperature")

    run(test)


def test_recv_waits_without_blocking_the_loop() -> None:
    """Other tasks go on while one waits for a message, however long."""

    async def test() -> None:
        host, node = await pair()
        await node.subscribe("t")
        began = time.monotonic()
        assert await node.recv(timeout=0.3) is None
        assert 0.28 < time.monotonic() - began < 5

        async def tick_and_publish() -> None:
            for _ in range(20):
                await asyncio.sleep(0.01)
            await host.publish("t", b"x")

        ticking = asyncio.create_task(tick_and_publish())
        message = await node.recv()
        assert message is not None
        await ticking
        await host.close()
        await node.close()

    run(test)


def test_recv_that_is_cancelled_takes_no_message() -> None:
    """asyncio.timeout and wait_for cancel: whatever they cut off must not be lost."""

    async def test() -> None:
        host, node = await pair()
        await node.subscribe("t")
        found: list[Message] = []
        for at in range(200):
            task = asyncio.create_task(node.recv())
            await asyncio.sleep(0)
            await host.publish("t", b"%d" % at)
            if at % 2:
                await asyncio.sleep(0.001 * (at % 5))
            task.cancel()
            try:
                message = await task
            except asyncio.CancelledError:
                continue
            assert message is not None
            found.append(message)
        await host.publish("t", b"end")
        while not found or found[-1].data != b"end":
            message = await node.recv(timeout=5)
            assert message is not None
            found.append(message)
        assert [message.seq for message in found] == list(range(1, 202))
        await host.close()
        await node.close()

    run(test)


def test_many_tasks_in_recv_share_the_stream() -> None:
    """Workers on one node: each message to exactly one."""

    async def test() -> None:
        host, node = await pair()
        await node.subscribe("t")
        found: list[int] = []

        async def work() -> None:
            while len(found) < 2000:
                message = await node.recv(timeout=0.3)
                if message is not None:
                    found.append(message.seq)

        tasks = [asyncio.create_task(work()) for _ in range(10)]
        for at in range(20):
            await host.publish_many("t", [b"%d" % n for n in range(at * 100, at * 100 + 100)])
        await asyncio.gather(*tasks)
        assert sorted(found) == list(range(1, 2001))
        await host.close()
        await node.close()

    run(test)


def test_iteration_raises_goes_on_and_ends() -> None:
    """async for: as the sync form, after an error and at the end."""

    async def test() -> None:
        host, node = await pair()
        await node.subscribe("t")
        await host.publish("t", b"1")
        messages = aiter(node)
        assert (await anext(messages)).data == b"1"
        await host.close()
        with pytest.raises(HostUnreachable) as caught:
            await anext(messages)
        assert caught.value.errno == errno.EHOSTUNREACH
        await node.topic_create("own")
        await node.subscribe("own")
        await node.publish("own", b"2")
        assert (await anext(messages)).data == b"2"

        async def close_soon() -> None:
            await asyncio.sleep(0.1)
            await node.close()

        closing = asyncio.create_task(close_soon())
        assert [message async for message in messages] == []
        await closing

    run(test)


def test_recv_many_is_a_batch_or_empty() -> None:
    """What precedes an error comes first."""

    async def test() -> None:
        host, node = await pair()
        await node.subscribe("t")
        assert await node.recv_many(5, timeout=0.05) == []
        assert await node.recv_many(5, timeout=0) == []
        await host.publish_many("t", [b"x"] * 8)
        await node.cluster_sync()
        assert len(await node.recv_many(5)) == 5
        await host.close()
        await asyncio.sleep(0.1)
        assert len(await node.recv_many(5)) == 3
        with pytest.raises(HostUnreachable):
            await node.recv_many(5)
        await node.close()

    run(test)


def test_publish_waits_for_room_without_blocking_the_loop() -> None:
    """A full queue holds up the task that publishes, and nobody else."""

    async def test() -> None:
        host, node, accepted = await full_pair(overflow="error")
        with pytest.raises(QueueFull):
            await host.publish("t", b"hasty", timeout=0.2)
        with pytest.raises(QueueFull):
            await host.publish("t", b"hastier", timeout=0)
        task = asyncio.create_task(host.publish("t", b"patient", timeout=10))
        began = time.monotonic()
        await asyncio.sleep(0.1)
        assert time.monotonic() - began < 5
        assert not task.done()
        assert await data_of(node, accepted) == [b"%d" % at for at in range(accepted)]
        await task
        assert await data_of(node, 1) == [b"patient"]
        await host.close()
        await node.close()

    run(test)


def test_events_are_told_as_they_come() -> None:
    """Ends with close, or after its timeout."""

    async def test() -> None:
        host, node = await pair()
        told = asyncio.Event()

        async def watch() -> None:
            async for event in node.events():
                if event.kind == "topic_up":
                    told.set()

        task = asyncio.create_task(watch())
        await asyncio.sleep(0.05)
        await host.topic_create("u")
        await told.wait()
        await node.close()
        await task
        assert [event async for event in host.events(timeout=0.05)] == []
        await host.close()

    run(test)


def test_close_wakes_whoever_waits() -> None:
    """Tasks in recv, sync and publish end with Closed; later calls raise it at once."""

    async def test() -> None:
        host, node = await pair()
        await node.subscribe("t")
        await node.cluster_add("tcp://127.0.0.1:9")
        waiting: list[Awaitable[object]] = [
            asyncio.ensure_future(node.recv()),
            asyncio.ensure_future(node.recv_many(5, timeout=60)),
            asyncio.ensure_future(node.cluster_sync(60)),
        ]
        await asyncio.sleep(0.1)
        await node.close()
        await node.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [Closed] * 3
        for call in (node.recv, node.peers, node.metrics, node.list_topics, node.cluster_sync):
            with pytest.raises(Closed):
                await call()
        await host.close()

    run(test)


def test_errors_are_those_of_the_sync_form() -> None:
    """Class, errno and fields come through threads and tasks."""

    async def test() -> None:
        host, node = await pair()
        with pytest.raises(TopicNotFound) as caught:
            await node.publish("nowhere", b"x")
        assert (caught.value.errno, caught.value.topic) == (errno.ENOENT, "nowhere")
        with pytest.raises(TypeError):
            await host.publish("t", "text")  # type: ignore[arg-type]
        with pytest.raises(SpotError) as other:
            await node.cluster_add("nonsense")
        assert other.value.errno == errno.EINVAL
        await host.close()
        await node.close()

    run(test)


def test_thousands_of_messages_one_at_a_time() -> None:
    """No wake-up is lost between the descriptor and the loop, nor credit between the calls."""

    async def test() -> None:
        host, node = await pair(rcvhwm=50)
        await node.subscribe("t")

        async def publish() -> None:
            for at in range(3000):
                await host.publish("t", b"%d" % at, timeout=10)
                if at % 100 == 0:
                    await asyncio.sleep(0.001)

        task = asyncio.create_task(publish())
        for at in range(3000):
            message = await node.recv(timeout=5)
            assert message is not None, at
            assert message.data == b"%d" % at
        await task
        await host.close()
        await node.close()

    run(test)


def test_calls_that_wait_hold_up_no_other() -> None:
    """However many wait: others have their answers, and close comes through and wakes them."""

    async def test() -> None:
        host, node = await pair()
        waiting = [asyncio.ensure_future(host.wait_for_subscribers("t", 9)) for _ in range(100)]
        try:
            async with asyncio.timeout(5):
                assert await host.is_healthy("node", timeout=2)
                await host.bind(ANY_PORT)
                await host.cluster_sync(2)
                await host.close()
                results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(result) for result in results] == [Closed] * 100
        finally:
            # The threads of the loop's executor would keep it from ending.
            host._node.close()
        await node.close()

    run(test)


def test_cancelled_calls_end_with_their_threads() -> None:
    """Whatever they wait for, and without changing it."""

    async def test() -> None:
        host, node, _ = await full_pair()
        await host.topic_create("u")
        await becomes(lambda: not calling_threads())
        await node.cluster_add("tcp://127.0.0.1:9")
        silent = socket.create_server(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        events = host.events()
        calls: list[Awaitable[object]] = [
            host.wait_for_subscribers("t", 9),
            host.publish("t", b"x", timeout=None),
            host.publish_many("t", [b"x", b"y"], timeout=None),
            host.flush(),
            node.cluster_sync(None),
            node.topic_route("nowhere", endpoint, timeout=None),
            node.cluster_add(endpoint.replace("127.0.0.1", "localhost"), timeout=60),
            anext(events),
        ]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await becomes(lambda: len(calling_threads()) == len(calls))
        for task in tasks:
            task.cancel()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert [type(result) for result in results] == [asyncio.CancelledError] * len(calls)
        await becomes(lambda: not calling_threads())
        assert not host._node._driver.event_log.listeners
        peers = {peer.endpoint for peer in await node.peers()}
        # That of the route was taken back, that of cluster_add stays.
        assert endpoint not in peers
        assert endpoint.replace("127.0.0.1", "localhost") in peers
        await host.close()
        await node.close()
        silent.close()

    run(test)


def test_subscribe_that_is_cancelled_has_subscribed() -> None:
    """Only the confirmation was not waited for."""

    async def test() -> None:
        host, node = await pair()
        for call in (node.subscribe("t"), node.subscribe_pattern("u*")):
            task = asyncio.ensure_future(call)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await node.unsubscribe_pattern("u*")
        await host.wait_for_subscribers("t", timeout=5)
        await host.publish("t", b"x")
        assert await data_of(node, 1) == [b"x"]
        await host.close()
        await node.close()

    run(test)


def test_publish_that_is_cancelled_never_arrives() -> None:
    """Waiting for room, or in line behind one that does; whatever comes after it is in order."""

    async def test() -> None:
        host, node, accepted = await full_pair()
        first, second, third, fourth = (
            asyncio.ensure_future(host.publish("t", data, timeout=None))
            for data in (b"first", b"second", b"third", b"fourth")
        )
        await asyncio.wait([first, second, third, fourth], timeout=0.1)
        for task in (first, third):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await host.publish("t", b"cut off", timeout=None)
        assert await data_of(node, accepted) == [b"%d" % at for at in range(accepted)]
        await second
        await fourth
        await host.publish("t", b"last")
        assert await data_of(node, 3) == [b"second", b"fourth", b"last"]
        assert await node.recv(0.1) is None
        assert not host._queues
        await host.close()
        await node.close()

    run(test)


def test_cancelled_publishes_never_arrive_while_there_is_little_room() -> None:
    """Cancelled at any point, with a reader that makes room all the time."""

    async def test() -> None:
        host, node, accepted = await full_pair()
        found: list[bytes] = []

        async def read() -> None:
            while not found or found[-1] != b"end":
                found.extend(await data_of(node, 1))
                await asyncio.sleep(0.001)

        reading = asyncio.ensure_future(read())
        expected = [b"%d" % at for at in range(accepted)]
        for at in range(300):
            data = b"more %d" % at
            publishing = asyncio.ensure_future(host.publish("t", data, timeout=None))
            await asyncio.wait([publishing], timeout=(0.0005, 0.002, None)[at % 3])
            publishing.cancel()
            await asyncio.wait([publishing])
            if not publishing.cancelled():
                expected.append(data)
        await host.publish("t", b"end", timeout=None)
        await reading
        assert found == [*expected, b"end"]
        await host.close()
        await node.close()

    run(test)


def test_publishes_wait_in_line_each_for_its_time() -> None:
    """Room goes to who waits longest; who waits behind others may give up before them."""

    async def test() -> None:
        host, node, accepted = await full_pair(overflow="error")
        tasks = [
            asyncio.ensure_future(host.publish("t", b"line %d" % at, timeout=None))
            for at in range(50)
        ]
        await asyncio.sleep(0)
        began = time.monotonic()
        with pytest.raises(QueueFull):
            await host.publish("t", b"hasty", timeout=0.1)
        assert 0.09 < time.monotonic() - began < 5
        found = await data_of(node, accepted + 50)
        await asyncio.gather(*tasks)
        assert found[accepted:] == [b"line %d" % at for at in range(50)]
        await host.close()
        await node.close()

    run(test)


def test_publish_whose_time_is_up_sets_the_slow_subscriber_aside() -> None:
    """As ``overflow`` says, in the asyncio form as in the other."""

    async def test() -> None:
        host, node, accepted = await full_pair()
        await host.publish("t", b"after", timeout=0.05)
        assert (await data_of(node, accepted + 1))[-1] == b"after"
        await host.close()
        await node.close()

    run(test)


def test_close_that_is_cancelled_goes_on() -> None:
    """Its task ends at once, and the node for all that."""

    async def test() -> None:
        host, node, accepted = await full_pair(linger=15)
        closing = asyncio.ensure_future(host.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await becomes(lambda: host.closed)
        assert calling_threads()
        assert await data_of(node, accepted) == [b"%d" % at for at in range(accepted)]
        await becomes(lambda: not calling_threads())
        with pytest.raises(Closed):
            await host.metrics()
        await node.close()

    run(test)


def test_calls_in_threads_have_the_context_of_their_task() -> None:
    """As those of asyncio.to_thread."""
    name = contextvars.ContextVar("name", default=b"nobody")

    async def test() -> None:
        def payloads() -> Iterator[bytes]:
            yield name.get()
            name.set(b"elsewhere")

        host, node = await pair()
        await node.subscribe("t")
        name.set(b"me")
        await host.publish_many("t", payloads())
        assert await data_of(node, 1) == [b"me"]
        assert name.get() == b"me"
        await host.close()
        await node.close()

    run(test)


def test_loop_that_is_closed_while_a_call_waits() -> None:
    """Nobody is there to be told: the thread ends in silence, and the node closes."""
    loop = asyncio.new_event_loop()
    host = aio.Spot(topics=["t"])

    async def leave_waiting() -> asyncio.Task[None]:
        waiting = asyncio.ensure_future(host.wait_for_subscribers("t"))
        await becomes(calling_threads)
        return waiting

    waiting = loop.run_until_complete(leave_waiting())
    loop.close()
    threads = calling_threads()
    host._node.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert not waiting.done()
    # Python would complain of it.
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]

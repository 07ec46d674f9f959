"""spot.aio: the same calls, awaited, in one event loop."""

from __future__ import annotations

import asyncio
import errno
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
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
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticker = asyncio.create_task(tick())
        began = time.monotonic()
        assert await node.recv(timeout=0.3) is None
        assert 0.28 < time.monotonic() - began < 1.5
        assert ticks > 10
        asyncio.get_running_loop().call_later(0.1, lambda: host._node.publish("t", b"x"))
        message = await node.recv()
        assert message is not None
        ticker.cancel()
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
        while message := await node.recv(timeout=0.3):
            found.append(message)
        assert [message.seq for message in found] == list(range(1, 201))
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
        host = aio.Spot(bind=[ANY_PORT], topics=["t"], sndhwm=10, overflow="error", linger=0)
        node = aio.Spot(cluster=host.endpoints, rcvhwm=10)
        await node.cluster_sync()
        await node.subscribe("t")
        accepted = 0

        async def fill() -> None:
            nonlocal accepted
            while accepted < 1000:
                await host.publish("t", b"%d" % accepted, timeout=0.2)
                accepted += 1

        with pytest.raises(QueueFull):
            await fill()
        task = asyncio.create_task(host.publish("t", b"patient", timeout=10))
        began = time.monotonic()
        await asyncio.sleep(0.1)
        assert time.monotonic() - began < 1
        assert not task.done()
        data = [
            message.data for message in [await node.recv(5) for _ in range(accepted)] if message
        ]
        assert data == [b"%d" % at for at in range(accepted)]
        await task
        last = await node.recv(5)
        assert last is not None
        assert last.data == b"patient"
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

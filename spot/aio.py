"""The asyncio form: the same calls, awaited.

``Spot`` here wraps a node of ``spot.Spot``. What can't block is done in place; what may wait runs
in a thread of its own, however many wait, but ``recv`` waits on the node's descriptor, and
``publish`` takes a thread only when a queue is full. An object belongs to the event loop in which
it is first awaited.

A call that is cancelled, by ``asyncio.timeout`` or otherwise, stops waiting, and has ended when it
raises CancelledError. What it did by then stands, and it does nothing more:

- ``recv`` and ``recv_many`` have taken no message.
- ``publish`` was not accepted: its message never arrives. Those that go on waiting for room in a
  topic get it in the order in which they were called.
- ``publish_many`` leaves open how many of its messages were accepted: the first so many, in order.
- ``subscribe`` and ``subscribe_pattern`` have subscribed, ``cluster_add`` has added the peer and
  ``bind`` has bound: the confirmation only is not waited for.
- ``topic_route`` has registered nothing, unless it was done that moment.
- ``cluster_sync``, ``wait_for_subscribers``, ``is_healthy`` and ``flush`` change nothing anyway.
- An iteration over ``events`` is over; one over messages can go on.
- ``close`` returns at once, and goes on closing.

A task that is cancelled before it has begun to run calls nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from spot import node as sync
from spot.calls.base import CALLER, Caller
from spot.calls.publishing import NO_WAIT, SEND_TIMEOUT, WouldWait
from spot.config import Config
from spot.errors import Closed
from spot.message import Event, Message, Metrics, Peer, View

__all__ = ["Spot"]

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Spot:
    """A node of a SPOT cluster, for asyncio. Arguments, results and errors are those of
    spot.Spot.
    """

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self._node = sync.Spot(config, **settings)
        self._waiters: set[asyncio.Future[None]] = set()
        # The topics for whose room publishes wait.
        self._queues: dict[str, _Queue] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return repr(self._node).replace("<Spot", "<aio.Spot", 1)

    @property
    def node_id(self) -> str:
        return self._node.node_id

    @property
    def config(self) -> Config:
        return self._node.config

    @property
    def endpoints(self) -> tuple[str, ...]:
        return self._node.endpoints

    @property
    def closed(self) -> bool:
        return self._node.closed

    async def close(self) -> None:
        if self._waiters:
            asyncio.get_running_loop().remove_reader(self._node.fileno())
            waiters, self._waiters = self._waiters, set()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(Closed("the node is closed"))
        await _start_thread(self._node.close, daemon=False)

    async def bind(self, endpoint: str) -> str:
        return await _in_thread(self._node, self._node.bind, endpoint)

    async def topic_create(
        self, topic: str, *, history_bytes: int | None = None, standby: bool = False
    ) -> None:
        self._node.topic_create(topic, history_bytes=history_bytes, standby=standby)

    async def topic_destroy(self, topic: str) -> None:
        self._node.topic_destroy(topic)

    async def topic_route(
        self,
        topic: str,
        endpoint: str,
        *,
        backups: Iterable[str] = (),
        timeout: float | None = 1.0,
        replace: bool = False,
    ) -> None:
        await _in_thread(
            self._node,
            self._node.topic_route,
            topic,
            endpoint,
            backups=backups,
            timeout=timeout,
            replace=replace,
        )

    async def topic_exists(self, topic: str) -> bool:
        return self._node.topic_exists(topic)

    async def topic_is_local(self, topic: str) -> bool:
        return self._node.topic_is_local(topic)

    async def list_topics(self) -> list[str]:
        return self._node.list_topics()

    async def subscribe(self, topic: str, *, last: int = 0) -> None:
        await _in_thread(self._node, self._node.subscribe, topic, last=last)

    async def subscribe_pattern(self, pattern: str) -> None:
        await _in_thread(self._node, self._node.subscribe_pattern, pattern)

    async def unsubscribe(self, topic: str) -> None:
        self._node.unsubscribe(topic)

    async def unsubscribe_pattern(self, pattern: str) -> None:
        self._node.unsubscribe_pattern(pattern)

    async def wait_for_subscribers(
        self, topic: str, count: int = 1, timeout: float | None = None
    ) -> None:
        await _in_thread(self._node, self._node.wait_for_subscribers, topic, count, timeout)

    async def publish(
        self, topic: str, data: bytes | bytearray | memoryview, *, timeout: Any = SEND_TIMEOUT
    ) -> None:
        # Who comes while others wait goes behind them.
        if topic not in self._queues:
            try:
                self._node.publish(topic, data, timeout=NO_WAIT)
                return
            except WouldWait:
                pass
        await self._publish_in_turn(topic, data, timeout)

    async def _publish_in_turn(self, topic: str, data: Any, timeout: Any) -> None:
        """The thread waits for room only: the message is published here, or, cancelled, never."""
        node = self._node
        data = node._checked_payload(data)
        until = node._send_until(timeout)
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            node.publish(topic, data, timeout=0)
            return
        queue = self._queues.setdefault(topic, _Queue())
        queue.length += 1
        try:
            async with asyncio.timeout(left), queue.turn:
                while True:
                    try:
                        node.publish(topic, data, timeout=NO_WAIT)
                        return
                    except WouldWait:
                        await _in_thread(node, node._await_room, topic)
        except TimeoutError:
            # It goes on as ``overflow`` says.
            node.publish(topic, data, timeout=0)
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[topic]

    async def publish_many(
        self,
        topic: str,
        payloads: Iterable[bytes | bytearray | memoryview],
        *,
        timeout: Any = SEND_TIMEOUT,
    ) -> None:
        await _in_thread(self._node, self._node.publish_many, topic, payloads, timeout=timeout)

    async def flush(self, timeout: float | None = None) -> None:
        await _in_thread(self._node, self._node.flush, timeout)

    async def recv(self, timeout: float | None = None) -> Message | None:
        """As the sync form; a cancelled call takes no message."""
        message = self._node.recv(0)
        if message is not None or timeout == 0:
            return message
        try:
            async with asyncio.timeout(timeout):
                while message is None:
                    await self._readable()
                    message = self._node.recv(0)
        except TimeoutError:
            return None
        return message

    async def recv_many(self, max_messages: int, timeout: float | None = None) -> list[Message]:
        """As the sync form; a cancelled call takes no message."""
        found = self._node.recv_many(max_messages, 0)
        if found or timeout == 0:
            return found
        try:
            async with asyncio.timeout(timeout):
                while not found:
                    await self._readable()
                    found = self._node.recv_many(max_messages, 0)
        except TimeoutError:
            return []
        return found

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        fd = self._node.fileno()
        waiter: asyncio.Future[None] = loop.create_future()
        if not self._waiters:
            loop.add_reader(fd, self._wake)
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if not self._waiters and not self._node.closed:
                loop.remove_reader(fd)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[Message]:
        """Messages as they come. It raises as ``recv`` does, can go on after that, and ends with
        close.
        """
        return _Messages(self)

    async def cluster_add(self, endpoint: str, *, timeout: float | None = None) -> None:
        await _in_thread(self._node, self._node.cluster_add, endpoint, timeout=timeout)

    async def cluster_remove(self, endpoint: str) -> None:
        self._node.cluster_remove(endpoint)

    async def cluster_sync(self, timeout: float | None = 1.0) -> dict[str, frozenset[str]]:
        return await _in_thread(self._node, self._node.cluster_sync, timeout)

    async def is_healthy(self, endpoint: str, timeout: float | None = 0.1) -> bool:
        return await _in_thread(self._node, self._node.is_healthy, endpoint, timeout)

    async def peers(self) -> tuple[Peer, ...]:
        return self._node.peers()

    async def metrics(self) -> Metrics:
        return self._node.metrics()

    async def view(self) -> View:
        return self._node.view()

    def events(self, timeout: float | None = None) -> AsyncIterator[Event]:
        # Listens from this call on, not only once it is iterated over.
        return _events(self._node, self._node.events(timeout))

    async def set_hwm(self, sndhwm: int, rcvhwm: int) -> None:
        self._node.set_hwm(sndhwm, rcvhwm)


class _Queue:
    """Publishes that wait for room in one topic, each for its turn to be the one that asks."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0


async def _in_thread(
    node: sync.Spot, call: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
) -> Result:
    """A call of the node that may wait. Cancelled, it is called off, and has ended."""
    caller = Caller()

    def called() -> Result:
        CALLER.set(caller)
        return call(*args, **kwargs)

    done = _start_thread(called)
    try:
        await asyncio.wait([done])
    except asyncio.CancelledError:
        node._call_off(caller)
        # Nobody asks for what it raises.
        done.add_done_callback(asyncio.Future.exception)
        # It waits for nothing any more.
        await asyncio.wait([done])
        raise
    return done.result()


def _start_thread(call: Callable[[], Result], *, daemon: bool = True) -> asyncio.Future[Result]:
    """Calls in a new thread: calls that wait for long, however many, hold up no other."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(call)
        except BaseException as error:  # noqa: BLE001  whatever it is, the caller gets it
            tell(_fail, error)
        else:
            tell(_succeed, result)

    def tell(how: Callable[..., None], outcome: object) -> None:
        # The loop may have been closed meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(how, done, outcome)

    threading.Thread(target=work, name="spot-call", daemon=daemon).start()
    return done


def _succeed(done: asyncio.Future[Result], result: Result) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


async def _events(node: sync.Spot, happened: Generator[Event, None, None]) -> AsyncIterator[Event]:
    try:
        while True:
            event = await _in_thread(node, next, happened, None)
            if event is None:
                return
            yield event
    finally:
        with contextlib.suppress(ValueError):
            happened.close()


class _Messages(AsyncIterator[Message]):
    def __init__(self, node: Spot) -> None:
        self._node = node

    async def __anext__(self) -> Message:
        try:
            message = await self._node.recv()
        except Closed:
            raise StopAsyncIteration from None
        assert message is not None
        return message

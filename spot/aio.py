"""SPOT for asyncio: the calls of spot.Spot as coroutines.

``Spot`` here wraps a node of ``spot.Spot``. A call that cannot block runs in the event loop. A call
that may wait runs in a thread of its own, with two exceptions: ``recv`` and ``recv_many`` wait for
the node's descriptor, and ``publish`` takes a thread only when a queue is full.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from spot import node as sync
from spot.calls.base import CALLER, Caller
from spot.calls.publishing import NO_WAIT, WouldWait
from spot.config import Config
from spot.errors import Closed
from spot.message import Event, Message, Metrics, Peer, View
from spot.timeout import SEND_TIMEOUT, Timeout, check_timeout, deadline
from spot.transport.limits import too_many_threads

__all__ = ["Spot"]

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Spot:
    """A node of a SPOT cluster, for asyncio. Arguments, results and errors are those of spot.Spot.

    An object belongs to the event loop in which it is first awaited, and is not thread-safe. A
    ``timeout`` is in seconds: None waits as long as it takes, 0 does not wait. After ``close``, and
    in a forked child, every call raises Closed. ``fileno`` is missing: the event loop uses it.

    A call may be cancelled, by ``asyncio.timeout`` for example. It has ended when it raises
    CancelledError, and does nothing more. The description of each call says what has been done by
    then. A task that is cancelled before it begins to run does nothing.

    The constructor binds endpoints, adds peers, and makes topics and subscriptions, as that of
    spot.Spot does. A node is an asynchronous context manager, whose end closes it.

    Args:
        config: The settings. None (the default): those of the environment, ``Config.from_env()``.
        settings: Fields of Config by keyword. They override ``config`` or the environment.

    Raises:
        InvalidArgument: A setting is not valid.
        AddressInUse: Another socket listens on an endpoint of ``bind``.
        TooManyOpenFiles: The process may not open the descriptors that the node needs.
        TooManyThreads: The process can't start the threads that the node needs.
        TypeError: A keyword is no setting, or ``config`` is no Config.
    """

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self._node = sync.Spot(config, **settings)
        self._waiters: set[asyncio.Future[None]] = set()
        # Publishes that wait, by the topic in which they wait for room.
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
        """The id of this node in the cluster."""
        return self._node.node_id

    @property
    def config(self) -> Config:
        """The settings of this node, with the limits that ``set_hwm`` has set since."""
        return self._node.config

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that this node listens on, with their ports resolved."""
        return self._node.endpoints

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, in this task or elsewhere."""
        return self._node.closed

    async def close(self) -> None:
        """Closes the node: delivers what was accepted, and says goodbye to the peers.

        It delivers for up to ``linger`` seconds, in a thread. Calls of other tasks that wait raise
        Closed, and iterations end. A second call does nothing. A call that is cancelled returns at
        once, and the thread goes on closing.
        """
        if self._waiters:
            asyncio.get_running_loop().remove_reader(self._node.fileno())
            waiters, self._waiters = self._waiters, set()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(Closed("the node is closed"))
        await _start_thread(self._node.close, daemon=False)

    async def bind(self, endpoint: str) -> str:
        """Listens on an endpoint. A node may listen on several.

        A call that is cancelled has bound the endpoint all the same.

        Args:
            endpoint: ``tcp://host:port``, ``ipc:///path`` or ``inproc://name``. As the host, ``*``
                stands for every interface; port 0 stands for any free port.

        Returns:
            The endpoint with its port resolved, for others to add.

        Raises:
            AddressInUse: Another socket listens there.
            EndpointExists: This node listens there already.
            InvalidArgument: The endpoint is not valid, or this machine does not have its address.
            TooManyOpenFiles: The process may open no more descriptors.
        """
        return await _in_thread(self._node, self._node.bind, endpoint)

    async def topic_create(
        self, topic: str, *, history_bytes: int | None = None, standby: bool = False
    ) -> None:
        """Hosts a topic on this node: the topic becomes LOCAL here, and REMOTE on its peers.

        Args:
            topic: The name: 1 to 255 bytes of UTF-8 without control characters or ``*``.
            history_bytes: How many bytes of the newest messages the replay buffer keeps, with
                overhead, for subscribers that were cut off. None (the default): as the setting
                ``history_bytes`` says. 0: none. The setting ``history_total_bytes`` limits all
                topics together.
            standby: Whether this node stands by for another host of the topic. Default False. A
                standby serves the routes that name it. Other subscriptions and publishes take it
                only while no other host is up. A publish on the standby's own node goes to its own
                topic. A standby keeps no other node from hosting the topic.

        Raises:
            TopicExists: This node hosts the topic already; or a peer that is up does, unless one of
                the two is a standby.
            InvalidArgument: The name or ``history_bytes`` is not valid.
        """
        self._node.topic_create(topic, history_bytes=history_bytes, standby=standby)

    async def topic_destroy(self, topic: str) -> None:
        """Stops hosting a LOCAL topic. Its replay buffer is dropped.

        Args:
            topic: The name of the topic.

        Raises:
            TopicNotFound: There is no such topic.
            InvalidArgument: The topic is REMOTE, so that only its host can destroy it; or the name
                is not valid.
        """
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
        """Names the host of a REMOTE topic, and adds that host as a peer.

        The host need not have the topic yet. Naming the same host again changes nothing. After an
        error nothing of the route stays registered.

        When the host is lost, the next of ``backups`` that is up and has the topic takes over by
        itself. After the last backup comes the first host. It serves for as long as it is up. An
        event ``"route"`` says so, and messages name their host. ``recv`` raises HostUnreachable
        only when no host is left.

        A call that is cancelled has registered nothing, unless it was done at that moment.

        Args:
            topic: The name of the topic.
            endpoint: The endpoint or node id of the host.
            backups: Endpoints or node ids of further hosts, in the order in which they take over.
                Each is added as a peer. Default: none.
            timeout: Seconds to wait for the greeting of the host. When they are over, the first
                backup that has greeted becomes the host. Default 1. None: wait for the host as long
                as it takes. 0: don't wait.
            replace: Whether to leave another host of the topic that is up, also to go back to
                ``endpoint`` while a backup serves. Default False.

        Raises:
            HostUnreachable: Neither the host nor a backup has greeted within ``timeout``.
            TopicExists: The topic is LOCAL; or another host of it is up and ``replace`` is False.
            InvalidArgument: A host is named twice, or an argument is not valid.
        """
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
        """Tells whether a topic is known: hosted by this node, or announced by a peer.

        Args:
            topic: The name of the topic.

        Returns:
            True if it is LOCAL or REMOTE. A peer that has not synchronised yet may host it all the
            same; see ``cluster_sync``.
        """
        return self._node.topic_exists(topic)

    async def topic_is_local(self, topic: str) -> bool:
        """Tells whether this node hosts a topic.

        Args:
            topic: The name of the topic.

        Returns:
            True if it is LOCAL; False if it is REMOTE or not known.
        """
        return self._node.topic_is_local(topic)

    async def list_topics(self) -> list[str]:
        """Lists all topics that are known, LOCAL and REMOTE.

        Returns:
            Their names, sorted.
        """
        return self._node.list_topics()

    async def subscribe(self, topic: str, *, last: int = 0) -> None:
        """Subscribes to a topic, wherever it lives. A second time changes nothing.

        Returns when the topic's host has confirmed the subscription, if the host is up. If the
        topic is not known yet, returns when all peers that are up have confirmed. It waits no
        longer than ``sync_timeout``; then the subscription comes into force by itself.

        A topic that no node has announced yet is received from its first message on, as far as the
        host's replay buffer holds it.

        A call that is cancelled has subscribed all the same; it only stops waiting for the
        confirmation.

        Args:
            topic: The name of the topic.
            last: How many of the newest messages to replay first, at most: as many as the host's
                replay buffer holds. Default 0: none. If the topic is not known yet, ``last``
                applies to the peers that have not announced their topics yet.

        Raises:
            TopicNotFound: The topic is not known, and this node has no peers that could host it.
            InvalidArgument: The name or ``last`` is not valid.
        """
        await _in_thread(self._node, self._node.subscribe, topic, last=last)

    async def subscribe_pattern(self, pattern: str) -> None:
        """Subscribes to all topics that match a pattern, LOCAL and REMOTE, present and future.

        A message that matches several subscriptions arrives once. Returns when all peers that are
        up have confirmed. It waits no longer than ``sync_timeout``; then the subscription comes
        into force by itself.

        A call that is cancelled has subscribed all the same; it only stops waiting for the
        confirmation.

        Args:
            pattern: 1 to 255 bytes of UTF-8, in which each ``*`` matches any run of characters,
                also an empty one.

        Raises:
            InvalidArgument: The pattern is not valid.
        """
        await _in_thread(self._node, self._node.subscribe_pattern, pattern)

    async def unsubscribe(self, topic: str) -> None:
        """Ends the subscription to a topic, and forgets its position in the stream.

        Messages that have arrived before still come out of ``recv``.

        Args:
            topic: The name of the topic.

        Raises:
            NotSubscribed: There is no subscription to this topic; a pattern that matches it is
                another subscription.
            InvalidArgument: The name is not valid.
        """
        self._node.unsubscribe(topic)

    async def unsubscribe_pattern(self, pattern: str) -> None:
        """Ends the subscription to a pattern.

        Messages that have arrived before still come out of ``recv``.

        Args:
            pattern: The pattern, as it was given to ``subscribe_pattern``.

        Raises:
            NotSubscribed: There is no subscription to this pattern.
            InvalidArgument: The pattern is not valid.
        """
        self._node.unsubscribe_pattern(pattern)

    async def wait_for_subscribers(
        self, topic: str, count: int = 1, timeout: float | None = None
    ) -> None:
        """Waits until a LOCAL topic has a number of subscriptions in force.

        A peer that is subscribed counts once, and so does this node.

        A call that is cancelled stops waiting, and changes nothing.

        Args:
            topic: The name of the topic.
            count: How many subscriptions to wait for. Default 1. 0: none, so the call returns at
                once.
            timeout: Seconds to wait. None (the default): as long as it takes. 0: don't wait.

        Raises:
            TimedOut: There were fewer subscriptions when ``timeout`` was over.
            TopicNotFound: This node does not host the topic.
            InvalidArgument: An argument is not valid.
        """
        await _in_thread(self._node, self._node.wait_for_subscribers, topic, count, timeout)

    async def publish(
        self, topic: str, data: bytes | bytearray | memoryview, *, timeout: Timeout = SEND_TIMEOUT
    ) -> None:
        """Publishes a message to a LOCAL topic, or to a REMOTE topic through its host.

        Returns when the message is accepted: at once, unless a subscriber's queue or the queue to
        the host is full. Then it waits. When ``timeout`` is over and the queue is still full, the
        setting ``overflow`` decides: ``catch-up`` sets the slow subscriber of a LOCAL topic aside
        and accepts the message, ``error`` raises QueueFull. A message whose publish has raised
        never arrives.

        A call that is cancelled was not accepted: its message never arrives. Calls that wait for
        room in one topic get it in the order in which they were made.

        Args:
            topic: The name of the topic.
            data: The payload, bytes-like, at most ``max_message_bytes``.
            timeout: Seconds to wait for room in a full queue. SEND_TIMEOUT (the default): as the
                setting ``send_timeout`` says. None: as long as it takes. 0: don't wait.

        Raises:
            TopicNotFound: No node is known to host the topic.
            QueueFull: A queue stayed full: a subscriber's queue with ``overflow="error"``, or the
                queue to the host of a REMOTE topic.
            HostUnreachable: The host of a REMOTE topic cannot be reached, or has restarted and may
                have lost earlier publishes, which ``unknown`` counts.
            MessageTooLarge: The payload is larger than ``max_message_bytes`` of this node or of the
                host.
            NoQuorum: The host has ``require_quorum`` and reaches no majority of the members.
            InvalidArgument: ``topic`` or ``timeout`` is not valid.
            TypeError: ``data`` is a str, or not bytes-like.
        """
        if timeout is not SEND_TIMEOUT:
            check_timeout(timeout)
        # A publish that comes while others wait goes behind them.
        if topic not in self._queues:
            try:
                self._node.publish(topic, data, timeout=NO_WAIT)
                return
            except WouldWait:
                pass
        await self._publish_in_turn(topic, data, timeout)

    async def _publish_in_turn(
        self, topic: str, data: bytes | bytearray | memoryview, timeout: Timeout
    ) -> None:
        """Publishes here; a thread waits for room. When cancelled, it publishes nothing."""
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
            # The setting ``overflow`` decides.
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
        timeout: Timeout = SEND_TIMEOUT,
    ) -> None:
        """Publishes many messages to one topic in one go, which is quicker than one call for each.

        All payloads are checked before the first of them is accepted.

        When a call is cancelled, the payloads before some point were accepted and the rest were
        not. It does not say where that point is.

        Args:
            topic: The name of the topic.
            payloads: The payloads, each bytes-like and at most ``max_message_bytes``. They are
                published in this order.
            timeout: Seconds to wait for room whenever a queue is full, as for ``publish``.
                SEND_TIMEOUT (the default): as the setting ``send_timeout`` says. None: as long as
                it takes. 0: don't wait.

        Raises:
            TopicNotFound: No node is known to host the topic.
            QueueFull: A queue stayed full, as for ``publish``. ``accepted`` says how many payloads
                were accepted before.
            HostUnreachable: As for ``publish``.
            MessageTooLarge: A payload is larger than ``max_message_bytes`` of this node or of the
                host.
            NoQuorum: As for ``publish``. ``accepted`` says how many payloads were accepted before.
            InvalidArgument: ``topic`` or ``timeout`` is not valid.
            TypeError: ``payloads`` is one payload and no sequence, or one of them is not
                bytes-like.
        """
        await _in_thread(self._node, self._node.publish_many, topic, payloads, timeout=timeout)

    async def flush(self, timeout: float | None = None) -> None:
        """Waits until every message accepted so far has reached the peers that it is for.

        Peers that are not connected are not waited for.

        A call that is cancelled stops waiting, and changes nothing.

        Args:
            timeout: Seconds to wait. None (the default): as long as it takes. 0: don't wait.

        Raises:
            TimedOut: Something had not arrived when ``timeout`` was over. It goes on its way all
                the same.
            InvalidArgument: ``timeout`` is negative or not a number.
        """
        await _in_thread(self._node, self._node.flush, timeout)

    async def recv(self, timeout: float | None = None) -> Message | None:
        """Takes the next message of any subscription.

        Of several tasks that wait, one gets each message, and one gets each HostUnreachable.

        A call that is cancelled has taken no message.

        Args:
            timeout: Seconds to wait for a message. None (the default): as long as it takes. 0:
                don't wait.

        Returns:
            The message, or None if none came within ``timeout``.

        Raises:
            HostUnreachable: A host of subscribed topics was lost. It is raised once for each
                outage, after the messages that had arrived from that host. The next call goes on.
            InvalidArgument: ``timeout`` is negative or not a number.
        """
        deadline(timeout)
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
        """Takes several messages in one go: those that are there, or the first that come.

        A call that is cancelled has taken no message.

        Args:
            max_messages: How many to take at most, from 1.
            timeout: Seconds to wait for the first message. None (the default): as long as it takes.
                0: don't wait.

        Returns:
            The messages in order; an empty list if none came within ``timeout``.

        Raises:
            HostUnreachable: As for ``recv``. Messages that stand before it are returned first; then
                the next call raises it.
            InvalidArgument: ``max_messages`` or ``timeout`` is not valid.
        """
        deadline(timeout)
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
            if not self._waiters:
                loop.remove_reader(fd)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[Message]:
        """Iterates over messages as they come, until the node is closed.

        A step that is cancelled has taken no message, and the iteration can go on.

        Returns:
            An asynchronous iterator. Each step waits for a message as long as it takes. It can go
            on after an error.

        Raises:
            HostUnreachable: As for ``recv``, out of the step that comes to it.
            Closed: The node has failed.
        """
        return _Messages(self)

    async def cluster_add(self, endpoint: str, *, timeout: float | None = None) -> None:
        """Adds a peer, and keeps a link to it from then on.

        A lost link is dialled again and again, until ``cluster_remove``. If the peer is a node that
        ``cluster_remove`` has dropped, its dials are accepted again.

        A call that is cancelled has added the peer all the same.

        Args:
            endpoint: The endpoint of the peer; or the node id of one that ``cluster_remove`` has
                dropped.
            timeout: Seconds to wait for the peer's greeting. None (the default): don't wait. 0:
                raise HostUnreachable at once, as no greeting can have come yet.

        Raises:
            PeerExists: The endpoint was added before, or is the id of a node that has dialled this
                one.
            HostUnreachable: No greeting came within ``timeout``, or the peer refused. The peer
                stays added, and the node goes on trying.
            InvalidArgument: The endpoint or ``timeout`` is not valid.
        """
        await _in_thread(self._node, self._node.cluster_add, endpoint, timeout=timeout)

    async def cluster_remove(self, endpoint: str) -> None:
        """Drops a peer and its REMOTE topics, and refuses its dials until it is added again.

        Subscriptions keep their positions, and messages that have arrived still come out of
        ``recv``.

        Args:
            endpoint: The endpoint of the peer as it was added, or its node id.

        Raises:
            PeerNotFound: There is no such peer.
        """
        self._node.cluster_remove(endpoint)

    async def cluster_sync(self, timeout: float | None = 1.0) -> dict[str, frozenset[str]]:
        """Asks every peer for its topics, and waits for the answers.

        It is a barrier for subscriptions: when it returns, earlier subscriptions of both sides are
        in force, also those to topics of nodes behind relays, as far as the relays know them.

        A call that is cancelled stops waiting, and changes nothing.

        Args:
            timeout: Seconds to wait. Default 1. None: as long as it takes. 0: don't wait.

        Returns:
            The topics of each peer, including those that it relays. A key is the peer's endpoint as
            it was added, or its node id if it dialled this node without being added.

        Raises:
            TimedOut: A peer had not answered when ``timeout`` was over. ``answers`` holds the
                topics of the peers that answered, and ``missing`` names the other peers. The node
                goes on trying.
            InvalidArgument: ``timeout`` is negative or not a number.
        """
        return await _in_thread(self._node, self._node.cluster_sync, timeout)

    async def is_healthy(self, endpoint: str, timeout: float | None = 0.1) -> bool:
        """Asks a peer for a sign of life.

        A call that is cancelled stops waiting, and changes nothing.

        Args:
            endpoint: The endpoint of the peer as it was added, or its node id.
            timeout: Seconds to wait for the answer. Default 0.1. None: as long as the link lasts.
                0: don't wait.

        Returns:
            True if the peer has answered; False if it has not, or there is no link.

        Raises:
            PeerNotFound: There is no such peer.
            InvalidArgument: ``timeout`` is negative or not a number.
        """
        return await _in_thread(self._node, self._node.is_healthy, endpoint, timeout)

    async def peers(self) -> tuple[Peer, ...]:
        """Describes the peers and the links to them.

        Returns:
            A Peer for each endpoint that was added, then one for each node that has dialled this
            one without being added.
        """
        return self._node.peers()

    async def metrics(self) -> Metrics:
        """Counts what this node has done, and what waits in it.

        Returns:
            A Metrics of this moment.
        """
        return self._node.metrics()

    async def view(self) -> View:
        """Tells which nodes can be reached, and whether they are a quorum.

        Returns:
            A View of this moment. It also names the topics that have several hosts.
        """
        return self._node.view()

    def events(self, timeout: float | None = None) -> AsyncGenerator[Event, None]:
        # It listens from this call on, not only from the first step on.
        """Iterates over what happens to links, hosts, topics and the view, from this call on.

        Each iterator gets every event, and keeps the newest 10,000 that it has not handed out yet.
        It ends when the node is closed.

        An iteration that is cancelled is over.

        Args:
            timeout: Seconds without an event after which the iterator ends. None (the default):
                never. 0: it hands out what there is, and ends.

        Returns:
            An asynchronous generator of Event.

        Raises:
            InvalidArgument: ``timeout`` is negative or not a number.
            Closed: The node has failed.
        """
        return _events(self._node, self._node.events(timeout))

    async def set_hwm(self, sndhwm: int, rcvhwm: int) -> None:
        """Changes the limits of all queues, existing and future, while the node runs.

        Args:
            sndhwm: How many messages may wait in this node for one peer, from 1. The limit of 16
                MiB stays.
            rcvhwm: How many messages of one peer may wait here for ``recv``, from 1. The limit of
                16 MiB stays.

        Raises:
            InvalidArgument: One of the two is not a whole number from 1.
        """
        self._node.set_hwm(sndhwm, rcvhwm)


class _Queue:
    """Publishes that wait for room in one topic. The one whose turn it is asks for room."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0


async def _in_thread(
    node: sync.Spot, call: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
) -> Result:
    """Makes a call that may wait, in a thread. When cancelled, it ends that call first."""
    caller = Caller()

    def called() -> Result:
        CALLER.set(caller)
        return call(*args, **kwargs)

    done = _start_thread(called)
    try:
        await asyncio.wait([done])
    except asyncio.CancelledError:
        node._call_off(caller)
        # Its error is not wanted any more.
        done.add_done_callback(asyncio.Future.exception)
        # It ends soon, as it waits for nothing any more.
        await asyncio.wait([done])
        raise
    return done.result()


def _start_thread(call: Callable[[], Result], *, daemon: bool = True) -> asyncio.Future[Result]:
    """Makes a call in a new thread, so that calls that wait never hold up others."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(call)
        except BaseException as error:  # noqa: BLE001  the caller gets every error
            tell(_fail, error)
        else:
            tell(_succeed, result)

    def tell(how: Callable[..., None], outcome: object) -> None:
        # The loop may have been closed meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(how, done, outcome)

    try:
        threading.Thread(target=work, name="spot-call", daemon=daemon).start()
    except RuntimeError as error:
        raise too_many_threads("make the call") from error
    return done


def _succeed(done: asyncio.Future[Result], result: Result) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


async def _events(
    node: sync.Spot, happened: Generator[Event, None, None]
) -> AsyncGenerator[Event, None]:
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
        except Closed as error:
            if error.__cause__ is not None:
                raise  # the node has failed
            raise StopAsyncIteration from None
        assert message is not None
        return message

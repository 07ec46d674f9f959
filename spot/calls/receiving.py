"""Receiving.

A delivery is a batch of messages that has arrived. It is decoded when it is taken from the inbox,
into the driver's ``current``, from which ``recv`` pops without the lock. Once the application has
asked for a descriptor, messages wait in ``_staged`` instead, under the lock, so that the descriptor
stays exact.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from spot.calls.base import Calls
from spot.config import Config
from spot.core.data.inbox import Delivery, MultiDelivery, Notice
from spot.errors import Closed, HostUnreachable, InvalidArgument
from spot.message import Message
from spot.timeout import deadline
from spot.transport.limits import system_error


class ReceivingCalls(Calls):
    """Taking messages. Lost hosts are raised in between."""

    def __init__(self, config: Config, node_id: str) -> None:
        super().__init__(config, node_id)
        self._current = self._driver.current
        self._staged: deque[Message] = deque()
        self._taken: Delivery | MultiDelivery | None = None
        self._ready_fd = -1

    def recv(self, timeout: float | None = None) -> Message | None:
        """Takes the next message of any subscription.

        Of several threads that wait, one gets each message, and one gets each HostUnreachable.

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
        if timeout is not None and not (type(timeout) is float and timeout >= 0.0):
            deadline(timeout)
        try:
            return self._current.popleft()
        except IndexError:
            return self._recv_slowly(timeout)

    def _recv_slowly(self, timeout: float | None) -> Message | None:
        until = deadline(timeout)
        driver = self._driver
        if driver.closed:
            driver.check_open()
        message: Message | None = None
        try:
            with driver.lock:
                driver.check_open()
                if timeout == 0 and not self._has_input():
                    driver.poll()
                while message is None:
                    if not self._has_input():
                        self._release_taken()
                        if not driver.wait(self._has_input, until):
                            break
                    message = self._next_message()
        except BaseException:
            if message is not None:
                self._put_back([message])
            raise
        return message

    def _has_input(self) -> bool:
        return bool(self._core.inbox.items or self._current or self._staged)

    def _next_message(self) -> Message | None:
        """Lock held. Raises a notice; decodes the next delivery; None if there is nothing."""
        current = self._current if self._ready_fd < 0 else self._staged
        message: Message | None = None
        while message is None:
            try:
                # Other threads pop without the lock: only popping shows whether there is one.
                message = current.popleft()
            except IndexError:
                self._release_taken()
                messages = self._open_next()
                if not messages:
                    break
                current.extend(messages)
        if self._ready_fd >= 0:
            if not current:
                # A thread that waits for the descriptor will not call before there is more.
                self._release_taken()
            self._signal_ready()
        return message

    def _release_taken(self) -> None:
        """Lock held. Gives back the credit of the last delivery: all of it was returned."""
        if self._taken is not None:
            taken, self._taken = self._taken, None
            now = time.monotonic()
            self._core.taken(taken, now)
            if self._core.effects.touched or now >= self._core.deadline:
                self._driver.loop.act()

    def recv_many(self, max_messages: int, timeout: float | None = None) -> list[Message]:
        """Takes several messages in one go: those that are there, or the first that come.

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
        if not isinstance(max_messages, int) or max_messages < 1:
            raise InvalidArgument(
                f"max_messages must be a whole number from 1, not {max_messages!r}"
            )
        until = deadline(timeout)
        driver = self._driver
        found: list[Message] = []
        try:
            with driver.lock:
                driver.check_open()
                if timeout == 0 and not self._has_input():
                    driver.poll()
                while not self._gather(found, max_messages):
                    if not driver.wait(self._has_input, until):
                        break
                driver.loop.act()
        except BaseException:
            if found:
                self._put_back(found)
            raise
        return found

    def _put_back(self, messages: list[Message]) -> None:
        """Takes messages back: the handler of a signal has raised before they were returned."""
        with self._driver.lock:
            current = self._current if self._ready_fd < 0 else self._staged
            current.extendleft(reversed(messages))
            self._signal_ready()

    def _gather(self, found: list[Message], most: int) -> bool:
        """Lock held. Moves messages to ``found``; raises a notice that stands before the first."""
        current = self._current if self._ready_fd < 0 else self._staged
        inbox = self._core.inbox
        while True:
            # Other threads pop without the lock; one gets each message. None is no message.
            with suppress(IndexError):
                found.extend(islice(iter(current.popleft, None), most - len(found)))
            if not current:
                self._release_taken()
            if len(found) == most or not inbox.items:
                break
            if found and isinstance(inbox.items[0], Notice):
                break
            messages = self._open_next()
            room = most - len(found)
            found += messages[:room]
            current.extend(messages[room:])
        self._signal_ready()
        return bool(found)

    def _open_next(self) -> list[Message]:
        """Lock held. The messages of the next delivery; empty if there is none. Raises a notice."""
        item = self._core.take()
        if isinstance(item, Notice):
            self._signal_ready()
            raise _unreachable(item) from None
        if item is None:
            return []
        self._taken = item
        return item.messages()

    def __iter__(self) -> Iterator[Message]:
        """Iterates over messages as they come, until the node is closed.

        Returns:
            An iterator. Each step waits for a message as long as it takes. It can go on after an
            error.

        Raises:
            HostUnreachable: As for ``recv``, out of the step that comes to it.
            Closed: The node has failed.
        """
        return _Messages(self)

    def fileno(self) -> int:
        """Returns a file descriptor for ``select``, ``poll`` or an event loop.

        It is readable while ``recv(0)`` would return a message or raise (HostUnreachable, or
        Closed). Don't read it, and don't close it. From the first call on, ``recv`` is somewhat
        slower, as it keeps the descriptor up to date.

        Returns:
            The descriptor, the same at each call.

        Raises:
            TooManyOpenFiles: The process may open no more descriptors.
        """
        with self._driver.lock:
            self._driver.check_open()
            if self._ready_fd < 0:
                try:
                    self._ready_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                except OSError as error:
                    raise system_error("make a descriptor to wait for", error.errno) from error
                weakref.finalize(self, os.close, self._ready_fd).atexit = False
                while self._current:
                    try:
                        # Other threads pop without the lock.
                        self._staged.append(self._current.popleft())
                    except IndexError:
                        break
                # The driver must not keep a node alive that the application has dropped.
                signal_ready = weakref.WeakMethod(self._signal_ready)

                def on_change() -> None:
                    signal = signal_ready()
                    if signal is not None:
                        signal()

                self._driver.wakeups.on_change = on_change
                self._signal_ready()
            return self._ready_fd

    def _signal_ready(self) -> None:
        """Lock held. Makes the descriptor readable just if ``recv(0)`` would return or raise."""
        if self._ready_fd < 0:
            return
        if self._staged or self._core.inbox.items or self._driver.closing:
            os.eventfd_write(self._ready_fd, 1)
        else:
            try:
                os.eventfd_read(self._ready_fd)
            except BlockingIOError:
                return


class _Messages(Iterator[Message]):
    """An iteration over a node's messages, which can go on after an error."""

    def __init__(self, node: ReceivingCalls) -> None:
        self._node = node

    def __next__(self) -> Message:
        try:
            message = self._node.recv()
        except Closed as error:
            if error.__cause__ is not None:
                raise  # the node has failed
            raise StopIteration from None
        assert message is not None
        return message


def _unreachable(notice: Notice) -> HostUnreachable:
    topics = ", ".join(notice.topics[:5]) + (" ..." if len(notice.topics) > 5 else "")
    return HostUnreachable(
        f"node {notice.node}, which hosts {topics}, was lost: {notice.reason}. "
        "SPOT reconnects by itself",
        node=notice.node,
        endpoint=notice.endpoint,
        topics=notice.topics,
        reason=notice.reason,
    )

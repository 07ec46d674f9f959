"""class Spot: a node of the cluster. Its calls are in spot/calls, by subject."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import threading
import time
import weakref
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from spot.calls.observing import ObservingCalls
from spot.calls.peering import PeeringCalls
from spot.calls.publishing import PublishingCalls
from spot.calls.receiving import ReceivingCalls
from spot.calls.subscribing import SubscribingCalls
from spot.calls.topics import TopicCalls
from spot.config import Config
from spot.errors import Closed

__all__ = ["Spot"]


class Spot(
    TopicCalls, SubscribingCalls, PublishingCalls, ObservingCalls, ReceivingCalls, PeeringCalls
):
    """A node of a SPOT cluster.

    Before the constructor returns, it has bound the endpoints in ``bind``, added the peers in
    ``cluster``, created ``topics``, and subscribed to ``subscribe``. It does not wait for peers.

    All calls are thread-safe. docs/guarantees.md says what signal handlers, log handlers and
    finalizers may call, under "Thread safety, signals, callbacks".

    A ``timeout`` is in seconds: None waits as long as it takes, 0 does not wait. After ``close``,
    and in a forked child, every call raises Closed; also after the node has failed, and then
    ``__cause__`` is the error.

    A node is a context manager, whose end closes it. The interpreter closes open nodes when it
    exits; in daemon threads, calls end with SystemExit then.

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
        if config is None:
            config = Config.from_env(**settings)
        elif not isinstance(config, Config):
            raise TypeError(
                f"config must be a Config, not {type(config).__name__}: "
                "give single settings by keyword"
            )
        elif settings:
            config = config.with_settings(**settings)
        super().__init__(config, config.node_id or f"{_host_name()}-{secrets.token_hex(4)}")
        _unclosed.add(self)
        weakref.finalize(self, self._driver.abandon).atexit = False
        try:
            for endpoint in config.bind:
                self.bind(endpoint)
            for topic in config.topics:
                self.topic_create(topic)
            for endpoint in config.cluster:
                self.cluster_add(endpoint)
            with self._driver.lock:
                for name in config.subscribe:
                    self._core.announcer.subscribe(name, pattern="*" in name)
                self._driver.loop.act()
        except BaseException:
            self._driver.shut()
            raise

    def __enter__(self) -> Self:
        self._driver.check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = (
            "closed"
            if self._driver.closing
            else f"bound to {', '.join(self.endpoints) or 'nothing'}"
        )
        return f"<Spot {self._node_id} {state}>"

    @property
    def node_id(self) -> str:
        """The id of this node in the cluster."""
        return self._node_id

    @property
    def config(self) -> Config:
        """The settings of this node, with the limits that ``set_hwm`` has set since."""
        return self._config

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that this node listens on, with their ports resolved."""
        return self._driver.transport.endpoints

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, here or by another thread."""
        return self._driver.closing

    def close(self) -> None:
        """Closes the node: delivers what was accepted, and says goodbye to the peers.

        It delivers for up to ``linger`` seconds. Calls of other threads that wait raise Closed, and
        iterations end. A second call does nothing. In a signal handler that has interrupted a call
        of the node, it returns at once, and a thread of its own closes the node.
        """
        driver = self._driver
        if driver.closing:
            return
        if driver.is_interrupted_here():
            try:
                threading.Thread(target=self._close, name=f"spot-close-{self._node_id}").start()
            except RuntimeError:  # no more threads can be started
                driver.end_later()
        else:
            self._close()

    def _close(self) -> None:
        driver = self._driver
        until = time.monotonic() + self._config.linger
        began = False
        try:
            with driver.lock:
                if driver.closing:
                    return
                began = True
                driver.refuse_calls()
            with driver.lock, suppress(Closed):  # it may fail just now
                driver.loop.flush()
                links = self._core.links.by_node
                driver.wait(lambda: not self._core.unsent(), until, closing=True)
                self._core.leave()
                driver.loop.act()
                driver.wait(lambda: not links, until, closing=True)
        finally:
            if began:
                driver.shut()
                self._current.clear()


def _host_name() -> str:
    name = "".join(char for char in socket.gethostname() if char.isalnum() or char in "-._")
    return name or "node"


_unclosed: weakref.WeakSet[Spot] = weakref.WeakSet()
"""Nodes that the application has not closed. The interpreter closes them when it exits."""


@atexit.register
def _close_all() -> None:
    nodes = list(_unclosed)
    for node in nodes:
        node._driver.is_exiting = True
    for node in nodes:
        node.close()


# In a forked child, the nodes of its parent are closed already.
os.register_at_fork(after_in_child=_unclosed.clear)

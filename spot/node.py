"""class Spot: a node of the cluster. Its calls stand in spot/calls, by subject."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import threading
import time
import weakref
from types import TracebackType
from typing import Any, Self

from spot.calls.observing import ObservingCalls
from spot.calls.peering import PeeringCalls
from spot.calls.publishing import PublishingCalls
from spot.calls.receiving import ReceivingCalls
from spot.calls.subscribing import SubscribingCalls
from spot.calls.topics import TopicCalls
from spot.config import Config

__all__ = ["Spot"]


class Spot(
    TopicCalls, SubscribingCalls, PublishingCalls, ObservingCalls, ReceivingCalls, PeeringCalls
):
    """A node of a SPOT cluster.

    Settings come from ``config``, or from the environment when there is none, and are overridden by
    keywords (see Config). Endpoints in ``bind`` are bound, peers in ``cluster`` added, ``topics``
    created and ``subscribe`` subscribed to before the constructor returns.

    All calls are thread-safe. Timeouts are seconds; None waits for as long as it takes, 0 does not
    wait. After ``close``, and in a forked child, calls raise Closed.
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
                    self._core.subscribe(name, pattern="*" in name)
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
        """The settings that this node was made with."""
        return self._config

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that this node is bound to, ports resolved."""
        return self._driver.transport.endpoints

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, here or by another thread."""
        return self._driver.closing

    def close(self) -> None:
        """Delivers what was accepted for up to ``linger``, says goodbye, and ends the node.

        Blocked calls of other threads raise Closed, iterations end. A second call does nothing. In
        a signal handler that has interrupted a call of the node, it returns at once, and the node
        is closed by a thread of its own.
        """
        driver = self._driver
        if driver.closing:
            return
        if driver.is_interrupted_here():
            threading.Thread(target=self._close, name=f"spot-close-{self._node_id}").start()
        else:
            self._close()

    def _close(self) -> None:
        driver = self._driver
        until = time.monotonic() + self._config.linger
        with driver.lock:
            if driver.closing:
                return
            driver.refuse_calls()
        try:
            with driver.lock:
                driver.loop.flush()
                links = self._core.nodes
                driver.wait(
                    lambda: not any(link.has_unsent for link in links.values()), until, closing=True
                )
                self._core.leave()
                driver.loop.act()
                driver.wait(lambda: not links, until, closing=True)
        finally:
            driver.shut()
            self._current.clear()


def _host_name() -> str:
    name = "".join(char for char in socket.gethostname() if char.isalnum() or char in "-._")
    return name or "node"


_unclosed: weakref.WeakSet[Spot] = weakref.WeakSet()
"""What the interpreter closes when it ends, if the application did not."""


@atexit.register
def _close_all() -> None:
    for node in list(_unclosed):
        node.close()


# In a forked child its nodes are closed already.
os.register_at_fork(after_in_child=_unclosed.clear)

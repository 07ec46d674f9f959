"""Publishers that offer ten times what the subscribers take, and what becomes of the messages.

Each message says when it was published and by which publisher. At the end, when the queues have
drained, every topic gets a last message. A subscriber that has all last messages has accounted for
everything.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from struct import Struct
from typing import Any

from bench.contestants.spot_setup import quiet
from bench.contestants.watch import Watch
from bench.row import Figures
from bench.stage import PATIENCE, Stage
from bench.traffic import Lost, topics
from spot import HostUnreachable, Message, QueueFull, Spot

__all__ = [
    "fast_subscriber",
    "patient_publisher",
    "publisher",
    "publisher_of_host",
    "refusing_publisher",
    "slow_host",
    "slow_subscriber",
    "stopping_publisher",
]

STAMP = Struct("<QQ")
"""The head of a payload: when it was published, in ns of ``perf_counter``; which publisher."""
LAST = b"last"
DRAIN_PATIENCE = 60.0
STOP_AFTER = 2.0
"""Seconds of load before the subscriber is stopped."""
WAIT = 0.02
"""Seconds that a publish waits for a full queue in the cases where it does not wait for ever. They
are so few that a slow subscriber is set aside before it takes another part of its window."""


def publisher(stage: Stage) -> None:
    """Sets slow subscribers aside, as by default."""
    _publish(stage, send_timeout=WAIT)


def patient_publisher(stage: Stage) -> None:
    """Waits for slow subscribers as long as it takes."""
    _publish(stage, send_timeout=None)


def refusing_publisher(stage: Stage) -> None:
    """Gets an error from a publish for which a slow subscriber has no room."""
    _publish(stage, send_timeout=0.0, overflow="error")


def stopping_publisher(stage: Stage) -> None:
    """Sets slow subscribers aside, and stops the last one for a time (SIGSTOP)."""
    _publish(stage, stop=True, send_timeout=WAIT)


def slow_subscriber(stage: Stage) -> None:
    """Takes a tenth of what is offered."""
    _subscribe(stage, stage.load.taken_hz)


def fast_subscriber(stage: Stage) -> None:
    """Takes what comes."""
    _subscribe(stage, 0.0)


def slow_host(stage: Stage) -> None:
    """Hosts one topic, and takes a tenth of what its peers publish to it."""
    load = stage.load
    with quiet(sndhwm=load.hwm, rcvhwm=load.hwm, send_timeout=None) as node:
        node.topic_create(topics(load)[0])
        node.subscribe(topics(load)[0])
        stage.meet(node.bind("tcp://127.0.0.1:0"))
        stage.ready()
        with Watch(node) as watch:
            # The last messages are the publishers', one of each.
            taken = _Account(node, load.stopped_s, lasts=load.subscribers)
            taken.take(load.taken_hz, load.seconds)
        stage.finish({**watch.figures, **taken.figures, "role": SUBSCRIBER})


def publisher_of_host(stage: Stage) -> None:
    """Publishes to a REMOTE topic more than its host takes."""
    load = stage.load
    with quiet(sndhwm=load.hwm, rcvhwm=load.hwm, send_timeout=WAIT) as node:
        mine = node.bind("tcp://127.0.0.1:0")
        addresses = stage.meet(mine)
        node.cluster_add(addresses[0])
        node.cluster_sync(PATIENCE)
        stage.ready()
        names = topics(load)[:1]
        with Watch(node) as watch:
            figures = _offer(
                node, names, load.rate_hz / load.subscribers, load, addresses.index(mine)
            )
            node.flush(DRAIN_PATIENCE)
            node.publish(names[0], LAST, timeout=None)
            node.flush(PATIENCE)
        stage.finish({**watch.figures, **figures, "role": PUBLISHER})


PUBLISHER, SUBSCRIBER = 0.0, 1.0


def _publish(stage: Stage, stop: bool = False, **settings: Any) -> None:
    load = stage.load
    names = topics(load)
    with quiet(sndhwm=load.hwm, rcvhwm=load.hwm, **settings) as node:
        for name in names:
            node.topic_create(name)
        addresses = stage.meet(node.bind("tcp://127.0.0.1:0"))
        for name in names:
            node.wait_for_subscribers(name, load.subscribers, timeout=PATIENCE)
        stage.ready()
        if stop:
            threading.Thread(
                target=_stop, args=(int(addresses[-1]), load.stopped_s), daemon=True
            ).start()
        with Watch(node) as watch:
            figures = _offer(node, names, load.rate_hz, load, 0)
            node.flush(DRAIN_PATIENCE)
            for name in names:
                node.publish(name, LAST, timeout=None)
            node.flush(PATIENCE)
        aside = node.metrics().set_aside
        stage.finish({**watch.figures, **figures, "set_aside": aside, "role": PUBLISHER})


def _subscribe(stage: Stage, taken_hz: float) -> None:
    load = stage.load
    with quiet(sndhwm=load.hwm, rcvhwm=load.hwm) as node:
        node.cluster_add(stage.meet(str(os.getpid()))[0])
        node.cluster_sync(PATIENCE)
        node.subscribe_pattern("bench:*")
        stage.ready()
        with Watch(node) as watch:
            taken = _Account(node, load.stopped_s, lasts=load.topics)
            taken.take(taken_hz, load.seconds)
        stage.finish({**watch.figures, **taken.figures, "role": SUBSCRIBER})


def _stop(pid: int, seconds: float) -> None:
    time.sleep(STOP_AFTER)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


def _offer(node: Spot, names: Sequence[str], rate_hz: float, load: Any, number: int) -> Figures:
    """Publishes for the load's time, at a rate, to each topic in turn. Returns what was
    accepted."""
    filling = bytes(load.payload_bytes - STAMP.size)
    publish, clock, pack = node.publish, time.perf_counter, STAMP.pack
    accepted = refused = 0
    began = clock()
    ends = began + load.seconds
    while (now := clock()) < ends:
        due = began + (accepted + refused) / rate_hz
        if due > now:
            time.sleep(due - now)
        elif now - due > 1.0:
            began += now - due  # after a delay the rate stays the same: the backlog is dropped
        try:
            publish(
                names[(accepted + refused) % len(names)],
                pack(time.perf_counter_ns(), number) + filling,
            )
            accepted += 1
        except QueueFull:
            refused += 1
    return {"accepted": accepted, "refused": refused}


class _Account:
    """What a subscriber took: by topic, by publisher and by second, and what it missed."""

    def __init__(self, node: Spot, stopped_s: float, lasts: int) -> None:
        self._node = node
        self._stopped_s = stopped_s
        self._lasts = lasts
        self._seq: dict[str, int] = {}
        self._by_topic: dict[str, int] = {}
        self._by_publisher: dict[int, int] = {}
        self._by_second: dict[int, int] = {}
        self._received = self._missed = self._told = 0
        self._resumed_at: float | None = None
        self._live_at: float | None = None

    def take(self, rate_hz: float, seconds: float) -> None:
        """Takes so many messages a second (0: all) for the load's time, then all up to the last."""
        clock = time.perf_counter
        began = last = clock()
        ends = began + seconds
        while self._lasts:
            now = clock()
            if now - last > self._stopped_s / 2 > 0:
                self._resumed_at = now
            last = now
            due = began + self._received / rate_hz if rate_hz and now < ends else now
            if due > now:
                time.sleep(min(due - now, ends - now))
            message = self._next()
            if message.data == LAST:
                self._lasts -= 1
                continue
            self._received += 1
            self._count(message, clock() - began, seconds)

    def _next(self) -> Message:
        while True:
            try:
                message = self._node.recv(DRAIN_PATIENCE)
            except HostUnreachable:
                self._told += 1
                continue
            if message is None:
                raise Lost(
                    f"nothing came in {DRAIN_PATIENCE:g} s, {self._lasts} topics have no end"
                )
            due = self._seq.get(message.topic, 0) + 1 + (message.missed or 0)
            if message.seq != due:
                raise Lost(f"sequence {due} was due in topic {message.topic}, {message.seq} came")
            self._seq[message.topic] = due
            self._missed += message.missed or 0
            return message

    def _count(self, message: Message, at: float, seconds: float) -> None:
        stamp, number = STAMP.unpack_from(message.data)
        self._by_topic[message.topic] = self._by_topic.get(message.topic, 0) + 1
        self._by_publisher[number] = self._by_publisher.get(number, 0) + 1
        if 1 <= at < int(seconds):
            self._by_second[int(at)] = self._by_second.get(int(at), 0) + 1
        resumed = self._resumed_at
        if self._live_at is None and resumed is not None and stamp * 1e-9 > resumed:
            self._live_at = time.perf_counter()

    @property
    def figures(self) -> Figures:
        """The totals, and the least share of a topic, a publisher and a second. An even share is
        1."""
        found = {
            "received": self._received,
            "missed": self._missed,
            "told": self._told,
            "topic_share": _least_share(self._by_topic.values()),
            "publisher_share": _least_share(self._by_publisher.values()),
            "second_share": _least_share(self._by_second.values()),
        }
        if self._resumed_at is not None and self._live_at is not None:
            found["live_s"] = self._live_at - self._resumed_at
        return found


def _least_share(counts: Any) -> float:
    values = list(counts)
    return min(values) * len(values) / sum(values) if values else 0.0

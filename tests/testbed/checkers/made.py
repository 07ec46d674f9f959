"""Journals of runs that never happened: what correct nodes would have written, from a seed.

``MadeRun`` plays a topology with faults in its own simple way (it shares no code with SPOT or the
checkers), and keeps the records where a test can spoil them before it asks for the evidence.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from spot.testbed.evidence import Bounds, Effect, Evidence, FaultWindow, Notice, Phases, Proof
from spot.testbed.journal import IncarnationRecords, Journal, Record
from spot.testbed.topology import Topology, build_topology

BOUNDS = Bounds()
WALL = 1_718_000_000.0
STARTED = 1000.0
READY = STARTED + 1.0
LAG = 0.002
BOOT = 0.4
NEVER = 1e12
SHOWN = Proof("it acts", True, "it does")


@dataclass(frozen=True)
class Planned:
    """A fault of a made run. ``at`` counts from ready."""

    name: str
    target: tuple[str, ...]
    at: float
    lasts: float

    @property
    def began(self) -> float:
        return READY + self.at

    @property
    def healed(self) -> float:
        return self.began + self.lasts

    def effect(self, topology: Topology) -> Effect:
        nodes = frozenset(self.target)
        if self.name in ("crash", "stop", "late"):
            said: dict[str, Notice] = {"crash": "closed", "stop": "left", "late": "none"}
            return Effect(down=nodes, notice=said[self.name])
        if self.name == "pause":
            long = self.lasts > BOUNDS.silence + 0.5
            return Effect(paused=nodes, notice="silent" if long else "maybe")
        if self.name == "partition":
            apart = {
                (a, b)
                for pair in topology.links
                for a, b in (pair, pair[::-1])
                if (a in nodes) != (b in nodes)
            }
            return Effect(frozenset(apart), "closed")
        a, b = self.target
        if self.name == "latency":
            return Effect(slowed=frozenset({(a, b), (b, a)}))
        notice: Notice = {"cut": "closed", "blackhole": "silent", "flap": "maybe"}[self.name]  # type: ignore[assignment]
        severed = {(a, b)} if self.name == "one-way" else {(a, b), (b, a)}
        return Effect(frozenset(severed), notice)

    def window(self, topology: Topology) -> FaultWindow:
        return FaultWindow(
            self.name,
            " ".join(self.target),
            self.effect(topology),
            self.began,
            self.began + 0.003,
            self.healed - 0.002,
            self.healed,
            (SHOWN,),
        )


@dataclass
class MadeIncarnation:
    """One incarnation of a made node."""

    node: str
    began: float
    ended: float
    how: str
    """``crash``, ``stop`` or ``end`` (of the run)."""
    records: list[Record] = field(default_factory=list)
    counters: list[tuple[float, int, bool]] = field(default_factory=list)
    """Of its topic: when, counter, whether it was accepted."""

    @property
    def epoch(self) -> int:
        return int((WALL + self.began - STARTED - 0.02) * 1e9)

    def add(self, at: float, kind: str, **fields: Any) -> None:
        self.records.append(Record(kind, round(at, 6), fields))


class MadeRun:
    """A correct run. ``rate``: messages a second of each topic; ``raising``: the share that raise.

    The nodes are those of a topology with one topic a node, all hearing what the topology says.
    ``history_bytes``: what hosts keep of each topic. If it is not 0, they replay all that was
    published while a link was broken; if it is 0, that is missed. ``views``: whether nodes record
    whom they reach.
    """

    def __init__(
        self,
        faults: Sequence[Planned] = (),
        *,
        topology: Topology | None = None,
        length: float = 20.0,
        rate: float = 20.0,
        raising: float = 0.0,
        seed: int = 0,
        quiet: bool = True,
        history_bytes: int = 0,
        views: bool = True,
    ) -> None:
        self.topology = topology or build_topology("mesh", 3)
        self.faults = tuple(faults)
        self.random = random.Random(seed)
        self.rate = rate
        self.raising = raising
        self.history_bytes = history_bytes
        self.quiet = READY + length
        self.stopped = self.quiet + 1.0
        self.has_quiet = quiet
        self.incarnations: dict[str, list[MadeIncarnation]] = {}
        for name in self.topology.names:
            self.incarnations[name] = list(self._incarnations(name))
            for incarnation in self.incarnations[name]:
                self._begin(incarnation)
        self._ups: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for a, b in self.topology.links:
            self._ups[a, b] = self._ups[b, a] = list(self._link(a, b))
        for receiver in self.topology.names:
            for incarnation in self.incarnations[receiver]:
                for host in self.topology.names:
                    self._deliver(incarnation, host)
        for incarnation in self.all_incarnations():
            if views:
                self._view(incarnation)
            self._end(incarnation)

    def all_incarnations(self) -> Iterator[MadeIncarnation]:
        return (
            incarnation
            for incarnations in self.incarnations.values()
            for incarnation in incarnations
        )

    @property
    def windows(self) -> tuple[FaultWindow, ...]:
        return tuple(fault.window(self.topology) for fault in self.faults)

    def evidence(self, **changes: Any) -> Evidence:
        """What this run has left, as it is now."""
        journals = {
            node: Journal(
                tuple(
                    IncarnationRecords(tuple(incarnation.records)) for incarnation in incarnations
                )
            )
            for node, incarnations in self.incarnations.items()
        }
        healed = max([READY, *(fault.healed for fault in self.faults)])
        phases = Phases(
            STARTED, READY, healed, healed, self.quiet if self.has_quiet else None, self.stopped
        )
        values = {
            "topology": self.topology,
            "journals": journals,
            "faults": self.windows,
            "phases": phases,
            "bounds": BOUNDS,
        }
        return Evidence(**{**values, **changes})

    # Spoiling

    def find(self, name: str, kind: str, after: float = 0.0, **fields: Any) -> Record:
        """The first record of a node from a time on with these fields."""
        return next(self.find_all(name, kind, after, **fields))

    def find_all(self, name: str, kind: str, after: float = 0.0, **fields: Any) -> Iterator[Record]:
        for incarnation in self.incarnations[name]:
            for record in incarnation.records:
                if record.kind == kind and record.at >= after:
                    found = record.fields
                    if all(found.get(field) == value for field, value in fields.items()):
                        yield record

    def replace(self, node: str, record: Record, *others: Record) -> None:
        """Puts other records, or none, into a record's place."""
        for incarnation in self.incarnations[node]:
            for place, one in enumerate(incarnation.records):
                if one is record:
                    incarnation.records[place : place + 1] = others
                    return
        raise LookupError(record)

    def insert(self, node: str, record: Record) -> None:
        """A record more, where its time says."""
        incarnations = [
            incarnation for incarnation in self.incarnations[node] if incarnation.began <= record.at
        ]
        incarnations[-1].records.append(record)
        incarnations[-1].records.sort(key=lambda one: (one.kind == "closed", one.at))

    # Playing

    def _incarnations(self, node: str) -> Iterator[MadeIncarnation]:
        began = STARTED + 0.2 + 0.01 * self.random.random()
        for fault in sorted(self.faults, key=lambda one: one.at):
            if node not in fault.target or fault.name not in ("crash", "stop", "late"):
                continue
            if fault.name == "late":
                began = fault.healed + BOOT
                continue
            if fault.name == "crash":
                yield MadeIncarnation(node, began, fault.began + 0.001, "crash")
            else:
                yield MadeIncarnation(node, began, fault.began + 0.004, "stop")
            began = fault.healed + BOOT
        if began < self.stopped:
            yield MadeIncarnation(node, began, self.stopped + 0.01, "end")

    def _begin(self, incarnation: MadeIncarnation) -> None:
        spec = self.topology.node(incarnation.node)
        incarnation.add(
            incarnation.began,
            "start",
            version=1,
            node=incarnation.node,
            wall=WALL + incarnation.began - STARTED,
            rate=self.rate,
            payload_bytes=64,
            config={
                "topics": list(spec.topics),
                "subscribe": list(spec.subscribe),
                "history_bytes": self.history_bytes,
                "members": list(self.topology.names),
            },
        )
        at, counter = incarnation.began + 0.1, 0
        ended = min(incarnation.ended, self.quiet if self.has_quiet else self.stopped)
        while at < ended:
            counter += 1
            if not self._is_paused(incarnation.node, at):
                accepted = self.random.random() >= self.raising
                incarnation.counters.append((at, counter, accepted))
                for topic in spec.topics:
                    if accepted:
                        incarnation.add(at, "publish", topic=topic, counter=counter)
                    else:
                        error = {"errno": 11, "error": "full"}
                        incarnation.add(at, "publish_error", topic=topic, counter=counter, **error)
            at += 1 / self.rate

    def _end(self, incarnation: MadeIncarnation) -> None:
        if incarnation.how != "crash":
            incarnation.add(incarnation.ended, "stop", reason="SIGTERM", metrics={})
            incarnation.add(incarnation.ended + 0.003, "closed")
        incarnation.records.sort(key=lambda one: one.at)
        if incarnation.how == "crash":
            lost = incarnation.ended - 0.2 * self.random.random()
            incarnation.records = [
                one for one in incarnation.records if one.at < lost or one.kind == "start"
            ]

    def _is_paused(self, node: str, at: float) -> bool:
        return any(
            fault.name == "pause" and node in fault.target and fault.began <= at < fault.healed
            for fault in self.faults
        )

    def _incarnation(self, node: str, at: float) -> MadeIncarnation | None:
        return next((one for one in self.incarnations[node] if one.began <= at < one.ended), None)

    def _barred(self, a: str, b: str) -> list[tuple[float, float, str]]:
        """When nothing goes between two nodes, and what that looks like."""
        found: list[tuple[float, float, str]] = []
        for fault in self.faults:
            effect = fault.effect(self.topology)
            if fault.name == "pause" and fault.target[0] in (a, b):
                if effect.notice == "silent":
                    found.append((fault.began, fault.healed, "silent"))
            elif (min(a, b), max(a, b)) in effect.pairs:
                if fault.name == "flap":
                    at = fault.began
                    while at < fault.healed:
                        found.append((at, min(at + 0.15, fault.healed), "closed"))
                        at += 0.3
                else:
                    found.append((fault.began, fault.healed, effect.notice))
        for node in (a, b):
            incarnations = self.incarnations[node]
            for incarnation, following in zip(
                incarnations, [*incarnations[1:], None], strict=False
            ):
                notice = {"crash": "closed", "stop": "left", "end": "left"}[incarnation.how]
                found.append((incarnation.ended, following.began if following else NEVER, notice))
            found.append((0.0, incarnations[0].began if incarnations else NEVER, "none"))
        return sorted(found)

    def _link(self, a: str, b: str) -> Iterator[tuple[float, float]]:
        """The times in which what one publishes reaches the other; their events on the way.

        The later one dials, as behind a proxy.
        """
        dialler = max(a, b, key=self.topology.names.index)
        listener = a if dialler == b else b
        endpoint = f"tcp://{listener}"
        barred = self._barred(a, b)
        if not self.incarnations[dialler]:
            return
        at = self.incarnations[dialler][0].began + 0.01
        step, known = BOUNDS.reconnect_min, None
        incarnation = self.incarnations[dialler][0]
        while at < self.stopped:
            here = self._incarnation(dialler, at)
            if (
                here is None or here is not incarnation
            ):  # it ended: its next incarnation dials at once
                later = [one for one in self.incarnations[dialler] if one.began > incarnation.began]
                if not later:
                    return
                incarnation, step, known = later[0], BOUNDS.reconnect_min, None
                at = incarnation.began + 0.01
                continue
            if self._is_paused(dialler, at):
                at = self._go_on(dialler, at) + 0.001
            incarnation.add(at, "dial", endpoint=endpoint, **({"node": known} if known else {}))
            bar = next((one for one in barred if one[0] <= at < one[1]), None)
            if bar is not None:
                failed = at + 0.001 if bar[2] != "silent" else min(at + 2.0, bar[1] + 0.001)
                if self._incarnation(dialler, failed) is not incarnation:
                    at = failed
                    continue
                delay = step * self.random.uniform(0.5, 1.0)
                step = min(2 * step, BOUNDS.reconnect_max)
                fields = {"endpoint": endpoint, "reason": "refused", "delay": delay}
                incarnation.add(failed, "dial_failed", **fields)
                at = failed + delay + 0.001
                continue
            up, known = at + LAG, listener
            begins = [one for one in barred if one[0] >= at]
            broken = min((one[0] for one in begins), default=NEVER)
            for node, peer in ((dialler, listener), (listener, dialler)):
                where = {"endpoint": endpoint} if node == dialler else {}
                if (one := self._incarnation(node, up)) is not None:
                    one.add(up, "link_up", node=peer, **where)
                    one.add(up + 0.001, "synced", node=peer)
            yield up + 0.001, min(broken, self.stopped)
            if broken >= self.stopped:
                return
            kind = next(one[2] for one in begins if one[0] == broken)
            ended = max(one[1] for one in begins if one[0] == broken)
            took = 0.005 if kind != "silent" else BOUNDS.peer_timeout + 0.3 * self.random.random()
            if kind == "silent":
                took = min(took, ended - broken + 0.001)
            noticed = broken + took
            held = self._is_paused(dialler, noticed)
            if (self._go_on(dialler, noticed) if held else noticed) - up >= BOUNDS.stable_after:
                step = BOUNDS.reconnect_min
            delay = step * self.random.uniform(0.5, 1.0)
            step = min(2 * step, BOUNDS.reconnect_max)
            dials: dict[str, Any] = {"endpoint": endpoint, "delay": delay}
            self._lose(dialler, listener, up, noticed, kind, dials)
            self._lose(listener, dialler, up, noticed, kind, {})
            at = noticed + delay + 0.001
            if held:
                at = self._go_on(dialler, noticed) + 0.002 + delay

    def _go_on(self, node: str, at: float) -> float:
        return max(
            fault.healed
            for fault in self.faults
            if fault.name == "pause" and node in fault.target and fault.began <= at
        )

    def _lose(
        self, node: str, peer: str, up: float, at: float, kind: str, fields: dict[str, Any]
    ) -> None:
        if self._is_paused(node, at):
            at, kind = self._go_on(node, at) + 0.001, "closed"
        incarnation = self._incarnation(node, at)
        if incarnation is None or incarnation is not self._incarnation(node, up):
            return
        incarnation.add(at, "link_down", node=peer, reason=kind, **fields)
        topics = self._heard(node, peer)
        if topics:
            incarnation.add(at + 0.0005, "host_unreachable", node=peer, topics=topics, reason=kind)

    def _heard(self, node: str, host: str) -> list[str]:
        patterns = self.topology.node(node).subscribe
        return [
            topic
            for topic in self.topology.node(host).topics
            if any(_matches(pattern, topic) for pattern in patterns)
        ]

    def _deliver(self, receiver: MadeIncarnation, host: str) -> None:
        name = receiver.node
        if host != name and (name, host) not in self._ups:
            return
        ups = [(receiver.began, receiver.ended)] if host == name else self._ups[name, host]
        for topic in self._heard(name, host):
            begun, arrived = False, 0.0
            owed: int | None = 0
            for incarnation in self.incarnations[host]:
                accepted = [(at, one) for at, one, taken in incarnation.counters if taken]
                for seq, (at, counter) in enumerate(accepted, 1):
                    if at < receiver.began:
                        continue
                    came = self._came(receiver, host, incarnation, ups, at)
                    if came is None:
                        # In force from the first link on; what was before is not missed.
                        is_owed = any(max(since, receiver.began) <= at for since, _ in ups[:1])
                        if is_owed and owed is not None and begun:
                            owed += 1
                        continue
                    arrived = max(arrived + 1e-5, came)
                    receiver.add(
                        arrived,
                        "recv",
                        topic=topic,
                        seq=seq,
                        missed=owed if begun else 0,
                        node=host,
                        epoch=incarnation.epoch,
                        counter=counter,
                    )
                    begun, owed = True, 0
                heard_end = any(
                    since <= incarnation.ended - 0.001 < until + 0.01 for since, until in ups
                )
                if incarnation.how == "crash" or not heard_end:
                    owed = None

    def _came(
        self,
        receiver: MadeIncarnation,
        host: str,
        incarnation: MadeIncarnation,
        ups: Sequence[tuple[float, float]],
        at: float,
    ) -> float | None:
        """When what was published ``at`` that time reaches a node. None: never."""
        name = receiver.node
        flows = any(since <= at < until for since, until in ups)
        is_held = self._is_paused(name, at)
        if flows and not is_held:
            came = at + LAG + self._lag(name, host, at)
            return came if receiver.began <= at + LAG < receiver.ended else None
        if not self.history_bytes:
            return None
        since = at if not is_held else self._go_on(name, at)
        began = next((max(since, up) for up, until in ups if until > since), None)
        if began is None or not self._is_up(receiver, incarnation, began):
            return None
        return began + 2 * LAG

    def _is_up(self, receiver: MadeIncarnation, host: MadeIncarnation, at: float) -> bool:
        return receiver.began <= at < receiver.ended and host.began <= at < host.ended

    def _view(self, incarnation: MadeIncarnation) -> None:
        """Views as its links tell: a loss at once, a return after ``stable_after``."""
        events: list[tuple[float, str, bool]] = [
            (record.at, record.fields["node"], record.kind == "link_up")
            for record in sorted(incarnation.records, key=lambda one: one.at)
            if record.kind in ("link_up", "link_down")
        ]
        changes: list[tuple[float, str, bool]] = []
        lost: set[str] = set()
        for at, peer, is_up in events:
            if not is_up:
                changes.append((at, peer, False))
                lost.add(peer)
                continue
            due = at + BOUNDS.stable_after * (peer in lost)
            if not any(at < when <= due and one == peer for when, one, _ in events):
                changes.append((due, peer, True))
        reachable: set[str] = set()
        version = 1
        members = len(self.topology.names)
        for at, peer, is_in in sorted(changes):
            if at >= incarnation.ended or is_in == (peer in reachable):
                continue
            reachable ^= {peer}
            version += 1
            quorum = 2 * (len(reachable) + 1) > members
            incarnation.add(at, "view", version=version, reachable=sorted(reachable), quorum=quorum)

    def _lag(self, node: str, host: str, at: float) -> float:
        return sum(
            0.2
            for fault in self.faults
            if fault.name == "latency"
            and {node, host} == set(fault.target)
            and fault.began <= at < fault.healed
        )


def _matches(pattern: str, topic: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == topic
    return len(topic) >= len(head) + len(tail) and topic.startswith(head) and topic.endswith(tail)

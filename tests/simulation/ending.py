"""After the last fault: everything heals, and each topic's last message reaches all subscribers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spot.core.membership.timing import greeting_timeout
from tests.simulation.node import Node
from tests.simulation.oracle import target_of
from tests.simulation.relays import reached_by

if TYPE_CHECKING:
    from tests.simulation.world import World

STEP_S = 0.1
SYNC_S = 1.0
QUIET_S = 2.0

Lack = tuple[str, str]
"""A node, and what it lacks."""


class Ending:
    """Waits for all that must come, and judges the state after that."""

    def __init__(self, world: World) -> None:
        self._network = world.network
        self._oracle = world.oracle
        self._pairs = world.plan.pairs
        self._by_name = world.nodes
        self._nodes = list(world.nodes.values())
        configs = [node.plan.config for node in self._nodes]
        timeout = max(config.peer_timeout for config in configs)
        self._greeting = greeting_timeout(timeout)
        most = max(config.reconnect_max for config in configs)
        self._bound = timeout + 2 * self._greeting + 2 * most + 2.0
        self._stable = max(config.stable_after for config in configs)
        self._views = world.views
        self._lag = max(node.plan.lag for node in self._nodes)

    def judge(self) -> None:
        """Raises Violation if the nodes do not come together again."""
        self._wait(self._apart, self._bound)
        self._wait(self._unsent, self._bound)
        # Surplus connections end when their greeting is over.
        self._network.run(self._network.now + self._greeting + 2 * STEP_S)
        self._wait(self._apart, 0.0)
        self._count_connections()
        self._wait(self._views.lacking, self._stable + 2 * STEP_S)
        self._synchronise()
        for node in self._nodes:
            for topic in list(node.core.registry.local):
                node.publish(topic, 1, 0)
                self._network.run(self._network.now + STEP_S)
                self._wait(self._unsent, QUIET_S)
        self._network.run(self._network.now + QUIET_S / 2 + 4 * self._lag)
        for node in self._nodes:
            node.use()
            self._check_last(node)
        self._oracle.check_settled(self._nodes)

    def _wait(self, lacking: Callable[[], Lack | None], bound: float) -> None:
        """Waits until nothing is lacking, for as long as messages move, and a bound longer."""
        until = self._network.now + bound
        moved = self._moved()
        while True:
            found = lacking()
            if not found:
                return
            if self._network.now >= until:
                raise self._oracle.fail(*found)
            self._network.run(self._network.now + STEP_S)
            if self._moved() != moved:
                moved = self._moved()
                until = self._network.now + bound

    def _moved(self) -> int:
        """How many messages have arrived anywhere, including those that were dropped there."""
        links = [link for node in self._nodes for link in node.core.links.by_node.values()]
        arrived = sum(flow.consumed_msgs for link in links for flow in link.flows)
        return arrived + self._oracle.counts["messages"]

    def _unsent(self) -> Lack | None:
        """The first thing that has not yet arrived where it should."""
        for node in self._nodes:
            if node.blocked is not None:
                return node.name, f"waits for room to publish to {node.blocked.topic}"
            if node.core.inbox.items:
                return node.name, "has not taken all that came"
            for host, outboxes in node.core.remote.outboxes.items():
                if any(outbox.unsettled for outbox in outboxes.values()):
                    return node.name, f"does not know what {host} did with its publishes"
            unsent = node.core.unsent()
            for link in node.core.links.by_node.values():
                if link in unsent or link in node.core.ingress.waiting:
                    return node.name, f"has something waiting for {link.node}"
                if any(cell.rate for cell in node.ends[link.conn].flight):
                    return node.name, f"has messages on their slow way to {link.node}"
        return None

    def _apart(self) -> Lack | None:
        """What is missing until all pairs are linked, synchronised and subscribed."""
        for pair in self._pairs:
            one, other = (self._by_name[name] for name in pair)
            there, back = one.link_to(other.name), other.link_to(one.name)
            if there is None:
                return one.name, f"has no link with {other.name}"
            if back is None:
                return other.name, f"has no link with {one.name}"
            if there.link_id != back.link_id:
                return one.name, f"uses another connection with {other.name} than {other.name}"
            for node, host in ((one, other), (other, one)):
                lack = self._not_in_force(node, host)
                if lack:
                    return node.name, lack
        for node in self._nodes:
            for dial in node.core.dials.by_endpoint.values():
                if not dial.is_linked and target_of(dial.endpoint) != node.name:
                    return node.name, f"has no link by way of {dial.endpoint}"
        return None

    def _not_in_force(self, node: Node, host: Node) -> str:
        hosted = host.core.registry.local
        known = {
            topic
            for topic, hosts in node.core.registry.remote.items()
            if host.name in hosts and hosts[host.name].link is not None
        }
        if known != set(hosted):
            return f"knows {sorted(known)} of {host.name}, which hosts {sorted(hosted)}"
        life = self._oracle.lives[node.name]
        for name, topic in hosted.items():
            fed = sum(
                each.link is not None and each.link.node == node.name for each in topic.subscribers
            )
            passes_on = node.plan.config.relay and fed == 1
            if fed != life.wants(name) and not passes_on:
                return f"is fed {fed} times with {name} of {host.name}"
        return ""

    def _count_connections(self) -> None:
        for one, other in self._pairs:
            connections = self._network.between(one, other)
            whole = sum(self._network.is_whole(connection) for connection in connections)
            if whole != 1:
                raise self._oracle.fail(one, f"has {whole} connections with {other}")

    def _synchronise(self) -> None:
        syncs = [node.core.barriers.start_sync() for node in self._nodes]
        for node in self._nodes:
            node.act()
        self._network.run(self._network.now + SYNC_S + 4 * self._lag)
        for node, sync in zip(self._nodes, syncs, strict=True):
            answers, missing = node.core.barriers.answers(sync)
            node.core.barriers.end_sync(sync)
            if missing:
                raise self._oracle.fail(node.name, f"cluster_sync lacks the answer of {missing[0]}")
            for endpoint, topics in answers.items():
                host = self._by_name[target_of(endpoint)]
                hosted = set(host.core.registry.local)
                more = topics - hosted
                if not hosted <= topics or (more and not host.plan.config.relay):
                    raise self._oracle.fail(
                        node.name, f"cluster_sync says {endpoint} hosts {sorted(topics)}"
                    )

    def _check_last(self, node: Node) -> None:
        """The last message of each topic has reached all its subscribers."""
        life = self._oracle.lives[node.name]
        reached = reached_by(node, self._by_name)
        hosts = [node, *(self._by_name[name] for name in reached)]
        for host in hosts:
            for topic, hosted in host.core.registry.local.items():
                if not life.wants(topic) or self._oracle.several_hosts(topic):
                    continue
                stream = self._oracle.streams[topic, host.name, hosted.epoch]
                last = life.reader(topic).last.get(stream, 0)
                if last != len(stream.payloads):
                    raise self._oracle.fail(
                        node.name,
                        f"got {topic} of {host.name} up to {last} of {len(stream.payloads)}",
                    )

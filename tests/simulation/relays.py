"""Relays for plans: hubs that connect nodes without a link of their own."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from spot.core.wire.codec import RELAYS_MAX
from tests.simulation.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.simulation.life import Life, Stream
    from tests.simulation.node import Node


def with_relays(plan: Plan, share: float = 0.15) -> Plan:
    """Some plans get relays. The seed alone decides it.

    Most of their meshes lose the links between nodes that are not relays.
    """
    random = Random(f"relays of {plan.seed}")
    if len(plan.nodes) < 3 or random.random() >= share:
        return plan
    hubs = [node.name for node in plan.nodes[: random.choice((1, 2))]]
    if random.random() < 0.2:
        hubs = random.sample([node.name for node in plan.nodes], 2)
    for node in plan.nodes:
        node.config = node.config.with_settings(relay=node.name in hubs)
    if len(plan.pairs) == len(plan.nodes) * (len(plan.nodes) - 1) // 2 and random.random() < 0.8:
        gone = {pair for pair in plan.pairs if not set(pair) & set(hubs)}
        plan.pairs[:] = [pair for pair in plan.pairs if pair not in gone]
        for node in plan.nodes:
            node.peers[:] = [
                peer
                for peer in node.peers
                if (node.name, _name_of(peer)) not in gone
                and (_name_of(peer), node.name) not in gone
            ]
        plan.actions[:] = [
            action
            for action in plan.actions
            if action.kind != "remove" or (action.details[0] in hubs or action.details[1] in hubs)
        ]
    return plan


def _name_of(endpoint: str) -> str:
    return endpoint.removeprefix("tcp://").split(":")[0].split(".")[0]


def reached_by(node: Node, nodes: dict[str, Node]) -> set[str]:
    """The nodes that a node reaches over its links and over at most this many relays."""
    found = set(node.core.links.by_node)
    nearest = found
    for _ in range(RELAYS_MAX):
        relays = [nodes[name] for name in nearest if nodes[name].plan.config.relay]
        nearest = {name for relay in relays for name in relay.core.links.by_node} - found
        found |= nearest
    return found - {node.name}


def relayed_up_to(stream: Stream, lives: Iterable[Life]) -> int:
    """How much of a stream each relay that passes it on has got at the least."""
    heads = [len(stream.payloads)]
    for life in lives:
        relayed = life.node.core.relayed.topics.get((stream.topic, stream.node))
        if relayed is not None and relayed.stream.epoch == stream.epoch and relayed.is_begun:
            heads.append(relayed.stream.head)
    return min(heads)

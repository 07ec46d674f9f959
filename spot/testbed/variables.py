"""What nodes are told by ``SPOT_*`` variables, checked before one of them is started.

A variable can't carry every text, nor as much as one likes: what it can't is refused by name here,
where a node would be told something else, or not start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from spot.config import Config, join_list
from spot.errors import InvalidArgument
from spot.testbed.errors import BadSetting, UnknownTopology
from spot.testbed.topology import NodeSpec

__all__ = [
    "OWN_SETTINGS",
    "VARIABLE_BYTES_MAX",
    "check_node_lists",
    "check_variables",
    "node_lists",
]

VARIABLE_BYTES_MAX = 128 * 1024
"""Linux hands a program no longer ``NAME=text`` than this, with a zero byte at its end:
``MAX_ARG_STRLEN`` in execve(2)."""
OWN_SETTINGS = ("node_id", "bind", "cluster", "topics", "subscribe", "journal", "control")
"""Settings of each node that the testbed decides by its topology and its run."""


def node_lists(node: NodeSpec) -> dict[str, str]:
    """The variables of what a node hosts, hears and publishes to. Raises InvalidArgument."""
    return {
        "SPOT_TOPICS": join_list("topics", node.topics),
        "SPOT_SUBSCRIBE": join_list("subscribe", node.subscribe),
        **({"SPOT_PUBLISH": join_list("publish", node.publish)} if node.publish else {}),
    }


def check_node_lists(node: NodeSpec) -> None:
    """Raises UnknownTopology when a node can't be told what it hosts, hears and publishes to."""
    try:
        Config(topics=(*node.topics, *node.publish), subscribe=node.subscribe)
        variables = node_lists(node)
    except InvalidArgument as error:
        raise UnknownTopology(f"node {node.name}: {error}") from error
    for name, text in variables.items():
        if _is_too_long(name, text):
            count = text.count(",") + 1
            raise UnknownTopology(
                f"node {node.name}: {name} would have {len(os.fsencode(text))} bytes for "
                f"{count} topics, and Linux hands a program at most {VARIABLE_BYTES_MAX} in one "
                "variable: give the node fewer or shorter ones here, and the others when it runs, "
                "as by tell(node, 'create', topic=...)"
            )


def check_variables(variables: Mapping[str, str]) -> None:
    """Raises BadSetting when nodes can't be given these variables."""
    for name, text in variables.items():
        if not isinstance(text, str):
            raise BadSetting(f"{name} must be a str, not {type(text).__name__}: {text!r:.80}")
        if name.removeprefix("SPOT_").lower() in OWN_SETTINGS:
            raise BadSetting(
                f"{name} is not for settings: the topology and the run decide it for each node"
            )
        if "\0" in text:
            raise BadSetting(f"{name} {text!r:.80} has a zero byte, which no variable can carry")
        if _is_too_long(name, text):
            raise BadSetting(
                f"{name} has {len(os.fsencode(text))} bytes, and Linux hands a program at most "
                f"{VARIABLE_BYTES_MAX} in one variable: make it shorter"
            )


def _is_too_long(name: str, text: str) -> bool:
    return len(os.fsencode(f"{name}={text}")) + 1 > VARIABLE_BYTES_MAX

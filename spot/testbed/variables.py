"""Checks the ``SPOT_*`` variables of nodes before it starts any of them.

An environment variable can't carry every text, and its length is limited. Errors here name the
setting. Without the check a node would get another value, or not start.
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
"""The longest ``NAME=text`` that Linux gives to a program, with a zero byte at its end:
``MAX_ARG_STRLEN`` in execve(2)."""
OWN_SETTINGS = ("node_id", "bind", "cluster", "topics", "subscribe", "journal", "control")
"""Settings of each node that its topology and its run determine."""


def node_lists(node: NodeSpec) -> dict[str, str]:
    """The variables with a node's topics and subscriptions. Raises InvalidArgument."""
    return {
        "SPOT_TOPICS": join_list("topics", node.topics),
        "SPOT_SUBSCRIBE": join_list("subscribe", node.subscribe),
        **({"SPOT_PUBLISH": join_list("publish", node.publish)} if node.publish else {}),
    }


def check_node_lists(node: NodeSpec) -> None:
    """Raises UnknownTopology if variables can't carry a node's topics and subscriptions."""
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
    """Raises BadSetting if nodes can't have these variables."""
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

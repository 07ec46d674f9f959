"""The commands of a node's control socket, which ``docs/journal.md`` lists."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from spot.errors import SpotError, TimedOut
from spot.program.payload import counter_of

if TYPE_CHECKING:
    from spot import Spot
    from spot.program.recorder import Recorder
    from spot.program.traffic import Traffic

__all__ = ["Commands"]

QUIET_S = 3.0
"""Seconds that ``quiet`` waits for a publish in progress, and then for accepted messages."""
SHOWN_BYTES_MAX = 80

_PEER: Mapping[str, type] = {"peer": str, "endpoint": str}
_TOPIC: Mapping[str, type] = {"topic": str}
FIELDS: Mapping[str, Mapping[str, type]] = {
    "quiet": {},
    "sync": {},
    "add": _PEER,
    "remove": _PEER,
    "create": {**_TOPIC, "history_bytes": int, "standby": bool},
    "destroy": _TOPIC,
    "subscribe": {**_TOPIC, "last": int},
    "unsubscribe": _TOPIC,
    "route": {**_TOPIC, **_PEER, "backups": list, "replace": bool},
    "publish": {**_TOPIC, "data": str},
}
OPTIONAL = frozenset({"endpoint", "history_bytes", "standby", "last", "backups", "replace"})
_WANTED = {str: "text", bool: "true or false", int: "a whole number", list: "a list of texts"}


class Commands:
    """Carries out the commands of the control socket and records them. Any thread may call it.

    ``status`` returns the status document. ``synchronise`` synchronises once, records that, and
    returns the nodes that answered. It may raise TimedOut.
    """

    def __init__(
        self,
        node: Spot,
        recorder: Recorder,
        traffic: Traffic,
        status: Callable[[], dict[str, Any]],
        synchronise: Callable[[], list[str]],
    ) -> None:
        self._node = node
        self._recorder = recorder
        self._traffic = traffic
        self._status = status
        self._synchronise = synchronise

    def answer(self, line: bytes) -> dict[str, Any]:
        """The answer to one line: its command's result, or the status document if it is empty."""
        if not line.strip():
            return self._status()
        try:
            asked = json.loads(line)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return {"error": f"send one JSON object a line, not {line[:SHOWN_BYTES_MAX]!r}"}
        do = asked.pop("do", None)
        if do == "status":
            return self._status()
        if not isinstance(do, str) or do not in FIELDS:
            return {"error": f"no command {do!r}: take status, {', '.join(FIELDS)} in 'do'"}
        wrong = _what_is_wrong(do, asked)
        return {"error": wrong} if wrong else self._done(do, asked)

    def _done(self, do: str, fields: dict[str, Any]) -> dict[str, Any]:
        at = time.monotonic()
        outcome: dict[str, Any]
        try:
            outcome = {"ok": True, **self._act(do, fields)}
        except SpotError as error:
            outcome = {"ok": False, "error": str(error), "errno": error.errno}
        took = round(time.monotonic() - at, 6)
        self._recorder.record("command", at, do=do, **fields, **outcome, took=took)
        return outcome

    def _act(self, do: str, fields: dict[str, Any]) -> dict[str, Any]:
        node = self._node
        topic: str = fields.get("topic", "")
        peer: str = fields.get("endpoint") or fields.get("peer", "")
        match do:
            case "quiet":
                return {"flushed": self._quiet()}
            case "sync":
                return {"answers": self._synchronise()}
            case "add":
                node.cluster_add(peer)
            case "remove":
                node.cluster_remove(peer)
            case "create":
                node.topic_create(
                    topic,
                    history_bytes=fields.get("history_bytes"),
                    standby=fields.get("standby", False),
                )
                self._traffic.add(topic)
            case "destroy":
                self._traffic.drop(topic)
                node.topic_destroy(topic)
            case "subscribe":
                if "*" in topic:
                    node.subscribe_pattern(topic)
                else:
                    node.subscribe(topic, last=fields.get("last", 0))
            case "unsubscribe":
                node.unsubscribe_pattern(topic) if "*" in topic else node.unsubscribe(topic)
            case "route":
                backups, replace = fields.get("backups", ()), fields.get("replace", False)
                node.topic_route(topic, peer, backups=backups, replace=replace)
            case "publish":
                node.publish(topic, fields["data"].encode())
        return {}

    def _quiet(self) -> bool:
        """Whether all accepted messages have arrived at the connected peers."""
        if not self._traffic.quiet(QUIET_S):
            raise TimedOut(f"a publish has not returned within {QUIET_S:g} s; no other will begin")
        try:
            self._node.flush(QUIET_S)
        except TimedOut:
            return False
        return True


def _what_is_wrong(do: str, fields: Mapping[str, Any]) -> str | None:
    known = FIELDS[do]
    for name, value in fields.items():
        if name not in known:
            return f"{do} has no field {name!r}: it has {', '.join(known) or 'none'}"
        if type(value) is not known[name]:
            return f"{name} of {do} must be {_WANTED[known[name]]}, not {json.dumps(value)}"
        if isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
            return f"{name} of {do} must be {_WANTED[list]}, not {json.dumps(value)}"
    for name in known:
        if name not in fields and name not in OPTIONAL:
            return f"{do} needs the field {name!r}"
    if "last" in fields and "*" in fields["topic"]:
        return "subscribe takes last with one topic, not with a pattern"
    if do == "publish" and counter_of(fields["data"].encode()) is not None:
        return "data of publish must not begin as the program's own messages do, with a number"
    return None

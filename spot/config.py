"""The settings of a node: one frozen dataclass, from keywords or the environment.

Every setting is documented at its field. The environment variable of ``peer_timeout`` is
``SPOT_PEER_TIMEOUT``, and so on; lists are separated by commas; times are seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from spot.endpoint import parse_endpoint
from spot.errors import InvalidArgument
from spot.names import check_pattern, check_topic, check_word

__all__ = ["Config"]

MIB = 1 << 20
ENV_PREFIX = "SPOT_"
SECONDS_MAX = 1e9
"""Longer than this is no time that anybody waits: 31 years."""
LISTS = ("endpoints", "topics", "patterns", "words")
"""Kinds of settings that are sequences of texts."""
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _setting(default: Any, kind: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"kind": kind, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one node. A bad value raises InvalidArgument, which names the setting."""

    node_id: str | None = _setting(None, "word")
    """Unique in the cluster and stable over restarts. None: host name and a random tail."""
    cluster_name: str = _setting("spot", "word")
    """Nodes of different names refuse each other."""
    bind: tuple[str, ...] = _setting((), "endpoints")
    """Endpoints to bind at the start."""
    cluster: tuple[str, ...] = _setting((), "endpoints")
    """Peers to add at the start."""
    members: tuple[str, ...] = _setting((), "words")
    """Ids of the nodes that make up the cluster, each once, the same on every node: a majority of
    them is a quorum. A node that is not among them observes. Empty: there is no quorum to have."""
    require_quorum: bool = _setting(False, "bool")
    """Whether publishes to topics of this node are refused while it reaches no majority of
    ``members``, which must not be empty then."""
    relay: bool = _setting(False, "bool")
    """Whether this node passes topics, publishes and messages on between peers that have no link of
    their own."""
    topics: tuple[str, ...] = _setting((), "topics")
    """Topics to host from the start."""
    subscribe: tuple[str, ...] = _setting((), "patterns")
    """Subscriptions to make at the start; those with a ``*`` are patterns."""
    sndhwm: int = _setting(10_000, "int", 1, 1 << 31)
    """Messages that may wait in this node for one peer (and 16 MiB)."""
    rcvhwm: int = _setting(10_000, "int", 1, 1 << 31)
    """Messages of one peer that may wait here for ``recv`` (and 16 MiB)."""
    history_bytes: int = _setting(4 * MIB, "int", 0, 1 << 40)
    """How much of the newest traffic of each hosted topic is kept for subscribers that were cut
    off, in bytes with overhead. 0 keeps nothing."""
    history_total_bytes: int = _setting(64 * MIB, "int", 0, 1 << 40)
    """The same for all topics of the node together; who holds most gives way first."""
    overflow: str = _setting("catch-up", "overflow")
    """What a publish does when a queue stayed full for ``send_timeout``: ``catch-up`` sets the
    subscriber aside, ``error`` raises EAGAIN and gives the message to nobody."""
    sync_timeout: float = _setting(1.0, "seconds", 0)
    """How long ``subscribe`` waits for a host's confirmation."""
    heartbeat: float = _setting(0.5, "seconds", 0.01)
    """Interval of heartbeats. A link beats at the smallest of this and a third of either
    end's ``peer_timeout``."""
    peer_timeout: float = _setting(2.0, "seconds", 0.3)
    """A peer that was silent for so long is lost. Shorter is told sooner; a machine that
    stalls for longer than this causes a false alarm."""
    send_timeout: float | None = _setting(1.0, "seconds_or_none", 0)
    """How long a publish waits for a full queue. None: as long as it takes."""
    linger: float = _setting(1.0, "seconds", 0)
    """How long ``close`` delivers what was accepted."""
    stable_after: float = _setting(2.0, "seconds", 0)
    """A link that was up for so long starts the reconnect waits anew, and a peer that was lost
    counts as reachable again in the view."""
    reconnect_min: float = _setting(0.1, "seconds", 0.001)
    """First step of the waits between dials, which double up to ``reconnect_max``; each wait is
    drawn from [0.5, 1] of its step."""
    reconnect_max: float = _setting(5.0, "seconds", 0.001)
    max_message_bytes: int = _setting(64 * MIB, "int", 1, 1 << 31)
    """Largest payload that may be published. Of what others publish, messages of 64 KiB or more
    that are larger are missed."""
    keepalive_idle: int = _setting(10, "int", 1, 32767)
    """TCP keepalive: seconds of idleness before the first probe."""
    keepalive_interval: int = _setting(5, "int", 1, 32767)
    """TCP keepalive: seconds between probes."""
    keepalive_count: int = _setting(3, "int", 1, 127)
    """TCP keepalive: probes without answer before the kernel closes."""
    log_level: str = _setting("warning", "level")
    """Level of the logger ``spot``: debug, info, warning, error."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = _checked(item.name, getattr(self, item.name), item.metadata)
            object.__setattr__(self, item.name, value)
        if self.reconnect_min > self.reconnect_max:
            raise InvalidArgument(
                f"reconnect_min {self.reconnect_min} is larger than reconnect_max "
                f"{self.reconnect_max}: make it the smaller one"
            )
        if self.require_quorum and not self.members:
            raise InvalidArgument(
                "require_quorum is True, but members is empty: name the nodes whose majority counts"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> Config:
        """The settings of the environment (default ``os.environ``), overridden by keywords.

        A variable that is set but empty counts as unset, and one of an unknown name is ignored.
        Raises InvalidArgument naming the variable, TypeError for an unknown keyword.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for item in fields(cls):
            variable = _variable(item.name)
            text = environ.get(variable, "").strip()
            if not text or item.name in settings:
                continue
            try:
                values[item.name] = _checked(item.name, _parsed(text, item.metadata), item.metadata)
            except InvalidArgument as error:
                raise InvalidArgument(f"{variable}={text!r}: {error}") from error
        return cls(**values, **settings)

    def with_settings(self, **settings: Any) -> Config:
        """A copy with some settings replaced. Unknown names are a TypeError."""
        return replace(self, **settings)


def setting_text(name: str, value: object) -> str:
    """What the variable of a setting must hold so that ``Config.from_env`` reads this value.

    A sequence is joined by commas. A str is the text of the variable itself. Raises
    InvalidArgument, which names the setting, for a bad value, and for one that a variable can't
    carry.
    """
    rules = _rules(name)
    if rules["kind"] in LISTS and not isinstance(value, str):
        return join_list(name, _checked(name, value, rules))
    return scalar_text(name, value, lambda text: _checked(name, _parsed(text, rules), rules))


def scalar_text(name: str, value: object, read: Callable[[str], object]) -> str:
    """The value as the text of the setting's variable; ``read`` is how the variable is read.

    Raises InvalidArgument when it is empty or has white space around it, which is lost on the way,
    or would be read back as another value.
    """
    text = str(value)
    if not text or text != text.strip():
        why = "begins or ends with white space" if text else "is empty"
        raise InvalidArgument(
            f"{name} {text!r} {why}, which {_variable(name)} can't carry: write it without, or "
            "leave it out"
        )
    found = read(text)
    if not isinstance(value, str) and found != value:
        raise InvalidArgument(
            f"{name} {value!r:.80} would be read from {_variable(name)} as {found!r}: leave it "
            "out, or write a number, True, False or a str"
        )
    return text


def join_list(name: str, items: Iterable[str]) -> str:
    """The items with commas between them: ``split_list`` makes the same items of it.

    Raises InvalidArgument, which names the setting and the item, for one that would be read back as
    another, as several, or as none.
    """
    items = tuple(items)
    for item in items:
        why = (
            "is empty"
            if not item
            else "contains a comma"
            if "," in item
            else "begins or ends with white space"
            if item != item.strip()
            else None
        )
        if why:
            raise InvalidArgument(
                f"{name}: {item!r} {why}, and {_variable(name)} is a list with commas: "
                "choose another name for it"
            )
    return ",".join(items)


def split_list(text: str) -> tuple[str, ...]:
    """The items of a list as its variable has it."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _rules(name: str) -> Mapping[str, Any]:
    return next(item for item in fields(Config) if item.name == name).metadata


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper()


def _parsed(text: str, rules: Mapping[str, Any]) -> Any:
    kind = rules["kind"]
    if kind in LISTS:
        return split_list(text)
    if kind == "seconds_or_none" and text.lower() == "none":
        return None
    try:
        if kind == "int":
            return int(text)
        if kind in ("seconds", "seconds_or_none"):
            return int(text) if text.isdecimal() else float(text)
        if kind == "bool":
            return SWITCH[text.lower()]
    except (ValueError, KeyError):
        return text
    return text.lower() if kind in ("overflow", "level") else text


def _checked(name: str, value: Any, rules: Mapping[str, Any]) -> Any:
    kind = rules["kind"]
    if kind == "word":
        if value is not None:
            check_word(name, value)
        elif name != "node_id":
            raise InvalidArgument(f"{name} must be a name, not None")
        return value
    if kind in LISTS:
        return _checked_list(name, value, kind)
    if kind == "bool":
        if not isinstance(value, bool):
            raise InvalidArgument(f"{name} must be True or False (1 or 0), not {value!r}")
        return value
    if kind == "overflow":
        return _one_of(name, value, ("catch-up", "error"))
    if kind == "level":
        return _one_of(name, value, ("debug", "info", "warning", "error", "critical"))
    if kind == "seconds_or_none" and value is None:
        return None
    return _checked_number(name, value, kind, rules["low"], rules["high"])


def _checked_number(name: str, value: Any, kind: str, low: float, high: float | None) -> float:
    wanted = "a whole number" if kind == "int" else "a number of seconds"
    types = (int,) if kind == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, types):
        raise InvalidArgument(f"{name} must be {wanted}, not {value!r}")
    most = SECONDS_MAX if high is None else high
    if not low <= value <= most:
        if high is not None:
            limit = f"from {low} to {high}"
        else:
            limit = f"at most {most:.0f}" if value > most else f"at least {low}"
        raise InvalidArgument(f"{name} must be {wanted}, {limit}, not {value!r}")
    return value if kind == "int" else float(value)


def _one_of(name: str, value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise InvalidArgument(f"{name} must be one of {', '.join(words)}, not {value!r}")
    return str(value)


def _checked_list(name: str, value: Any, kind: str) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise InvalidArgument(f"{name} must be a sequence of str, not {value!r}")
    items = tuple(value)
    for item in items:
        if kind == "endpoints":
            parse_endpoint(item, setting=name, binding=name == "bind")
            continue
        try:
            if kind == "words":
                check_word("node id", item)
            elif kind == "topics":
                check_topic(item)
            else:
                check_pattern(item)
        except InvalidArgument as error:
            raise InvalidArgument(f"{name}: {error}") from error
    if kind == "words":
        for item in items:
            if items.count(item) > 1:
                raise InvalidArgument(f"{name} holds {item!r} twice: name each node once")
    return items

"""The settings of a node: one frozen dataclass, from keywords or the environment.

Each field documents its setting. The environment variable of ``peer_timeout`` is
``SPOT_PEER_TIMEOUT``, and so on. Commas separate the items of a list. Times are in seconds.
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
"""The longest time that a setting can name: 31 years."""
LISTS = ("endpoints", "topics", "patterns", "words")
"""Kinds of settings that are sequences of texts."""
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _setting(default: Any, kind: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"kind": kind, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one node. They cannot be changed; ``with_settings`` makes a changed copy.

    Raises:
        InvalidArgument: A value is not valid. The text names the setting.
    """

    node_id: str | None = _setting(None, "word")
    """The name of the node: unique in the cluster, and the same after a restart. None: the host
    name and a random tail, new at each start."""
    cluster_name: str = _setting("spot", "word")
    """The name of the cluster. Nodes of different clusters refuse each other."""
    bind: tuple[str, ...] = _setting((), "endpoints")
    """Endpoints to listen on from the start."""
    cluster: tuple[str, ...] = _setting((), "endpoints")
    """Endpoints of the peers to add at the start."""
    members: tuple[str, ...] = _setting((), "words")
    """Node ids of the members of the cluster, each once, the same on every node. A majority of them
    is a quorum. A node that is not among them only observes. Empty: there are no quorums."""
    require_quorum: bool = _setting(False, "bool")
    """Whether this node refuses publishes to its topics while it reaches no majority of
    ``members``, which must not be empty then."""
    relay: bool = _setting(False, "bool")
    """Whether this node passes topics, publishes and messages on between peers that have no link
    with each other."""
    topics: tuple[str, ...] = _setting((), "topics")
    """Topics to host from the start."""
    subscribe: tuple[str, ...] = _setting((), "patterns")
    """Subscriptions to make at the start; those with a ``*`` are patterns."""
    sndhwm: int = _setting(10_000, "int", 1, 1 << 31)
    """How many messages may wait in this node for one peer. The limit in bytes is 16 MiB."""
    rcvhwm: int = _setting(10_000, "int", 1, 1 << 31)
    """How many messages of one peer may wait here for ``recv``. The limit in bytes is 16 MiB."""
    history_bytes: int = _setting(4 * MIB, "int", 0, 1 << 40)
    """Size of the replay buffer of each hosted topic, in bytes with overhead. It keeps the newest
    messages for subscribers that were cut off. 0: it keeps none."""
    history_total_bytes: int = _setting(64 * MIB, "int", 0, 1 << 40)
    """Size of all replay buffers of the node together, in bytes with overhead. When it is reached,
    the largest buffer drops its oldest messages first. 0: none keeps anything."""
    overflow: str = _setting("catch-up", "overflow")
    """What a publish does when a queue stayed full for its timeout: ``catch-up`` sets the slow
    subscriber aside, ``error`` raises QueueFull and publishes nothing."""
    sync_timeout: float = _setting(1.0, "seconds", 0)
    """How many seconds ``subscribe`` waits for a host's confirmation. 0: it does not wait."""
    heartbeat: float = _setting(0.5, "seconds", 0.01)
    """Seconds between heartbeats. A link takes the smallest of this and a third of either end's
    ``peer_timeout``."""
    peer_timeout: float = _setting(2.0, "seconds", 0.3)
    """Seconds of silence after which a peer is lost, at least 0.3. With a shorter time, losses are
    noticed sooner; but a machine that stalls for longer causes a false alarm."""
    send_timeout: float | None = _setting(1.0, "seconds_or_none", 0)
    """How many seconds a publish waits for room in a full queue. None: as long as it takes. 0: it
    does not wait."""
    linger: float = _setting(1.0, "seconds", 0)
    """How many seconds ``close`` may take to deliver what was accepted. 0: it delivers nothing that
    would have to wait."""
    stable_after: float = _setting(2.0, "seconds", 0)
    """Seconds for which a link must be up before its waits between dials begin anew with
    ``reconnect_min``, and before a peer that was lost counts as reachable in the view."""
    reconnect_min: float = _setting(0.1, "seconds", 0.001)
    """The first wait between dials, in seconds. Waits double up to ``reconnect_max``. Each is then
    multiplied by a random number from 0.5 to 1."""
    reconnect_max: float = _setting(5.0, "seconds", 0.001)
    """The longest wait between dials, in seconds, at least ``reconnect_min``."""
    max_message_bytes: int = _setting(64 * MIB, "int", 1, 1 << 31)
    """The largest payload that may be published here, in bytes. A larger message from another node
    is missed if it has 64 KiB or more, and received otherwise."""
    keepalive_idle: int = _setting(10, "int", 1, 32767)
    """TCP keepalive: seconds without traffic before the first probe."""
    keepalive_interval: int = _setting(5, "int", 1, 32767)
    """TCP keepalive: seconds between probes."""
    keepalive_count: int = _setting(3, "int", 1, 127)
    """TCP keepalive: probes without an answer before the kernel ends the connection."""
    log_level: str = _setting("warning", "level")
    """The lowest level at which the node logs to the logger ``spot``: debug, info, warning, error
    or critical."""

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
        """Makes settings from the environment.

        A variable that is empty counts as unset. A variable that names no setting is ignored.

        Args:
            environ: The variables. None (the default): ``os.environ``.
            settings: Fields by keyword. They override the environment.

        Returns:
            The settings.

        Raises:
            InvalidArgument: A value is not valid. The text names the variable or the setting.
            TypeError: A keyword is no setting.
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
        """Makes a copy with some settings replaced.

        Args:
            settings: The fields to replace, by keyword.

        Returns:
            The copy.

        Raises:
            InvalidArgument: A value is not valid. The text names the setting.
            TypeError: A keyword is no setting.
        """
        return replace(self, **settings)

    @classmethod
    def check(cls, name: str, text: str) -> None:
        """Checks one setting that is given as text, as its environment variable would hold it.

        ``from_env`` also checks how settings go together; this does not.

        Args:
            name: The setting, such as ``peer_timeout``.
            text: Its value. An empty text is unset, which every setting may be.

        Raises:
            InvalidArgument: The value is not valid. The text names the setting, and no variable.
            TypeError: There is no setting of that name.
        """
        item = next((item for item in fields(cls) if item.name == name), None)
        if item is None:
            raise TypeError(f"there is no setting {name!r}")
        if text.strip():
            _checked(name, _parsed(text.strip(), item.metadata), item.metadata)


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
    """The items joined by commas. ``split_list`` turns the text into the same items again.

    Raises InvalidArgument, which names the setting and the item, for an item that would not be read
    back as itself.
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
    """The items of a list, from the text of its variable."""
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

"""The settings of a node program: those of the node, and a few of the program around it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spot.config import Config, join_list, scalar_text, setting_text, split_list
from spot.errors import InvalidArgument
from spot.names import check_topic

__all__ = [
    "JOURNAL_NONE",
    "JOURNAL_STDOUT",
    "PROGRAM_VARIABLES",
    "ProgramSettings",
    "variable_text",
]

JOURNAL_STDOUT = "-"
JOURNAL_NONE = "none"
LOG_FORMATS = ("text", "json")
RATE_MAX = 1_000_000.0

PROGRAM_VARIABLES = (
    "SPOT_RATE",
    "SPOT_PUBLISH",
    "SPOT_PAYLOAD_BYTES",
    "SPOT_JOURNAL",
    "SPOT_CONTROL",
    "SPOT_LOG_FORMAT",
)
"""The variables that belong to the program; all others belong to ``spot.Config``."""


@dataclass(frozen=True, kw_only=True)
class ProgramSettings:
    """The settings of one ``spot node``."""

    config: Config
    """The settings of the node. The program publishes to its ``topics``."""
    rate: float = 0.0
    """Messages a second to each of the node's own topics and of ``publish``. 0: none."""
    publish: tuple[str, ...] = ()
    """Topics of other nodes to publish to. The node's own topics among them count as its own."""
    payload_bytes: int = 64
    """Size of a published payload, in bytes. It grows if the counter needs more."""
    journal: str = JOURNAL_STDOUT
    """File that the journal is appended to. ``-`` is standard output, ``none`` is nowhere."""
    control: str | None = None
    """Path of the unix socket that answers ``spot node --check``. None: no socket."""
    log_format: str = "text"
    """Format of the log on standard error: ``text`` or ``json``."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ProgramSettings:
        """The settings of the environment (default ``os.environ``).

        A variable that is set but empty counts as unset. The log level of the program is ``info``
        unless ``SPOT_LOG_LEVEL`` says otherwise. Raises InvalidArgument naming the variable.
        """
        environ = os.environ if environ is None else environ
        given = {name: text.strip() for name, text in environ.items() if text.strip()}
        log_format = given.get("SPOT_LOG_FORMAT", "text").lower()
        if log_format not in LOG_FORMATS:
            raise InvalidArgument(
                f"SPOT_LOG_FORMAT must be one of {', '.join(LOG_FORMATS)}, not {log_format!r}"
            )
        config = Config.from_env({"SPOT_LOG_LEVEL": "info", **given})
        payload_bytes = int(
            _number(given, "SPOT_PAYLOAD_BYTES", 64, high=config.max_message_bytes, whole=True)
        )
        return cls(
            config=config,
            rate=_number(given, "SPOT_RATE", 0.0, high=RATE_MAX),
            publish=_topics(given, "SPOT_PUBLISH"),
            payload_bytes=payload_bytes,
            journal=given.get("SPOT_JOURNAL", JOURNAL_STDOUT),
            control=given.get("SPOT_CONTROL"),
            log_format=log_format,
        )


def variable_text(name: str, value: object) -> str:
    """The text of a setting's variable, for settings of the library and of the program.

    Raises InvalidArgument as ``spot.config.setting_text`` does.
    """
    variable = f"SPOT_{name.upper()}"
    if variable not in PROGRAM_VARIABLES:
        return setting_text(name, value)
    if name == "publish" and isinstance(value, Iterable) and not isinstance(value, str):
        return join_list(name, [check_topic(topic) for topic in value])
    return scalar_text(
        name, value, lambda text: getattr(ProgramSettings.from_env({variable: text}), name)
    )


def _topics(given: Mapping[str, str], variable: str) -> tuple[str, ...]:
    try:
        return tuple(check_topic(topic) for topic in split_list(given.get(variable, "")))
    except InvalidArgument as error:
        raise InvalidArgument(f"{variable}={given[variable]!r}: {error}") from error


def _number(
    given: Mapping[str, str], variable: str, default: float, *, high: float, whole: bool = False
) -> float:
    wanted = "a whole number" if whole else "a number"
    text = given.get(variable)
    if text is None:
        return default
    try:
        value = float(int(text)) if whole else float(text)
    except ValueError:
        raise InvalidArgument(f"{variable} must be {wanted}, not {text!r}") from None
    if not 0 <= value <= high:
        raise InvalidArgument(f"{variable} must be {wanted} from 0 to {high:.0f}, not {text!r}")
    return value

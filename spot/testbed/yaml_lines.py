"""Lines of YAML for compose files, laid out as a person would write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "document",
    "joined_blocks",
    "list_lines",
    "literal",
    "literal_values",
    "mapping_lines",
    "scalar",
]

_PLAIN_WORD = re.compile(r"[A-Za-z](?:[A-Za-z0-9:/._,-]*[A-Za-z0-9])?")
_WORDS_OF_YAML = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


def scalar(text: str) -> str:
    """The text as YAML: quoted, unless it is a word that can only be text."""
    if _PLAIN_WORD.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str:
    """The text written so that compose sees no variable in it."""
    return text.replace("$", "$$")


def literal_values(values: Mapping[str, str]) -> dict[str, str]:
    """A mapping in whose values compose sees no variable."""
    return {name: literal(value) for name, value in values.items()}


def mapping_lines(values: Mapping[str, str], indent: int) -> list[str]:
    """``name: value``, one a line."""
    return [f"{' ' * indent}{scalar(name)}: {scalar(value)}" for name, value in values.items()]


def list_lines(key: str, values: Sequence[str], indent: int) -> list[str]:
    """``key:`` and one line for each value. No lines if there are no values."""
    if not values:
        return []
    space = " " * indent
    return [f"{space}{key}:", *(f"{space}  - {scalar(value)}" for value in values)]


def joined_blocks(blocks: Iterable[list[str]]) -> list[str]:
    """The lines of all blocks, with an empty line between two of them."""
    lines: list[str] = []
    for block in blocks:
        lines += [*([""] if lines else []), *block]
    return lines


def document(lines: Sequence[str]) -> str:
    """The lines as the text of a file."""
    return "\n".join(lines) + "\n"

"""A JSON reader with the error messages of Go's encoding/json.

Clients and people see these messages from Toxiproxy, a Go program, so the embedded proxy has the
same. Like Go's decoder, it reads one value and ignores the bytes after it.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["BadBody", "Number", "parse_json"]

DEPTH_MAX = 200
_SPACE = " \t\r\n"
_LITERALS = {"true": True, "false": False, "null": None}
_DIGITS = re.compile(r"[0-9]*")
_HEX_DIGITS = re.compile(r"[0-9a-fA-F]{0,4}")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')


class BadBody(ValueError):
    """The body is no JSON, or not what was expected. The text is Go's."""


class Number(str):
    """A number as it was written: messages quote it, and 1.0 is not a whole number."""

    __slots__ = ()


def parse_json(text: str) -> Any:
    """The first value of the text. Numbers are ``Number``. Raises BadBody."""
    reader = _Reader(text)
    reader.skip_space()
    if reader.at_end:
        raise BadBody("EOF")
    return reader.value(0)


class _Reader:
    """A place in a text. Each method reads one thing, and names what it was about."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    @property
    def at_end(self) -> bool:
        return self._place >= len(self._text)

    def skip_space(self) -> None:
        while self._next() and self._next() in _SPACE:
            self._place += 1

    def value(self, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise BadBody("exceeded max depth")
        self.skip_space()
        character = self._next()
        if character == "{":
            return self._object(depth)
        if character == "[":
            return self._array(depth)
        if character == '"':
            return self._string()
        if character and character in "-0123456789":
            return self._number()
        for literal, value in _LITERALS.items():
            if character == literal[0]:
                self._literal(literal)
                return value
        raise self._error("looking for beginning of value")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._take("{", "")
        self.skip_space()
        if self._skip("}"):
            return found
        while True:
            self.skip_space()
            if self._next() != '"':
                raise self._error("looking for beginning of object key string")
            name = self._string()
            self.skip_space()
            self._take(":", "after object key")
            found[name] = self.value(depth + 1)
            self.skip_space()
            if self._skip("}"):
                return found
            self._take(",", "after object key:value pair")

    def _array(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self._take("[", "")
        self.skip_space()
        if self._skip("]"):
            return found
        while True:
            found.append(self.value(depth + 1))
            self.skip_space()
            if self._skip("]"):
                return found
            self._take(",", "after array element")

    def _string(self) -> str:
        start = self._place
        self._take('"', "")
        while True:
            self._match(_PLAIN)
            if self._skip('"'):
                return str(json.loads(self._text[start : self._place]))
            self._take("\\", "in string literal")
            if self._skip("u"):
                if len(self._match(_HEX_DIGITS)) < 4:
                    raise self._error("in \\u hexadecimal character escape")
            elif self._next() and self._next() in '"\\/bfnrt':
                self._place += 1
            else:
                raise self._error("in string escape code")

    def _number(self) -> Number:
        start = self._place
        self._skip("-")
        if not self._skip("0"):
            self._some_digits("in numeric literal")
        if self._skip("."):
            self._some_digits("after decimal point in numeric literal")
        if self._skip("e") or self._skip("E"):
            if not self._skip("+"):
                self._skip("-")
            self._some_digits("in exponent of numeric literal")
        return Number(self._text[start : self._place])

    def _literal(self, literal: str) -> None:
        for character in literal:
            self._take(character, f"in literal {literal} (expecting '{character}')")

    def _some_digits(self, where: str) -> None:
        if not self._match(_DIGITS):
            raise self._error(where)

    def _next(self) -> str:
        return self._text[self._place : self._place + 1]

    def _skip(self, character: str) -> bool:
        found = self._next() == character
        self._place += found
        return found

    def _take(self, character: str, where: str) -> None:
        if not self._skip(character):
            raise self._error(where)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._place)
        assert found is not None  # these patterns match nothing at all as well
        self._place = found.end()
        return found.group()

    def _error(self, where: str) -> BadBody:
        if self.at_end:
            return BadBody("unexpected EOF")
        byte = chr(self._next().encode(errors="replace")[0])  # Go looks at bytes
        shown = "\\'" if byte == "'" else repr(byte)[1:-1]
        return BadBody(f"invalid character '{shown}' {where}")

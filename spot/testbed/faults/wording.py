"""The text form of faults: words, then options by name, as in ``latency a b latency=200``."""

from __future__ import annotations

from collections.abc import Mapping

from spot.testbed.errors import BadFault

__all__ = ["Words", "options_text", "split_nodes"]


class Words:
    """The words after a fault's name, taken one by one. Every call may raise BadFault."""

    def __init__(self, text: str, usage: str) -> None:
        self._text = text
        self._usage = usage
        words = text.split()[1:]
        self._plain = [word for word in words if "=" not in word]
        self._options: dict[str, str] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                continue
            if name in self._options:
                raise self.wrong(f"{name} is given twice")
            self._options[name] = value

    def wrong(self, why: str) -> BadFault:
        """The error that says what is wrong with this text."""
        return BadFault(
            f"{self._text!r}: {why}{'' if why[-1] == '?' else '.'} It is written: {self._usage}"
        )

    def node(self) -> str:
        """The next node."""
        if not self._plain:
            raise self.wrong("a node is missing")
        name = self._plain.pop(0)
        if "," in name:
            raise self.wrong(f"{name!r} is a group where one node should stand")
        return name

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """All words that are left, each as the nodes of a group."""
        found = []
        while self._plain:
            word = self._plain.pop(0)
            group = split_nodes(word)
            if not all(group):
                raise self.wrong(f"a group in {word!r} lacks a name beside a comma")
            found.append(group)
        return tuple(found)

    def text(self, name: str) -> str | None:
        """An option. None: not given."""
        return self._options.pop(name, None)

    def number(
        self, name: str, default: float | None, *, least: float = 0, most: float | None = None
    ) -> float:
        """An option that is a number. ``default`` None: it must be given."""
        given = self._options.pop(name, None)
        if given is None:
            if default is None:
                raise self.wrong(f"{name}= is missing")
            return default
        try:
            value = float(given)
        except ValueError:
            raise self.wrong(f"{name}={given} is no number") from None
        if not (value >= least and (most is None or value <= most)) or value == float("inf"):
            limits = f"from {least:g}" + ("" if most is None else f" to {most:g}")
            raise self.wrong(f"{name}={given} is out of bounds: take a number {limits}")
        return value

    def whole(self, name: str, default: int | None, *, least: int = 0) -> int:
        """An option that is a whole number."""
        value = self.number(name, default, least=least)
        if value != int(value):
            raise self.wrong(f"{name}={value:g} is no whole number")
        return int(value)

    def end(self) -> None:
        """Raises BadFault if any word is left."""
        left = [*self._plain, *(f"{name}={value}" for name, value in self._options.items())]
        if left:
            raise self.wrong(f"what is {left[0]!r} for?")


def split_nodes(word: str) -> tuple[str, ...]:
    """``a,b`` as names."""
    return tuple(word.split(","))


def options_text(options: Mapping[str, float | str | None]) -> str:
    """Options as ``Words`` reads them. Leaves out options that are None."""
    return " ".join(
        f"{name}={value if isinstance(value, str) else _number(value)}"
        for name, value in options.items()
        if value is not None
    )


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)

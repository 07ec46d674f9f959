"""Patterns, and which of many match a topic.

Patterns are classified as routers classify packets by filters: Srinivasan, Suri and Varghese,
"Packet Classification using Tuple Space Search", SIGCOMM 1999. The ends of a pattern are the texts
before its first ``*`` and after its last. A topic that matches begins and ends with them. Patterns
whose ends have the same two lengths share a table, and one look-up in each table finds the patterns
that can match. So the time depends on how many lengths there are, and not on how many patterns.
Patterns with the same two ends are told apart by their longest piece between two ``*``, in the
manner of Rabin and Karp: each window of the topic is looked up, unless it is less work to look for
each piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Pattern:
    """A pattern in which ``*`` matches any run of characters.

    Matching is greedy from the left: the time is bounded by the product of topic and pattern
    length, whatever the pattern (a regular expression would backtrack for seconds).
    """

    __slots__ = ("_middle", "_tail", "head", "longest", "tail", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = text.split("*")
        self.head = pieces[0]
        self._middle = [piece for piece in pieces[1:-1] if piece]
        self._tail: str | None = pieces[-1] if len(pieces) > 1 else None
        self.tail = self._tail or ""
        self.longest = max(self._middle, key=len, default="")

    def matches(self, topic: str) -> bool:
        if self._tail is None:
            return topic == self.head
        if not topic.startswith(self.head) or not topic.endswith(self._tail):
            return False
        at = len(self.head)
        end = len(topic) - len(self._tail)
        for piece in self._middle:
            found = topic.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return at <= end


Ends = tuple[str, str]
Group = dict[int, dict[str, dict[str, Pattern]]]
"""Patterns with both ends in common: by the length of their longest piece, and by that piece."""


class Patterns:
    """A set of patterns, in the order in which they were added."""

    __slots__ = ("_by_text", "_tables")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._by_text: dict[str, Pattern] = {}
        self._tables: dict[tuple[int, int], dict[Ends, Group]] = {}
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._by_text)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_text)

    def add(self, text: str) -> bool:
        """True if it is new."""
        if text in self._by_text:
            return False
        pattern = self._by_text[text] = Pattern(text)
        ends = pattern.head, pattern.tail
        table = self._tables.setdefault((len(pattern.head), len(pattern.tail)), {})
        pieces = table.setdefault(ends, {}).setdefault(len(pattern.longest), {})
        pieces.setdefault(pattern.longest, {})[text] = pattern
        return True

    def remove(self, text: str) -> bool:
        """True if it was there."""
        pattern = self._by_text.pop(text, None)
        if pattern is None:
            return False
        lengths = len(pattern.head), len(pattern.tail)
        ends = pattern.head, pattern.tail
        table = self._tables[lengths]
        group = table[ends]
        pieces = group[len(pattern.longest)]
        del pieces[pattern.longest][text]
        # What is empty would be looked at for nothing.
        if not pieces[pattern.longest]:
            del pieces[pattern.longest]
        if not pieces:
            del group[len(pattern.longest)]
        if not group:
            del table[ends]
        if not table:
            del self._tables[lengths]
        return True

    def matches(self, topic: str) -> bool:
        """Whether any of the patterns matches the topic."""
        size = len(topic)
        for (before, behind), table in self._tables.items():
            group = table.get((topic[:before], topic[size - behind :]))
            if group is not None:
                for pattern in _likely(group, topic):
                    if pattern.matches(topic):
                        return True
        return False

    def matching(self, topic: str) -> list[str]:
        """All patterns that match the topic."""
        size = len(topic)
        found: list[str] = []
        for (before, behind), table in self._tables.items():
            group = table.get((topic[:before], topic[size - behind :]))
            if group is not None:
                found += [each.text for each in _likely(group, topic) if each.matches(topic)]
        return found


def may_overlap(one: str, other: str) -> bool:
    """Whether a topic may match both patterns, judged by what stands before their first ``*`` and
    after their last. What stands between may still forbid it.
    """
    a, b = Pattern(one), Pattern(other)
    heads = a.head.startswith(b.head) or b.head.startswith(a.head)
    tails = a.tail.endswith(b.tail) or b.tail.endswith(a.tail)
    return heads and tails


def _likely(group: Group, topic: str) -> list[Pattern]:
    """The patterns of a group whose longest piece stands in the topic."""
    found: list[Pattern] = []
    for length, pieces in group.items():
        starts = len(topic) - length + 1
        if not length:
            found += pieces[""].values()
        elif len(pieces) <= starts:
            for piece, patterns in pieces.items():
                if piece in topic:
                    found += patterns.values()
        else:
            for piece in pieces.keys() & {topic[at : at + length] for at in range(starts)}:
                found += pieces[piece].values()
    return found

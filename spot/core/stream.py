"""The position of a subscription in the stream of a topic, and what it missed.

A host numbers the messages of a topic from 1; an epoch is one creation of the topic. A link carries
a topic's messages in order, so whatever is skipped will not come any more: it is missed.
"""

from __future__ import annotations


class Position:
    """How far a subscription got: ``last`` of ``epoch`` is the newest sequence accounted for.

    ``owed`` is what was missed and not yet told with a message; None when nobody can know how
    much, because an epoch ended without its final sequence being known. ``final`` says that it is.
    """

    __slots__ = ("epoch", "final", "last", "owed")

    def __init__(self) -> None:
        self.epoch = 0
        self.last = 0
        self.owed: int | None = 0
        self.final = False

    def advance(self, epoch: int, head: int) -> int | None:
        """Nothing up to ``head`` will come any more. Returns how many are newly missed.

        None: an unknown number, as another epoch began and the end of the last is not known.
        """
        if self.epoch == 0:
            self.epoch = epoch
            self.last = head
            return 0
        if epoch != self.epoch:
            known = self.final
            self.epoch = epoch
            self.last = head
            self.final = False
            if not known:
                self.owed = None
                return None
            return self._owe(head)
        if head <= self.last:
            return 0
        missed = head - self.last
        self.last = head
        return self._owe(missed)

    def follow(self, epoch: int, head: int) -> None:
        """The stream passes by, as the topic is taken from another host: nothing of it counts."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.last = 0
            self.final = False
        self.last = max(self.last, head)

    def _owe(self, missed: int) -> int:
        if self.owed is not None:
            self.owed += missed
        return missed

    def finish(self, head: int) -> int:
        """The epoch ended with ``head``: no count is lost when another begins."""
        missed = self.advance(self.epoch, head)
        self.final = True
        return missed or 0

    def deliver(self, last: int) -> int | None:
        """The messages up to ``last`` are handed out. Returns what the first of them says it
        missed.
        """
        self.last = last
        missed = self.owed
        self.owed = 0
        return missed

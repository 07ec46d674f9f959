"""The position of a subscription in the stream of a topic, and what it missed.

A host numbers the messages of a topic from 1; an epoch is one creation of the topic. A link carries
a topic's messages in order, so whatever is skipped will not come any more: it is missed.
"""

from __future__ import annotations


class Position:
    """How far a subscription got: ``last`` of ``epoch`` is the newest sequence accounted for.

    ``owed`` is what was missed and not yet told with a message; None when nobody can know how
    much, because an epoch ended without its final sequence being known. ``final`` says that it is.
    ``told`` says that a message of another host has told of the loss of this epoch already.
    ``before`` has epoch, ``last`` and ``owed`` of the one before. It may come again, while all that
    is reached is a relay that has not noticed its end, and then goes on from there.
    """

    __slots__ = ("before", "epoch", "final", "last", "owed", "told")

    def __init__(self) -> None:
        self.epoch = 0
        self.last = 0
        self.owed: int | None = 0
        self.final = False
        self.told = False
        self.before: tuple[int, int, int | None] = (0, 0, 0)

    def advance(self, epoch: int, head: int) -> int | None:
        """Nothing up to ``head`` will come any more. Returns how many are newly missed.

        None: an unknown number, as another epoch began and the end of the last is not known.
        """
        if self.epoch == 0:
            self.epoch = epoch
            self.last = head
            return 0
        if epoch != self.epoch:
            known = self.final or self.told
            was, _, owed = self.before
            again = was == epoch and self.owed is None
            self._turn_to(epoch)
            if again:
                # Nothing of the other was handed out.
                self.owed = owed
            elif not known:
                self.owed = None
                self.last = max(self.last, head)
                return None
        if head <= self.last:
            return 0
        missed = head - self.last
        self.last = head
        return self._owe(missed)

    def follow(self, epoch: int, head: int) -> None:
        """The stream passes by, as the topic is taken from another host: nothing of it counts."""
        if epoch != self.epoch:
            self._turn_to(epoch)
        self.last = max(self.last, head)

    def _turn_to(self, epoch: int) -> None:
        was, last, _ = self.before
        self.before = (self.epoch, self.last, self.owed)
        self.epoch = epoch
        self.last = last if was == epoch else 0
        self.final = self.told = False

    def _owe(self, missed: int) -> int:
        if self.owed is not None:
            self.owed += missed
        return missed

    def finish(self, head: int) -> int:
        """The epoch ended with ``head``. So no count of missed messages is lost when another
        begins."""
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

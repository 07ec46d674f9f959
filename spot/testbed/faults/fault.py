"""What a fault is: a named value that can be checked, applied, proved and healed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from spot.testbed.evidence import Effect, Proof

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["Action", "Fault", "Proofs", "WithoutTarget"]

Proofs = Iterable[Proof]


class Action(ABC):
    """One fault on one cluster, applied once. Calls may raise ClusterError and OSError.

    The order is prepare, apply, prove, undo, prove_undone. Another process may call only undo and
    prove_undone. So undo must not need anything that apply stored, and may be called twice.
    """

    def prepare(self) -> Proofs:
        """Checks that the fault can be applied, and proves the conditions before it."""
        return ()

    @abstractmethod
    def apply(self) -> None:
        """Applies the fault. If this raises, ``undo`` undoes the steps that were done."""

    @abstractmethod
    def prove(self) -> Proofs:
        """Proves that it acts now."""

    @abstractmethod
    def undo(self) -> None:
        """Undoes all of it. Tries everything before it raises."""

    @abstractmethod
    def prove_undone(self) -> Proofs:
        """Proves that it does not act any more."""


@dataclass(frozen=True)
class Fault(ABC):
    """A fault as a value. ``str(fault)`` is what ``parse_fault`` takes."""

    name: ClassVar[str]
    usage: ClassVar[str]
    """How it is written."""
    summary: ClassVar[str]
    """What the fault does, in a line."""
    proof: ClassVar[str]
    """What proves it, in a line."""
    watch: ClassVar[str]
    """How SPOT reacts, and where to see it, in a line."""
    needs_proxies: ClassVar[bool] = False
    """Whether it acts on edges, so that the cluster must be proxied."""
    is_momentary: ClassVar[bool] = False
    """Whether it is over as soon as it is applied, with nothing to undo."""

    @classmethod
    @abstractmethod
    def parse(cls, words: Words) -> Self:
        """The fault of the words after its name. Raises BadFault."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What it acts on, as written after the name."""

    @abstractmethod
    def effect(self, topology: Topology) -> Effect:
        """The effect on the nodes and links of this topology."""

    @abstractmethod
    def check(self, topology: Topology) -> None:
        """Raises UnknownNode or BadFault when it can't act on this topology."""

    @abstractmethod
    def action(self, cluster: Cluster) -> Action:
        """The action that applies it to this cluster, once."""

    def is_kept(self, backend: str) -> bool:
        """Whether it lasts only while the process that applied it runs."""
        return False

    def __str__(self) -> str:
        return f"{self.name} {self.target}".strip()


class WithoutTarget(Fault):
    """A fault that is written as its name alone."""

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes no words."""
        return cls()

    @property
    def target(self) -> str:
        """Empty, as the name says all."""
        return ""

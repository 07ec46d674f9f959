"""Active faults: applied to a cluster, proved, and always healed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spot.testbed.errors import ClusterError, NotProxied
from spot.testbed.evidence import FaultWindow, Proof
from spot.testbed.faults.fault import Action, Fault

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster

__all__ = ["ActiveFault", "FaultNotApplied", "FaultNotHealed", "inject"]


class _FaultFailed(ClusterError):
    def __init__(self, text: str, window: FaultWindow) -> None:
        super().__init__(text)
        self.window = window


class FaultNotApplied(_FaultFailed):
    """A fault could not be applied, and its first steps were undone. ``window`` says when."""


class FaultNotHealed(_FaultFailed):
    """A fault could not be undone: stop the cluster. ``window`` says when."""


def inject(cluster: Cluster, fault: Fault) -> ActiveFault:
    """Applies a fault. The caller must heal it, best by using the result as a context manager.

    ::

        with inject(cluster, parse_fault("cut a b")) as active:
            active.prove()
        assert active.window.is_proved

    Raises UnknownNode, BadFault and NotProxied when the fault can't act on this cluster, and
    FaultNotApplied when applying it failed.
    """
    fault.check(cluster.topology)
    if fault.needs_proxies and not cluster.run.proxied:
        raise NotProxied(
            f"'{fault}' acts on the proxies between nodes, and the {cluster.topology.name} cluster "
            "runs without: start it with proxied=True, or 'spot up' without --direct"
        )
    active = ActiveFault(cluster, fault)
    active.apply()
    return active


class ActiveFault:
    """A fault that was applied and not healed yet. As a context manager, it heals on exit.

    ``window`` may be read from any thread; the calls belong to one thread at a time.
    """

    def __init__(self, cluster: Cluster, fault: Fault) -> None:
        self.fault = fault
        self._action: Action = fault.action(cluster)
        self._lock = threading.Lock()
        now = time.monotonic()
        effect = fault.effect(cluster.topology)
        self._window = FaultWindow(fault.name, fault.target, effect, now, now, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.heal()

    @property
    def window(self) -> FaultWindow:
        """When the fault acted so far, and its proofs."""
        with self._lock:
            return self._window

    def apply(self) -> None:
        """Applies the fault, once."""
        try:
            self._add(tuple(self._action.prepare()))
        except (ClusterError, OSError) as error:
            self._fail(error)
            raise FaultNotApplied(
                f"'{self.fault}' was not applied: {error}", self.window
            ) from error
        began = time.monotonic()
        self._change(began=began, acted=began)
        try:
            self._action.apply()
        except BaseException as error:
            self._change(acted=time.monotonic(), healing=time.monotonic())
            self._fail(error)
            try:
                self._action.undo()
            except (ClusterError, OSError) as second:
                self._fail(second)
            else:
                self._change(healed=time.monotonic())
            if isinstance(error, ClusterError | OSError):
                text = f"'{self.fault}' was not applied: {self.window.error}"
                raise FaultNotApplied(text, self.window) from error
            raise
        self._change(acted=time.monotonic())

    def prove(self) -> tuple[Proof, ...]:
        """Checks that the fault acts. Returns the new proofs, which ``window`` keeps as well.

        Takes from a few milliseconds to a few seconds. If a proxy server or an engine fails,
        ``window.error`` says so, and the fault is not proved.
        """
        try:
            proofs = tuple(self._action.prove())
        except (ClusterError, OSError) as error:
            self._fail(error)
            return ()
        self._add(proofs)
        return proofs

    def heal(self) -> tuple[Proof, ...]:
        """Undoes the fault and checks that it is undone. Returns the proofs of that.

        A second call does nothing. Raises FaultNotHealed if something could not be undone; then it
        may be called again.
        """
        if self.window.healed is not None:
            return ()
        if self.window.healing is None:
            self._change(healing=time.monotonic())
        try:
            self._action.undo()
        except (ClusterError, OSError) as error:
            self._fail(error)
            raise FaultNotHealed(f"'{self.fault}' was not healed: {error}", self.window) from error
        self._change(healed=time.monotonic())
        try:
            proofs = tuple(self._action.prove_undone())
        except (ClusterError, OSError) as error:
            self._fail(error)
            return ()
        self._add(proofs)
        return proofs

    def _add(self, proofs: tuple[Proof, ...]) -> None:
        self._change(proofs=(*self.window.proofs, *proofs))

    def _fail(self, error: BaseException) -> None:
        before = self.window.error
        text = str(error) or type(error).__name__
        self._change(error=text if before is None else f"{before}; {text}")

    def _change(self, **values: object) -> None:
        with self._lock:
            self._window = replace(self._window, **values)  # type: ignore[arg-type]

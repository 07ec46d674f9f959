"""Proofs that an edge passes or refuses bytes, and that the pair's link goes through it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from spot.testbed.compose import PROXY_SERVICE
from spot.testbed.evidence import Proof
from spot.testbed.faults.canary import Canary, Ended

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster
    from spot.testbed.proxied_link import ProxiedLink

__all__ = [
    "accepts",
    "at_once",
    "edge_text",
    "passes",
    "passes_again",
    "refuses",
    "route",
    "summed",
]

AT_ONCE_MAX = 16
PASS_TIMEOUT_S = 2.0
AGAIN_TIMEOUT_S = 5.0
PROOFS_EACH_MAX = 4
POLL_S = 0.05

S = TypeVar("S")
T = TypeVar("T")


def at_once(work: Callable[[S], T], things: Sequence[S]) -> list[T]:
    """Calls ``work`` with each of the things, 16 at a time. Raises the first error at the end."""
    if not things:
        return []
    with ThreadPoolExecutor(min(AT_ONCE_MAX, len(things))) as pool:
        futures = [pool.submit(work, thing) for thing in things]
    return [future.result() for future in futures]


def edge_text(link: ProxiedLink) -> str:
    """An edge as its proxy is named: ``b-to-a``."""
    return f"{link.dialler}-to-{link.listener}"


def route(cluster: Cluster, link: ProxiedLink) -> Proof:
    """Proves that the dialler dials the edge, and that neither end knows another path."""
    wanted = f"{link.dialler} dials {link.listener} through the edge"
    document = cluster.node_status(link.dialler).document
    if document is None:
        return Proof(wanted, False, f"{link.dialler} does not answer")
    peers = document["peers"]
    through = [peer for peer in peers if _is_edge(peer["endpoint"], link)]
    around = [
        peer["endpoint"]
        for peer in peers
        if peer["node"] == link.listener
        and peer not in through
        and peer["endpoint"] != peer["node"]
    ]
    back = cluster.node_status(link.listener).document
    around += [
        peer["endpoint"]
        for peer in ([] if back is None else back["peers"])
        if peer["node"] == link.dialler and peer["endpoint"] != peer["node"]
    ]
    if around:
        return Proof(wanted, False, f"they know a way around it: {', '.join(around)}")
    if not through:
        return Proof(wanted, False, f"{link.dialler} does not dial port {link.address[1]}")
    return Proof(wanted, True, f"{link.dialler} dials {through[0]['endpoint']}")


def _is_edge(endpoint: str, link: ProxiedLink) -> bool:
    host, port = link.address
    parts = urlsplit(endpoint) if "://" in endpoint else None
    return parts is not None and parts.port == port and parts.hostname in (host, PROXY_SERVICE)


def passes(link: ProxiedLink) -> Proof:
    """Proves that bytes pass both ways now, by the ZMTP greeting of the listener."""
    wanted = f"a canary passes {edge_text(link)} both ways"
    try:
        with Canary(link.address) as canary:
            there = canary.hear(PASS_TIMEOUT_S)
            back = None if there is None else canary.prompt(PASS_TIMEOUT_S)
    except Ended as error:
        return Proof(wanted, False, str(error))
    except OSError as error:
        return Proof(wanted, False, f"not accepted: {error.strerror or error}")
    if there is None:
        return Proof(wanted, False, f"nothing came from {link.listener}")
    if back is None:
        return Proof(wanted, False, f"nothing reached {link.listener}")
    return Proof(wanted, True, f"greeted after {_ms(there)}, answered after {_ms(back)}")


def refuses(link: ProxiedLink) -> Proof:
    """Proves that the proxy runs and has closed this edge, and that connections are refused."""
    wanted = f"connections to {edge_text(link)} are refused"
    if link.is_enabled:
        return Proof(wanted, False, "the proxy says that the edge is open")
    begun = time.monotonic()
    try:
        Canary(link.address).__exit__(None, None, None)
    except ConnectionRefusedError:
        return Proof(wanted, True, f"refused after {_ms(time.monotonic() - begun)}")
    except OSError as error:
        return Proof(wanted, False, f"neither accepted nor refused: {error}")
    return Proof(wanted, False, "accepted")


def accepts(link: ProxiedLink) -> Proof:
    """Proves that the proxy accepts connections; it does not look what follows."""
    wanted = f"connections to {edge_text(link)} are accepted again"
    try:
        Canary(link.address).__exit__(None, None, None)
    except OSError as error:
        return Proof(wanted, False, f"not accepted: {error.strerror or error}")
    return Proof(wanted, True, "accepted")


def passes_again(cluster: Cluster, link: ProxiedLink) -> Proof:
    """Proves that a canary passes within 5 s. If another fault prevents that, an edge that accepts
    is proof enough."""
    deadline = time.monotonic() + AGAIN_TIMEOUT_S
    while not (proof := passes(link)).shown:
        # Another fault may still act on the node or the edge, and that one must stay.
        held = cluster.node_status(link.listener).state != "running" or link.toxics()
        if held and (accepted := accepts(link)).shown:
            return accepted
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_S)
    return Proof(f"a canary passes {edge_text(link)} again", proof.shown, proof.seen)


def summed(wanted: str, proofs: Sequence[Proof]) -> tuple[Proof, ...]:
    """The proofs unchanged if they are few. Joins many proofs to one, which names what is
    missing."""
    if len(proofs) <= PROOFS_EACH_MAX:
        return tuple(proofs)
    lacking = [proof for proof in proofs if not proof.shown]
    seen = f"{len(proofs) - len(lacking)} of {len(proofs)}"
    if lacking:
        seen += f"; not: {lacking[0].wanted}: {lacking[0].seen}"
    return (Proof(wanted, not lacking, seen),)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"

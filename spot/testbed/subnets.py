"""Small networks for the containers of a cluster, chosen to overlap no other network.

Docker gives a /16 or /20 to every network that names no subnet, and has only about thirty of them.
So each network here names a small one of its own, out of 10.213.0.0/16. The first quarter is for
the files in ``compose/``, the rest for runs of the testbed. ``SPOT_NETWORK`` (such as ``10.99``)
chooses another range.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from spot.testbed.errors import ClusterError

__all__ = ["NETWORK", "Subnets", "SubnetsTaken", "free_subnets", "routed_networks"]

NETWORK = "10.213"
"""The first two numbers of every address, unless ``SPOT_NETWORK`` says otherwise."""

SHARED_PREFIX_MAX = 28
NODE_PREFIX = 29
"""Six addresses: the bridge's own, the node's, the proxy's, and room for a visitor."""
SHIPPED_SIZE = 4096
"""Addresses reserved for each topology in ``compose/``: enough for 200 nodes behind proxies."""
SHIPPED_ORDER = ("two-node", "mesh", "hub-spoke")
RUNS_START = 64
"""The third number of the first address that runs may use."""


class SubnetsTaken(ClusterError):
    """No free range of addresses is left for another cluster."""


@dataclass(frozen=True)
class Subnets:
    """The networks of one cluster of ``nodes`` nodes, from the address ``start`` on.

    ``variable``: written so that compose takes the first two numbers from ``SPOT_NETWORK``.
    """

    start: int
    nodes: int
    variable: bool = False

    @classmethod
    def shipped(cls, topology: str, nodes: int) -> Subnets:
        """The networks of this topology's compose files."""
        place = SHIPPED_ORDER.index(topology) if topology in SHIPPED_ORDER else len(SHIPPED_ORDER)
        return cls(_first_address(NETWORK) + place * SHIPPED_SIZE, nodes, variable=True)

    @property
    def size(self) -> int:
        """How many addresses all of the networks take. It is a power of two that divides
        ``start``."""
        return _power_of_two(self._shared_size + (self.nodes + 1) * _size(NODE_PREFIX))

    @property
    def block(self) -> IPv4Network:
        """The range that holds all of the networks."""
        return IPv4Network((self.start, 33 - self.size.bit_length()))

    @property
    def shared(self) -> IPv4Network:
        """The network of all nodes, where no proxy stands between them."""
        return IPv4Network((self.start, 33 - self._shared_size.bit_length()))

    @property
    def outside(self) -> IPv4Network:
        """The network over which the proxy's own port is published."""
        return IPv4Network((self.start + self._shared_size, NODE_PREFIX))

    def node(self, place: int) -> IPv4Network:
        """The network that the node at this place, from 0, shares with the proxy alone."""
        return IPv4Network((int(self.outside[0]) + (place + 1) * _size(NODE_PREFIX), NODE_PREFIX))

    def text(self, network: IPv4Network) -> str:
        """One of these networks, as a compose file names it."""
        if self.variable:
            return f"${{SPOT_NETWORK:-{NETWORK}}}" + str(network).removeprefix(NETWORK)
        return str(network)

    @property
    def _shared_size(self) -> int:
        # Besides the nodes: the address of the network, of the bridge and for broadcasts.
        return max(_size(SHARED_PREFIX_MAX), _power_of_two(self.nodes + 3))


def free_subnets(nodes: int, taken: Iterable[IPv4Network], network: str = NETWORK) -> Subnets:
    """Subnets for a run of so many nodes. They overlap none of the networks ``taken``.

    Draws one of the free ranges at random, so that two runs that choose at once most likely get
    different ones. If they don't, the engine refuses the second. ``network``: the first two
    numbers. Raises SubnetsTaken if none is free, or ``network`` isn't two numbers.
    """
    try:
        first = _first_address(network)
    except ValueError:
        raise SubnetsTaken(
            f"SPOT_NETWORK must be the first two numbers of private addresses, such as {NETWORK}, "
            f"not {network!r}"
        ) from None
    size = Subnets(0, nodes).size
    taken = list(taken)
    starts = list(range(first + RUNS_START * 256, first + 65_536, size))
    random.shuffle(starts)
    for start in starts:
        subnets = Subnets(start, nodes)
        if not any(subnets.block.overlaps(other) for other in taken):
            return subnets
    raise SubnetsTaken(
        f"no {size} addresses in a row are free in {network}.{RUNS_START}.0 to {network}.255.255: "
        "end other clusters ('spot down --all'), or set SPOT_NETWORK to two other numbers"
    )


def routed_networks(table: Path = Path("/proc/net/route")) -> list[IPv4Network]:
    """The networks that this machine has routes to, except the default route."""
    found = []
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        columns = line.split()
        address, mask = (
            int.from_bytes(bytes.fromhex(columns[place]), sys.byteorder) for place in (1, 7)
        )
        if mask:
            found.append(IPv4Network((address, mask.bit_count())))
    return found


def _first_address(network: str) -> int:
    """Raises ValueError when these are not the first two numbers of an address."""
    return int(IPv4Address(f"{network}.0.0"))


def _size(prefix: int) -> int:
    return 1 << (32 - prefix)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()

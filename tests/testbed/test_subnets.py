from ipaddress import IPv4Network
from pathlib import Path

import pytest

from spot.testbed.subnets import Subnets, SubnetsTaken, free_subnets, routed_networks


@pytest.mark.parametrize("nodes", [2, 3, 13, 14, 50, 200])
def test_networks_of_a_cluster_overlap_nowhere_and_hold_its_nodes(nodes: int) -> None:
    """The engine refuses overlapping networks, and containers for which there is no address."""
    subnets = Subnets.shipped("mesh", nodes)
    networks = [subnets.shared, subnets.outside, *map(subnets.node, range(nodes))]
    assert networks[0].num_addresses - 3 >= nodes
    for place, network in enumerate(networks):
        assert network.subnet_of(subnets.block)
        assert not any(network.overlaps(other) for other in networks[place + 1 :])
    others = [Subnets.shipped(name, 200) for name in ("two-node", "hub-spoke", "own")]
    assert not any(subnets.block.overlaps(other.block) for other in others)


def test_networks_of_a_small_cluster_are_small() -> None:
    """A /28 and /29s: Docker's own choice, a /16 each, is used up by thirty of them."""
    subnets = Subnets.shipped("mesh", 3)
    assert subnets.text(subnets.shared) == "${SPOT_NETWORK:-10.213}.16.0/28"
    assert subnets.text(subnets.node(2)) == "${SPOT_NETWORK:-10.213}.16.40/29"


def test_run_takes_no_range_of_anyone_else() -> None:
    """Two runs side by side, and whatever else this machine is linked to."""
    taken: list[IPv4Network] = [IPv4Network("10.213.128.0/17")]
    for _ in range(100):
        block = free_subnets(3, taken).block
        assert block.subnet_of(IPv4Network("10.213.64.0/18"))
        assert not any(block.overlaps(other) for other in taken)
        taken.append(block)


def test_two_runs_that_choose_at_once_choose_differently() -> None:
    """They see the same ranges taken; the engine refuses the second that takes the same."""
    chosen = {free_subnets(3, []).start for _ in range(50)}
    assert len(chosen) > 40


def test_no_free_range_says_what_to_do() -> None:
    """The engine's own words, about a pool, help nobody."""
    with pytest.raises(SubnetsTaken, match="SPOT_NETWORK"):
        free_subnets(3, [IPv4Network("10.0.0.0/8")])
    assert str(free_subnets(3, [IPv4Network("10.213.0.0/16")], "10.99").block).startswith("10.99.")


@pytest.mark.parametrize("network", ["10", "10.1.2", "10.300", "ten.one", ""])
def test_network_that_is_not_two_numbers_is_refused(network: str) -> None:
    """It comes from a variable that people set by hand."""
    with pytest.raises(SubnetsTaken, match="first two numbers"):
        free_subnets(3, [], network)


def test_routes_of_this_machine_are_read(tmp_path: Path) -> None:
    """A run on the machine's own network would cut it off."""
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t00D50A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert routed_networks(table) == [IPv4Network("10.10.213.0/24")]

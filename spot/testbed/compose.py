"""Compose files for a topology of any size: what ``compose/`` ships and what the testbed runs.

A topology becomes three files. ``mesh.yaml`` is a complete deployment. ``mesh.proxied.yaml`` is an
overlay for it: each node gets a network that it shares only with Toxiproxy, so that all traffic
passes the proxy. ``mesh.proxies.json`` is Toxiproxy's configuration, with one proxy for each edge.

    python -m spot.testbed.compose mesh --nodes 7 --into deployment

They are written as text, so that people can read and change them; see ``images/node/README.md``
for what a node's settings mean.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from spot import __version__
from spot.config import join_list
from spot.testbed.edges import Edge, edges
from spot.testbed.errors import UnknownTopology
from spot.testbed.node_names import check_names
from spot.testbed.subnets import Subnets
from spot.testbed.topology import TOPOLOGIES, NodeSpec, Topology, build_topology
from spot.testbed.variables import check_node_lists, node_lists
from spot.testbed.yaml_lines import (
    document,
    joined_blocks,
    list_lines,
    literal,
    literal_values,
    mapping_lines,
    scalar,
)

__all__ = [
    "NODE_PORT",
    "PROXY_API_PORT",
    "PROXY_SERVICE",
    "VERSIONS",
    "ComposeOptions",
    "compose_file",
    "edge_endpoint",
    "file_stem",
    "node_network",
    "peer_endpoint",
    "port_variable",
    "proxied_overlay",
    "proxies_file",
    "write_files",
]

VERSIONS = {"SPOT_VERSION": __version__, "TOXIPROXY_VERSION": "2.12.0"}
"""The images of this version of the testbed; ``compose/.env`` names the same."""

NODE_PORT = 5555
PROXY_SERVICE = "toxiproxy"
PROXY_API_PORT = 8474
HEALTH_CHECKS_PER_S = 5
"""For all nodes together: each check takes a tenth of a second of processor time."""
HEALTH_INTERVAL_MIN_S = 2


@dataclass(frozen=True, kw_only=True)
class ComposeOptions:
    """How a topology is deployed. The defaults are those of the files in ``compose/``.

    Texts of ``settings``, ``node_settings``, ``labels``, ``user`` and ``mounts`` reach the
    containers unchanged: compose does not read a ``$`` in them as a variable.
    """

    project: str | None = None
    """Name of the compose project. None: ``spot-`` and the topology's name."""
    subnets: Subnets | None = None
    """Addresses of the networks. None: those reserved for the shipped files."""
    node_image: str = "${SPOT_NODE_IMAGE:-spot-node}:${SPOT_VERSION:?take compose/.env along}"
    proxy_image: str = (
        "${TOXIPROXY_IMAGE:-spot-toxiproxy}:${TOXIPROXY_VERSION:?take compose/.env along}"
    )
    restart: str = "unless-stopped"
    """What the engine does with a container that has ended."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables of all nodes, beside and before the usual ones."""
    node_settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Variables of single nodes, by name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of all containers and networks."""
    user: str | None = None
    """User and group, as ``1000:1000``, that all containers run as. None: the images' own."""
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Folders of this machine that all nodes see, by their paths in the containers. A folder that
    the engine does not find is an error: the engine must not make it."""


SHIPPED = ComposeOptions()


def compose_file(topology: Topology, options: ComposeOptions = SHIPPED) -> str:
    """The plain deployment: all nodes on one network, each with a published port.

    Raises UnknownTopology when a node can't be called so, or be told what it hosts and hears.
    """
    check_names(topology.names)
    for node in topology.nodes:
        check_node_lists(node)
    subnets = _subnets(topology, options)
    lines = [
        *_head(topology, options, _PLAIN_USE),
        f"name: {options.project or f'spot-{topology.name}'}",
        "",
        *_node_anchor(topology, options),
        "services:",
        *joined_blocks(_node(topology, place, options) for place in range(len(topology.nodes))),
        "",
        "networks:",
        "  cluster:",
        *_network(subnets.shared, subnets, options),
    ]
    return document(lines)


def proxied_overlay(topology: Topology, options: ComposeOptions = SHIPPED) -> str:
    """The overlay that puts Toxiproxy between every pair; ``proxies_file`` lies beside it."""
    subnets = _subnets(topology, options)
    dialled: dict[str, list[str]] = {name: [] for name in topology.names}
    for edge in edges(topology):
        dialled[edge.dialler].append(edge_endpoint(edge))
    lines = [
        *_head(topology, options, _PROXIED_USE),
        "services:",
        *joined_blocks(
            [
                _proxy(topology, options),
                *(_proxied_node(name, cluster) for name, cluster in dialled.items()),
            ]
        ),
        "",
        "configs:",
        "  proxies:",
        f"    file: ./{file_stem(topology)}.proxies.json",
        "",
        "networks:",
        "  outside: # carries only the port of Toxiproxy's API",
        *_network(subnets.outside, subnets, options),
    ]
    for place, node in enumerate(topology.nodes):
        lines += [
            f"  {node_network(node.name)}:",
            "    internal: true",
            *_network(subnets.node(place), subnets, options),
        ]
    return document(lines)


def proxies_file(topology: Topology) -> str:
    """Toxiproxy's configuration: a proxy for each edge."""
    proxies = [
        {
            "name": edge.name,
            "listen": f"0.0.0.0:{edge.port}",
            "upstream": f"{edge.listener}:{NODE_PORT}",
            "enabled": True,
        }
        for edge in edges(topology)
    ]
    return "[\n" + ",\n".join(f"  {json.dumps(proxy)}" for proxy in proxies) + "\n]\n"


def write_files(topology: Topology, directory: Path, options: ComposeOptions = SHIPPED) -> Path:
    """Writes all three files into ``directory``, and returns the path of the plain one.

    Raises OSError, and UnknownTopology as ``compose_file`` does.
    """
    stem = file_stem(topology)
    plain = directory / f"{stem}.yaml"
    overlay = directory / f"{stem}.proxied.yaml"
    plain.write_text(compose_file(topology, options), encoding="utf-8")
    overlay.write_text(proxied_overlay(topology, options), encoding="utf-8")
    proxies = directory / f"{stem}.proxies.json"
    proxies.write_text(proxies_file(topology), encoding="utf-8")
    proxies.chmod(0o644)  # Toxiproxy reads it as a user of its own
    return plain


def file_stem(topology: Topology) -> str:
    """The beginning of the names of this topology's files: ``mesh``, or ``mesh-7`` for seven."""
    made = TOPOLOGIES.get(topology.name)
    if made is None or len(made().nodes) == len(topology.nodes):
        return topology.name
    spokes = 1 if topology.name == "hub-spoke" else 0
    return f"{topology.name}-{len(topology.nodes) - spokes}"


def peer_endpoint(peer: str) -> str:
    """Where a node dials this peer directly."""
    return f"tcp://{peer}:{NODE_PORT}"


def edge_endpoint(edge: Edge) -> str:
    """Where the edge's dialler dials the proxy."""
    return f"tcp://{PROXY_SERVICE}:{edge.port}"


def node_network(node: str) -> str:
    """The network that this node shares with Toxiproxy alone, without the project's name."""
    return f"only-{node}"


def port_variable(node: str) -> str:
    """The variable for the port of this machine at which a node is published; 0: any free port."""
    return "SPOT_PORT_" + re.sub(r"\W", "_", node).upper()


_PLAIN_USE = """\
#   docker compose -f compose/{stem}.yaml up -d --wait
#   docker compose -f compose/{stem}.yaml down
#
# Versions, addresses, ports and limits: compose/.env. With {stem}.proxied.yaml after this file,
# Toxiproxy stands between every pair of nodes."""

_PROXIED_USE = """\
# Overlay: the same nodes with Toxiproxy between every pair, and no way around it.
#
#   docker compose -f compose/{stem}.yaml -f compose/{stem}.proxied.yaml up -d --wait
#   docker compose -f compose/{stem}.yaml -f compose/{stem}.proxied.yaml down
#
# Each node is on a network of its own, which only Toxiproxy shares and which leads nowhere else.
# Toxiproxy's API is at 127.0.0.1:8474. Its proxies, one for each linked pair, are in
# {stem}.proxies.json."""


def _head(topology: Topology, options: ComposeOptions, use: str) -> list[str]:
    what = {
        "two-node": "Two SPOT nodes that know each other.",
        "mesh": f"A mesh of {len(topology.nodes)} SPOT nodes.",
        "hub-spoke": f"A SPOT hub with {len(topology.nodes) - 1} spokes.",
    }.get(topology.name, f"{len(topology.nodes)} SPOT nodes.")
    lines = [f"# {what}", "#"]
    if options == SHIPPED:
        lines += [*use.format(stem=file_stem(topology)).splitlines(), "#"]
    return [*lines, "# Written by spot.testbed.compose, for any number of nodes.", ""]


def _node_anchor(topology: Topology, options: ComposeOptions) -> list[str]:
    interval = max(HEALTH_INTERVAL_MIN_S, len(topology.nodes) // HEALTH_CHECKS_PER_S)
    settings = {
        "SPOT_CLUSTER_NAME": "${SPOT_CLUSTER_NAME:-}",
        "SPOT_LOG_LEVEL": "${SPOT_LOG_LEVEL:-info}",
        "SPOT_RATE": "${SPOT_RATE:-1}",
        **literal_values(options.settings),
    }
    return [
        "x-node: &node",
        f"  image: {options.node_image}",
        *_user(options, 2),
        f"  restart: {scalar(options.restart)}",
        "  stop_grace_period: 5s",
        "  mem_limit: ${SPOT_MEMORY:-256m}",
        "  pids_limit: 100",
        "  read_only: true",
        "  cap_drop: [ALL]",
        '  security_opt: ["no-new-privileges:true"]',
        "  healthcheck:",
        "    test: [CMD, spot, node, --check]",
        f"    interval: {interval}s",
        "    timeout: 5s",
        "    retries: 3",
        "    start_period: 30s",
        *_LOGGING,
        *_NAMES,
        "  networks: [cluster]",
        *_volumes(options),
        "",
        "x-settings: &settings",
        *mapping_lines(settings, 2),
        "",
    ]


_LOGGING = [
    "  logging:",
    "    driver: json-file",
    "    options: {max-size: 10m, max-file: '3'}",
]
_NAMES = [
    "  dns_opt: ['timeout:1', 'attempts:1'] # the name of a container that is down is unknown"
]


def _node(topology: Topology, place: int, options: ComposeOptions) -> list[str]:
    node = topology.nodes[place]
    settings = {
        "SPOT_NODE_ID": node.name,
        "SPOT_BIND": f"tcp://*:{NODE_PORT}" if node.binds else "",
        "SPOT_CLUSTER": join_list("cluster", map(peer_endpoint, node.peers)),
        **node_lists(node),
        **({"SPOT_RELAY": "1"} if node.relay else {}),
        **options.node_settings.get(node.name, {}),
    }
    return [
        f"  {scalar(node.name)}:",
        "    <<: *node",
        "    environment:",
        "      <<: *settings",
        *mapping_lines(literal_values(settings), 6),
        *list_lines("ports", [_published(node, place)] if node.binds else [], 4),
        *_labels(options, 4, topology=topology.name, node=node.name),
    ]


def _published(node: NodeSpec, place: int) -> str:
    port = f"${{{port_variable(node.name)}:-{NODE_PORT + place}}}"
    return f"${{SPOT_HOST_ADDRESS:-127.0.0.1}}:{port}:{NODE_PORT}"


def _proxy(topology: Topology, options: ComposeOptions) -> list[str]:
    return [
        f"  {PROXY_SERVICE}:",
        f"    image: {options.proxy_image}",
        *_user(options, 4),
        "    command: [-host=0.0.0.0, -config=/proxies.json]",
        "    configs: [{source: proxies, target: /proxies.json}]",
        f"    ports: ['127.0.0.1:${{TOXIPROXY_PORT:-{PROXY_API_PORT}}}:{PROXY_API_PORT}']",
        "    networks:",
        "      outside:",
        *(f"      {node_network(name)}:" for name in topology.names),
        f"    restart: {scalar(options.restart)}",
        "    stop_grace_period: 5s",
        "    mem_limit: ${TOXIPROXY_MEMORY:-256m}",
        "    read_only: true",
        "    cap_drop: [ALL]",
        '    security_opt: ["no-new-privileges:true"]',
        "    healthcheck:",
        "      test: [CMD, /toxiproxy-cli, list]",
        "      interval: 2s",
        "      timeout: 5s",
        "      retries: 3",
        "      start_period: 10s",
        *(f"  {line}" for line in [*_LOGGING, *_NAMES]),
        *_labels(options, 4, topology=topology.name),
    ]


def _proxied_node(node: str, cluster: Sequence[str]) -> list[str]:
    return [
        f"  {scalar(node)}:",
        f"    depends_on: [{PROXY_SERVICE}]",
        "    environment:",
        *mapping_lines({"SPOT_CLUSTER": join_list("cluster", cluster)}, 6),
        "    networks: !override",
        f"      {node_network(node)}:",
        "    ports: !reset []",
    ]


def _volumes(options: ComposeOptions) -> list[str]:
    # The short syntax splits at colons, and makes the engine create folders that it does not find.
    lines = ["  volumes:"] if options.mounts else []
    for target, source in options.mounts.items():
        lines += [
            "    - type: bind",
            *mapping_lines({"source": literal(source), "target": literal(target)}, 6),
            "      bind: {create_host_path: false}",
        ]
    return lines


def _labels(options: ComposeOptions, indent: int, **own: str) -> list[str]:
    labels = {**{f"spot.{name}": text for name, text in own.items()}, **options.labels}
    space = " " * indent
    return [f"{space}labels:", *mapping_lines(literal_values(labels), indent + 2)] if labels else []


def _user(options: ComposeOptions, indent: int) -> list[str]:
    return mapping_lines({"user": literal(options.user)}, indent) if options.user else []


def _network(network: IPv4Network, subnets: Subnets, options: ComposeOptions) -> list[str]:
    return [
        "    ipam:",
        f"      config: [{{subnet: '{subnets.text(network)}'}}]",
        *_labels(options, 4),
    ]


def _subnets(topology: Topology, options: ComposeOptions) -> Subnets:
    return options.subnets or Subnets.shipped(topology.name, len(topology.nodes))


def _main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m spot.testbed.compose", description="Writes the compose files of a topology."
    )
    parser.add_argument("topology", choices=list(TOPOLOGIES))
    parser.add_argument("--nodes", type=int, help="nodes of a mesh, spokes of a hub-spoke (3)")
    parser.add_argument("--into", type=Path, default=Path(), help="an existing folder (this one)")
    given = parser.parse_args()
    try:
        write_files(build_topology(given.topology, given.nodes), given.into)
    except (UnknownTopology, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    _main()

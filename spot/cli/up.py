"""``spot up``: starts a cluster and shows that it works."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.console import Console

from spot.cli.backend import backend_option, choose_backend
from spot.cli.display import as_document, picture
from spot.cli.running import clusters_up
from spot.testbed import AlreadyUp, Cluster, Run, UnknownTopology, build_topology
from spot.testbed.run import state_directory, state_lock
from spot.testbed.status import rates_between
from spot.testbed.topology import TOPOLOGIES, Topology

__all__ = ["command"]

RATE_SAMPLE_S = 1.0
EMBEDDED_EDGES_MAX = 100
"""More proxies than this, in one process, would make a start noticeably longer."""


@click.command("up")
@click.argument("topology", type=click.Choice(list(TOPOLOGIES)))
@click.option("--nodes", type=int, help="Nodes of a mesh, or spokes of a hub-spoke (3).")
@click.option("--relay", is_flag=True, help="Let the hub relay messages between its spokes.")
@backend_option
@click.option(
    "--proxied/--direct",
    default=None,
    help="Put a proxy between every pair, which faults need, or none (proxied; processes "
    f"with more than {EMBEDDED_EDGES_MAX} links: direct).",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    envvar="SPOT_RATE",
    help="Messages a second that each node publishes (10, less in a large mesh; 0: none).",
)
@click.option(
    "--base-port",
    type=int,
    help="Port of the first node; the others take the next ones (any free).",
)
@click.option("--journal", is_flag=True, help="Record what every node publishes and receives.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait until all is ready.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    topology: str,
    nodes: int | None,
    relay: bool,
    backend: str | None,
    proxied: bool | None,
    rate: float | None,
    base_port: int | None,
    journal: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Start the nodes of TOPOLOGY (two-node, mesh, hub-spoke) and wait until all links are up.

    The cluster stays up until 'spot down'. A cluster that is up already is shown; it is an error if
    it differs from these options. Other SPOT_* variables of the environment, such as
    SPOT_PEER_TIMEOUT, apply to all of its nodes.
    """
    say = Console(stderr=True, highlight=False)
    try:
        built = build_topology(topology, nodes, relay=relay)  # before images are built
    except UnknownTopology as error:
        raise click.UsageError(str(error)) from error
    state = state_directory()
    waiting = f"another spot command is busy with {topology}: waiting for it"
    with state_lock(state, f"up-{topology}", lambda: say.print(waiting)):
        cluster = _already_up(topology)
        if cluster:
            wanted = _Wanted(
                built if nodes is not None else None,
                relay,
                backend,
                proxied,
                rate,
                journal,
                base_port,
            )
            differs = list(wanted.differs_from(cluster))
            if differs:
                raise AlreadyUp(
                    f"{topology} is up already, and not as asked for: {'; '.join(differs)}. "
                    f"'spot down {topology}' first"
                )
            count = len(cluster.topology.nodes)
            say.print(
                f"{topology} is up already, with {count} nodes ({_kind(cluster.run)}). "
                "To change it: spot down first",
                soft_wrap=True,
            )
        else:
            backend = choose_backend(backend, say)
            if proxied is None:
                proxied = backend == "docker" or len(built.links) <= EMBEDDED_EDGES_MAX
            cluster = Cluster(
                built,
                backend=backend,
                proxied=proxied,
                rate=rate,
                journal=journal,
                base_port=base_port,
            )
            _start(cluster, timeout, say)
    before = cluster.status()
    time.sleep(RATE_SAMPLE_S)
    status = cluster.status()
    rates = rates_between(before, status)
    if as_json:
        click.echo(json.dumps(as_document(cluster, status, rates)))
        return
    console = Console(highlight=False)
    console.print(picture(status, rates))
    console.print(_how_to_go_on(cluster), markup=False, soft_wrap=True)


@dataclass(frozen=True)
class _Wanted:
    """The options that the user gave for a cluster. None and False: not given."""

    built: Topology | None
    relay: bool
    backend: str | None
    proxied: bool | None
    rate: float | None
    journal: bool
    base_port: int | None

    def differs_from(self, cluster: Cluster) -> Iterator[str]:
        """Each difference between a cluster and these options, in a few words."""
        run = cluster.run
        if self.built is not None and len(self.built.nodes) != len(run.topology.nodes):
            asked, count = len(self.built.nodes), len(run.topology.nodes)
            yield f"it has {count} nodes, not {asked}"
        if self.relay and not any(node.relay for node in run.topology.nodes):
            yield "its hub is no relay"
        if self.backend not in (None, run.backend):
            yield f"its backend is {run.backend}, not {self.backend}"
        if self.proxied not in (None, run.proxied):
            yield "it has proxies between its nodes" if run.proxied else "it has no proxies"
        rate = float(run.settings["SPOT_RATE"])
        if self.rate not in (None, rate):
            yield f"each of its nodes publishes {rate:g} messages a second, not {self.rate:g}"
        if self.journal and not run.journal:
            yield "its nodes record no journal"
        first = run.topology.nodes[0].name
        address = cluster.addresses.get(first)
        port = urlsplit(address).port if address else None
        # Containers behind proxies have addresses of their own.
        if self.base_port not in (None, port) and (run.backend == "process" or not run.proxied):
            yield f"the port of {first} is {port}, not {self.base_port}"


def _already_up(topology: str) -> Cluster | None:
    for cluster in clusters_up(topology):
        if any(node.state != "exited" for node in cluster.status().nodes.values()):
            return cluster
        cluster.stop()  # its processes have gone, perhaps in a reboot: remove its record too
    return None


def _start(cluster: Cluster, timeout: float | None, say: Console) -> None:
    total = len(cluster.topology.nodes)
    begun = time.monotonic()
    with say.status(f"starting {total} nodes") as spinner:

        def progress(ready: int) -> None:
            spinner.update(f"{ready} of {total} nodes have synchronised and have all their links")

        cluster.start(timeout, progress, spinner.update)
        cluster.detach()
    took = f"{time.monotonic() - begun:.1f} s"
    say.print(f"{total} nodes up and synchronised in {took} ({_kind(cluster.run)})", soft_wrap=True)


def _kind(run: Run) -> str:
    where = {"docker": "containers", "process": "local processes"}[run.backend]
    between = "a proxy between every pair" if run.proxied else "linked directly"
    return f"{where}, {between}"


def _how_to_go_on(cluster: Cluster) -> str:
    name = cluster.topology.name
    first = cluster.topology.nodes[0]
    address = cluster.addresses[first.name]
    spot = _spot_command()
    # A crash needs no proxies.
    fault = f"cut {' '.join(cluster.topology.links[0])}"
    fault = fault if cluster.run.proxied else f"crash {first.name}"
    steps = {
        f"{spot} status --watch": "the same, live",
        f"{spot} logs {name} --follow": "the logs of the nodes",
        f"{spot} subscribe '*:data'": "listen to every node",
        f"{spot} publish {first.topics[0]} hello": "publish a message; the logs show it",
        f"{spot} fault {fault}": "break something; 'spot heal' undoes it",
        f"{spot} down {name}": "end the cluster",
    }
    width = max(map(len, steps))
    lines = [f"  {step:{width}}  {what}" for step, what in steps.items()]
    return "\n".join(
        [
            "Go on with:",
            *lines,
            f'Or join it from Python: Spot(cluster=["{address}"], subscribe=["{first.topics[0]}"])',
        ]
    )


def _spot_command() -> str:
    """How the user can call this command from here. The one that make calls is not on PATH."""
    called = Path(sys.argv[0])
    if called.name != "spot":
        return f"{Path(sys.executable).name} -m spot"
    on_path = shutil.which("spot")
    if on_path and Path(on_path).resolve() == called.resolve():
        return "spot"
    return os.path.relpath(called)

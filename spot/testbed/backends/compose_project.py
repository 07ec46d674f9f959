"""A run as a compose project: its files, its variables, and ``docker compose up``."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network

import docker

from spot.config import Config
from spot.program.settings import JOURNAL_NONE, PROGRAM_VARIABLES
from spot.testbed.backends.backend import RUN_VARIABLE
from spot.testbed.backends.labels import labels_of
from spot.testbed.compose import PROXY_SERVICE, ComposeOptions, file_stem, write_files
from spot.testbed.engine import Images
from spot.testbed.engine_endpoint import EngineEndpoint
from spot.testbed.errors import ContainersNotStarted, PortInUse
from spot.testbed.process_id import end_processes, marked_processes
from spot.testbed.run import Run
from spot.testbed.subnets import NETWORK, Subnets, free_subnets, routed_networks

__all__ = [
    "SubnetRefused",
    "compose_up",
    "container_name",
    "end_compose",
    "project_name",
    "write_project",
]

CONTROL_TARGET = "/run/spot"
FILES_TARGET = "/files"
"""The folder in a container for the run's control sockets, and for its logs and journals."""

OUTPUT_LINES_MAX = 20
END_GRACE_S = 2.0
_STARTED = re.compile(r"Container (\S+)\s+Started")
_KEPT_VARIABLES = ("SPOT_MEMORY", "TOXIPROXY_MEMORY")
_REASONS: dict[re.Pattern[str], str] = {
    re.compile(r"no space left on device", re.IGNORECASE): (
        "the engine's disk is full: 'docker system df' shows what it holds"
    ),
    re.compile(r"pull access denied|No such image|manifest unknown|failed to resolve"): (
        "an image is missing: 'make images' builds them"
    ),
}
_MOUNT_MISSING = re.compile(r"bind source path does not exist: *(?P<path>.+)")
_PORT_TAKEN = re.compile(r"port is already allocated|address already in use")
_SUBNET_TAKEN = re.compile(r"Pool overlaps|overlaps with (?:other|existing)|already in use by net")


class SubnetRefused(ContainersNotStarted):
    """Another network took these addresses meanwhile. Others may be free."""


def project_name(run: Run) -> str:
    """The compose project; names of containers and networks begin with it."""
    return "spot-" + re.sub(r"[^a-z0-9_-]", "-", run.run_id.lower())


def container_name(run: Run, service: str) -> str:
    """The name that compose gives to the container of a node or of the proxy server."""
    return f"{project_name(run)}-{service}-1"


def choose_subnets(run: Run, client: docker.DockerClient) -> Subnets:
    """Subnets that overlap no network of the engine and no route of this machine."""
    taken = routed_networks()
    for network in client.api.networks():
        for config in (network.get("IPAM") or {}).get("Config") or []:
            subnet = str(config.get("Subnet", ""))
            if subnet and ":" not in subnet:
                taken.append(IPv4Network(subnet, strict=False))
    network = os.environ.get("SPOT_NETWORK") or NETWORK
    return free_subnets(len(run.topology.nodes), taken, network)


def write_project(run: Run, images: Images, client: docker.DockerClient) -> list[str]:
    """Writes the compose files into the run's directory. Returns them as options of compose."""
    # Nodes run as this user, who then owns sockets and journals, and without any capability.
    user = f"{os.getuid()}:{os.getgid()}"
    plain = write_files(
        run.topology,
        run.directory,
        ComposeOptions(
            project=project_name(run),
            subnets=choose_subnets(run, client),
            node_image=images.node,
            proxy_image=images.proxy,
            restart="no",  # a node that a test has killed stays dead
            settings=_settings_of_all(run),
            node_settings={name: _settings_of(run, name) for name in run.topology.names},
            labels=labels_of(run),
            user=user,
            mounts={
                CONTROL_TARGET: str(run.control_directory),
                FILES_TARGET: str(run.files),
            },
        ),
    )
    # Health checks would start a Python every second or two; the testbed asks the nodes itself.
    services = [*run.topology.names, *([PROXY_SERVICE] if run.proxied else [])]
    quiet = run.directory / "no-health-checks.yaml"
    lines = [f'  "{service}":\n    healthcheck: {{disable: true}}\n' for service in services]
    quiet.write_text("services:\n" + "".join(lines), encoding="utf-8")
    overlay = [run.directory / f"{file_stem(run.topology)}.proxied.yaml"] if run.proxied else []
    return [text for path in (plain, *overlay, quiet) for text in ("-f", str(path))]


def compose_up(
    run: Run,
    files: Sequence[str],
    ports: Mapping[str, int],
    endpoint: EngineEndpoint,
    timeout: float,
    say: Callable[[str], object],
) -> None:
    """Makes all containers, and starts them but for ``run.late``.

    ``ports``: where services are published on this machine; ``endpoint``: the engine. Raises
    PortInUse, SubnetRefused, ContainersNotStarted with the engine's words.
    """
    services = [name for name in run.topology.names if name not in run.late]
    services += [PROXY_SERVICE] if run.proxied else []
    say(f"starting {len(services)} containers")
    if run.late:
        steps = [[*files, "create"], [*files, "start", *services]]
    else:
        steps = [[*files, "up", "--detach"]]
    for words in steps:
        _compose(run, words, _environment(run, ports, endpoint), timeout, len(services), say)


def _compose(
    run: Run,
    words: Sequence[str],
    environment: Mapping[str, str],
    timeout: float,
    total: int,
    say: Callable[[str], object],
) -> None:
    output: deque[str] = deque(maxlen=OUTPUT_LINES_MAX)
    started: set[str] = set()
    # One that hangs is ended, and so its output.
    watchdog = threading.Timer(timeout, end_compose, [run.run_id])
    watchdog.daemon = True
    process: subprocess.Popen[str] | None = None
    try:
        # Within the try: Ctrl-C may come before there is a process to know of.
        process = subprocess.Popen(  # noqa: S603  the names in it are checked by compose
            ["docker", "compose", "--progress", "plain", *words],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            # Ctrl-C is for us: what this has begun, we sweep.
            start_new_session=True,
        )
        assert process.stdout is not None
        watchdog.start()
        with process.stdout:
            for line in process.stdout:
                output.append(line.strip())
                if match := _STARTED.search(line):
                    started.add(match[1])
                    say(f"{len(started)} of {total} containers started")
        code = process.wait()
    except BaseException:
        end_compose(run.run_id)
        if process is not None:
            process.wait()
        raise
    finally:
        watchdog.cancel()
    if code != 0:
        raise _refusal(run, list(output))


def end_compose(run_id: str) -> bool:
    """Ends a ``docker compose`` of this run that still runs, whichever process started it.

    Returns whether there was one. The engine may go on with what it was asked for last.
    """
    found = marked_processes(RUN_VARIABLE, run_id)
    end_processes(found, END_GRACE_S)
    return bool(found)


def _refusal(run: Run, output: list[str]) -> ContainersNotStarted | PortInUse:
    text = "\n".join(output)
    shown = "\n".join(f"  {line}" for line in output[-5:])
    if _SUBNET_TAKEN.search(text):
        return SubnetRefused(
            f"the engine's networks leave no room for another: set SPOT_NETWORK to two other "
            f"numbers, such as 10.99. It said:\n{shown}"
        )
    if _PORT_TAKEN.search(text):
        return PortInUse(
            "a port that a container should have is in use ('docker ps' and 'ss -ltnp' say by "
            f"whom): choose another base port, or none to take free ones. The engine said:\n{shown}"
        )
    if missing := _MOUNT_MISSING.search(text):
        return ContainersNotStarted(
            f"the engine does not see {missing['path'].strip()}: it is another machine's, or sees "
            "only some folders of this one, as one that runs in a virtual machine or a container. "
            "Name folders that it sees by SPOT_STATE_DIR and for the results, choose this "
            "machine's engine ('docker context use', DOCKER_HOST), or take BACKEND=process. It "
            f"said:\n{shown}"
        )
    for pattern, reason in _REASONS.items():
        if pattern.search(text):
            return ContainersNotStarted(f"{reason}. The engine said:\n{shown}")
    return ContainersNotStarted(
        f"the engine did not start the containers of {run.topology.name} ('spot doctor' says what "
        f"may be missing). It said:\n{shown}"
    )


def _environment(run: Run, ports: Mapping[str, int], endpoint: EngineEndpoint) -> dict[str, str]:
    """This process's environment, without variables that would change the files or the engine."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if name in _KEPT_VARIABLES or not name.startswith(("SPOT_", "TOXIPROXY_", "COMPOSE_"))
    }
    published = {
        "TOXIPROXY_PORT" if name == PROXY_SERVICE else _port_variable(name): str(port)
        for name, port in ports.items()
    }
    return {**endpoint.environment(kept), **published, RUN_VARIABLE: run.run_id}


def _port_variable(node: str) -> str:
    return "SPOT_PORT_" + re.sub(r"\W", "_", node).upper()


def _settings_of_all(run: Run) -> dict[str, str]:
    """``SPOT_*`` variables of this process, as nodes that are processes get them, and the run's."""
    of_a_node = ("NODE_ID", "BIND", "CLUSTER", "TOPICS", "SUBSCRIBE")
    known = [f"SPOT_{item.name.upper()}" for item in dataclasses.fields(Config)]
    passed = {
        name: os.environ[name]
        for name in (*known, *PROGRAM_VARIABLES)
        if name in os.environ and name.removeprefix("SPOT_") not in of_a_node
    }
    return {**passed, **run.settings}


def _settings_of(run: Run, node: str) -> dict[str, str]:
    journal = f"{FILES_TARGET}/{run.journal_file(node).name}" if run.journal else JOURNAL_NONE
    return {
        "SPOT_CONTROL": f"{CONTROL_TARGET}/{run.control_socket(node).name}",
        "SPOT_JOURNAL": journal,
    }

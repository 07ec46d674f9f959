"""``spot doctor``: what of the testbed's needs is there, what is missing, and how to get it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click
from rich.console import Console

from spot.cli.backend import backend_option
from spot.cli.images import image_script
from spot.testbed import ClusterError, ComposeMissing, EngineMissing, Run
from spot.testbed.proxy import ProxyError, Toxiproxy, choose_server, find_toxiproxy
from spot.testbed.run import state_directory

__all__ = ["command"]

EXIT_MISSING = 1


@dataclass(frozen=True)
class Finding:
    """One thing that the testbed needs."""

    name: str
    there: bool
    detail: str
    """What was found, or how to get it."""
    needed_by: tuple[str, ...] = ("docker",)
    """The backends that don't work without it."""


@click.command("doctor", short_help="Say what is there, what is missing, how to get it.")
@backend_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(backend: str | None, as_json: bool) -> None:
    """Look at the container engine, compose, images and proxies that clusters are made with.

    Exits with 1 when something that the backend needs is missing. Unset, that is docker when an
    engine answers, else process, which needs nothing beside this package.
    """
    findings = list(_findings())
    possible = all(one.there for one in findings if "docker" in one.needed_by)
    backend = backend or ("docker" if possible else "process")
    missing = [one.name for one in findings if not one.there and backend in one.needed_by]
    if as_json:
        document = {"backend": backend, "findings": [asdict(one) for one in findings]}
        click.echo(json.dumps(document))
    else:
        _print(findings, backend, missing)
    if missing:
        raise SystemExit(EXIT_MISSING)


def _print(findings: list[Finding], backend: str, missing: list[str]) -> None:
    console = Console(highlight=False)
    for one in findings:
        state = "[green]there  [/]" if one.there else "[red]missing[/]"
        console.print(f"{one.name:<13} {state}  ", end="")
        console.print(one.detail, markup=False, soft_wrap=True)
    where = {"docker": "containers", "process": "local processes"}[backend]
    if missing:
        console.print(f"{where} can't be started: see {', '.join(missing)}")
    else:
        console.print(f"'spot up' takes {where}")


def _findings() -> Iterator[Finding]:
    yield from _engine()
    yield _proxy_of_processes()
    yield _runs()


def _engine() -> Iterator[Finding]:
    from spot.testbed.engine import Images, connect, image_attributes, require_compose
    from spot.testbed.engine_endpoint import EngineEndpoint

    try:
        endpoint = EngineEndpoint.current()
        client = connect(endpoint)
    except EngineMissing as error:
        yield Finding("engine", False, str(error))
        return  # nothing else of it can be looked at
    version = client.version()["Version"]
    yield Finding("engine", True, f"{version} at {endpoint}")
    try:
        yield Finding("compose", True, require_compose())
    except ComposeMissing as error:
        yield Finding("compose", False, str(error))
    images = Images.from_env()
    for name, image in (("node image", images.node), ("proxy image", images.proxy)):
        attributes = image_attributes(client, image)
        if attributes is None:
            how = "'make images' builds it" if image_script() else "'docker pull' it"
            yield Finding(name, False, f"{image}: {how}")
        else:
            size_mb = attributes["Size"] / 1e6
            made = str(attributes["Created"])[:19].replace("T", " ")
            yield Finding(name, True, f"{image}, {size_mb:.0f} MB, of {made}")
    client.close()


def _proxy_of_processes() -> Finding:
    """The embedded proxy is always there, so only a wrong wish can be missing."""
    name, needed_by = "proxy", ("process",)
    try:
        kind = choose_server()
        program = find_toxiproxy()
    except ProxyError as error:
        return Finding(name, False, str(error), needed_by)
    if kind == "running":
        url = os.environ["TOXIPROXY_URL"]
        version = Toxiproxy(url, timeout=2.0).version()
        if version is None:
            how = "start it, or unset TOXIPROXY_URL"
            return Finding(name, False, f"no Toxiproxy answers at {url}: {how}", needed_by)
        return Finding(name, True, f"Toxiproxy {version} at {url}, for processes", needed_by)
    if kind == "toxiproxy":
        return Finding(name, True, f"{program}, for processes", needed_by)
    return Finding(
        name,
        True,
        "the embedded one, for processes; toxiproxy-server on PATH would go before it "
        "(scripts/toxiproxy.sh builds one)",
        needed_by,
    )


def _runs() -> Finding:
    name, needed_by = "runs", ("docker", "process")
    try:
        state = state_directory()
    except ClusterError as error:
        return Finding(name, False, str(error), needed_by)
    runs = Run.all(state)
    up = [run.run_id for run in runs if not run.is_abandoned]
    left = [run.run_id for run in runs if run.is_abandoned]
    words = [f"{len(up)} up ({', '.join(up)})" if up else "none up"]
    if left:
        words.append(f"{len(left)} left by killed runners, which 'spot down' sweeps")
    return Finding(name, True, f"{', '.join(words)}, in {state}", needed_by)

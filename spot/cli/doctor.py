"""``spot doctor``: checks what the testbed needs, and says how to get what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from spot.cli.backend import backend_option
from spot.cli.images import image_script
from spot.testbed.errors import ClusterError, ComposeMissing, EngineMissing
from spot.testbed.run import Run, state_directory

__all__ = ["command"]

EXIT_MISSING = 1


@dataclass(frozen=True)
class Requirement:
    """One thing that the testbed needs."""

    name: str
    there: bool
    detail: str
    """What was found, or how to get it."""
    needed_by: tuple[str, ...] = ("docker",)
    """The backends that don't work without it."""


@click.command("doctor")
@backend_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(backend: str | None, as_json: bool) -> None:
    """Check the container engine, compose, images and proxies that clusters need.

    Exit with 1 if the backend needs something that is missing. The default backend is docker if a
    container engine answers, else process, which needs only this package.
    """
    requirements = list(_requirements())
    possible = all(one.there for one in requirements if "docker" in one.needed_by)
    backend = backend or ("docker" if possible else "process")
    missing = [one.name for one in requirements if not one.there and backend in one.needed_by]
    if as_json:
        document = {"backend": backend, "findings": [asdict(one) for one in requirements]}
        click.echo(json.dumps(document))
    else:
        _print(requirements, backend, missing)
    if missing:
        raise SystemExit(EXIT_MISSING)


def _print(requirements: list[Requirement], backend: str, missing: list[str]) -> None:
    for one in requirements:
        state = click.style("there  ", "green") if one.there else click.style("missing", "red")
        click.echo(f"{one.name:<13} {state}  {one.detail}")
    where = {"docker": "containers", "process": "local processes"}[backend]
    if missing:
        click.echo(f"{where} can't be started: see {', '.join(missing)}")
    else:
        click.echo(f"'spot up' uses {where}")


def _requirements() -> Iterator[Requirement]:
    yield from _engine()
    yield _proxy_of_processes()
    yield _runs()


def _engine() -> Iterator[Requirement]:
    from spot.testbed.engine import Images, connect, image_attributes, require_compose
    from spot.testbed.engine_endpoint import EngineEndpoint

    try:
        endpoint = EngineEndpoint.current()
        client = connect(endpoint)
    except EngineMissing as error:
        yield Requirement("engine", False, str(error))
        return  # the rest can't be checked without an engine
    version = client.version()["Version"]
    yield Requirement("engine", True, f"{version} at {endpoint}")
    try:
        yield Requirement("compose", True, require_compose())
    except ComposeMissing as error:
        yield Requirement("compose", False, str(error))
    images = Images.from_env()
    for name, image in (("node image", images.node), ("proxy image", images.proxy)):
        attributes = image_attributes(client, image)
        if attributes is None:
            how = "'make images' builds it" if image_script() else "'docker pull' it"
            yield Requirement(name, False, f"{image}: {how}")
        else:
            size_mb = attributes["Size"] / 1e6
            made = str(attributes["Created"])[:19].replace("T", " ")
            yield Requirement(name, True, f"{image}, {size_mb:.0f} MB, of {made}")
    client.close()


def _proxy_of_processes() -> Requirement:
    """The embedded proxy is always there. Only a proxy that the user named can be missing."""
    from spot.testbed.proxy import ProxyError, Toxiproxy, choose_server, find_toxiproxy

    name, needed_by = "proxy", ("process",)
    try:
        kind = choose_server()
        program = find_toxiproxy()
    except ProxyError as error:
        return Requirement(name, False, str(error), needed_by)
    if kind == "running":
        url = os.environ["TOXIPROXY_URL"]
        version = Toxiproxy(url, timeout=2.0).version()
        if version is None:
            how = "start it, or unset TOXIPROXY_URL"
            return Requirement(name, False, f"no Toxiproxy answers at {url}: {how}", needed_by)
        return Requirement(name, True, f"Toxiproxy {version} at {url}, for processes", needed_by)
    if kind == "toxiproxy":
        return Requirement(name, True, f"{program}, for processes", needed_by)
    return Requirement(
        name,
        True,
        "the embedded one, for processes; a toxiproxy-server on PATH would be used instead "
        "(scripts/toxiproxy.sh builds one)",
        needed_by,
    )


def _runs() -> Requirement:
    name, needed_by = "runs", ("docker", "process")
    try:
        state = state_directory()
    except ClusterError as error:
        return Requirement(name, False, str(error), needed_by)
    runs = Run.all(state)
    up = [run.run_id for run in runs if not run.is_abandoned]
    left = [run.run_id for run in runs if run.is_abandoned]
    words = [f"{len(up)} up ({', '.join(up)})" if up else "none up"]
    if left:
        words.append(f"{len(left)} left by killed runners; 'spot down' removes them")
    return Requirement(name, True, f"{', '.join(words)}, in {state}", needed_by)

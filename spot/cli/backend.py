"""Where a cluster's nodes shall run: the ``--backend`` option, BACKEND, and the choice if unset."""

from __future__ import annotations

import click
from rich.console import Console

from spot.cli.images import build_missing_images
from spot.testbed import ComposeMissing, EngineMissing, ImageMissing
from spot.testbed.backends import BACKENDS

__all__ = ["backend_option", "choose_backend"]

backend_option = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    envvar="BACKEND",
    show_envvar=True,
    help="Where the nodes run. Unset: docker when an engine answers, else process.",
)


def choose_backend(given: str | None, say: Console) -> str:
    """The backend to take, ready to be used: images that are missing are built.

    ``given`` None: containers if that is possible, and else processes, with a line that says why.
    Raises EngineMissing, ComposeMissing, ImageMissing if containers were asked for.
    """
    if given == "process":
        return "process"
    from spot.testbed.engine import connect, require_compose

    try:
        client = connect()
        require_compose()
        build_missing_images(client, say)
    except (EngineMissing, ComposeMissing, ImageMissing) as error:
        if given:
            raise
        # Where there is no engine, that is all there is to say of it.
        why = "no container engine answers" if type(error) is EngineMissing else str(error)
        say.print(
            f"{why}. Taking local processes (BACKEND=process); 'spot doctor' says more",
            markup=False,
            soft_wrap=True,
        )
        return "process"
    client.close()
    return "docker"

"""Where a cluster's nodes run: the ``--backend`` option, the BACKEND variable, and the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spot.cli.images import build_missing_images
from spot.testbed.backends import BACKENDS
from spot.testbed.errors import ComposeMissing, EngineMissing, ImageMissing

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["backend_option", "choose_backend"]

backend_option = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    envvar="BACKEND",
    show_envvar=True,
    help="Where the nodes run. Default: docker if a container engine answers, else process.",
)


def choose_backend(given: str | None, say: Console) -> str:
    """Chooses a backend, and builds missing images if containers are chosen.

    ``given``: the backend that the user asked for. None: containers if possible, else processes,
    and ``say`` prints why. Raises EngineMissing, ComposeMissing or ImageMissing when the user asked
    for containers and they can't run.
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
        # If there is no engine, this one clause says enough.
        why = "no container engine answers" if type(error) is EngineMissing else str(error)
        say.print(
            f"{why}. Using local processes (BACKEND=process); 'spot doctor' says more",
            markup=False,
            soft_wrap=True,
        )
        return "process"
    client.close()
    return "docker"

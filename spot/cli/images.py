"""Builds the images that containers need. That needs a clone of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import spot
from spot.testbed.errors import ImageMissing

if TYPE_CHECKING:
    import docker
    from rich.console import Console

__all__ = ["build_missing_images", "image_script"]


def image_script() -> Path | None:
    """The script that builds the images. None: SPOT does not run from a clone of its repository."""
    script = Path(spot.__file__).resolve().parent.parent / "scripts" / "images.sh"
    return script if script.is_file() else None


def build_missing_images(client: docker.DockerClient, say: Console) -> None:
    """Builds missing images, and says so by ``say``. Raises ImageMissing when that fails."""
    from spot.testbed.engine import Images, require_images
    from spot.testbed.engine_endpoint import EngineEndpoint

    missing = Images.from_env().missing(client)
    script = image_script()
    named = any(os.environ.get(name) for name in ("SPOT_NODE_IMAGE", "TOXIPROXY_IMAGE"))
    if not missing or named or script is None:
        require_images(client)
        return
    say.print(
        f"building {' and '.join(missing)} first, as 'make images' does. It takes a few minutes, "
        "and is done once",
        soft_wrap=True,
    )
    with (
        say.status("building images"),
        subprocess.Popen(  # noqa: S603  our own script
            [script],
            env={**EngineEndpoint.current().environment(os.environ), "PYTHON": sys.executable},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as building,
    ):
        assert building.stdout is not None
        for line in building.stdout:
            say.print(line.rstrip(), markup=False, soft_wrap=True)
    if building.returncode:
        raise ImageMissing(
            f"{' and '.join(missing)} could not be built, see above: 'make images' tries again, "
            "and BACKEND=process needs no images"
        )

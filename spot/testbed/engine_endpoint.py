"""Finds the container engine once, for both the docker SDK and ``docker compose``.

It looks where the ``docker`` command looks: at ``DOCKER_HOST``, else at the context that
``DOCKER_CONTEXT`` names, else at the context that 'docker context use' has chosen, else at this
machine's socket. The SDK by itself would ignore a context that it can't find, and take this
machine's engine.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spot.testbed.errors import ContextMissing

__all__ = ["EngineEndpoint"]

DEFAULT_HOST = "unix:///var/run/docker.sock"
DEFAULT_CONTEXT = "default"
VARIABLES = ("DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
"""The variables that give an engine's address, and the TLS settings for it."""


@dataclass(frozen=True)
class EngineEndpoint:
    """The address of an engine."""

    variables: Mapping[str, str]
    """The ``VARIABLES`` that lead to it. ``DOCKER_HOST`` is among them."""
    context: str | None = None
    """The Docker context that named it. None: no context did."""

    @classmethod
    def current(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The engine that the environment (default ``os.environ``) and Docker's files name now.

        Raises ContextMissing.
        """
        environ = os.environ if environ is None else environ
        given = {name: environ[name] for name in VARIABLES if environ.get(name)}
        if "DOCKER_HOST" in given:
            return cls(given)
        directory = Path(environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))
        name, named_by = environ.get("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
        if not name:
            name, named_by = _current_context(directory / "config.json")
        if name == DEFAULT_CONTEXT:
            return cls({**given, "DOCKER_HOST": DEFAULT_HOST})
        return cls(_variables_of(directory / "contexts", name, named_by), name)

    @property
    def host(self) -> str:
        """Its address, such as ``unix:///var/run/docker.sock``."""
        return self.variables["DOCKER_HOST"]

    def __str__(self) -> str:
        return f"{self.host} (context {self.context})" if self.context else self.host

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ``, changed so that a program uses this engine and no other."""
        kept = {
            name: text
            for name, text in environ.items()
            if name not in VARIABLES and name != "DOCKER_CONTEXT"
        }
        return {**kept, **self.variables}


def _current_context(config: Path) -> tuple[str, str]:
    """The name of the current context, and the file that says so."""
    try:
        name = json.loads(config.read_text(encoding="utf-8")).get("currentContext")
    except (OSError, ValueError, AttributeError):
        name = None  # as the docker command does
    return (name if isinstance(name, str) and name else DEFAULT_CONTEXT), str(config)


def _variables_of(contexts: Path, name: str, named_by: str) -> dict[str, str]:
    place = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    path = contexts / "meta" / place / "meta.json"
    try:
        endpoint: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["Endpoints"][
            "docker"
        ]
        host = endpoint.get("Host") or DEFAULT_HOST
        unverified = bool(endpoint.get("SkipTLSVerify"))
    except FileNotFoundError:
        raise ContextMissing(
            f"there is no Docker context {name!r}, which {named_by} names: 'docker context ls' "
            "lists those that there are, 'docker context use' chooses one; or take BACKEND=process"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContextMissing(
            f"the Docker context {name!r}, which {named_by} names, can't be read ({path}: "
            f"{error!r}): choose another by 'docker context use', or take BACKEND=process"
        ) from error
    keys = contexts / "tls" / place / "docker"
    if not keys.is_dir():
        return {"DOCKER_HOST": host}
    how = {"DOCKER_TLS": "1"} if unverified else {"DOCKER_TLS_VERIFY": "1"}
    return {"DOCKER_HOST": host, "DOCKER_CERT_PATH": str(keys), **how}

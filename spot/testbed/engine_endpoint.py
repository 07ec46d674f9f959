"""Finds the container engine once, so that the docker SDK and ``docker compose`` use the same one.

It is found as by the ``docker`` command: ``DOCKER_HOST``, else the context that ``DOCKER_CONTEXT``
names, else the one that 'docker context use' has chosen, else this machine's socket. The SDK alone
passes over a context that it can't find, and takes this machine's engine.
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
"""The variables that say where an engine is, and how to speak to it."""


@dataclass(frozen=True)
class EngineEndpoint:
    """Where an engine is."""

    variables: Mapping[str, str]
    """Those of ``VARIABLES`` that lead to it; ``DOCKER_HOST`` is among them."""
    context: str | None = None
    """The Docker context that named it. None: none did."""

    @classmethod
    def current(cls, environ: Mapping[str, str] | None = None) -> Self:
        """What the environment (default ``os.environ``) and Docker's files say now.

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
        """Such as ``unix:///var/run/docker.sock``."""
        return self.variables["DOCKER_HOST"]

    def __str__(self) -> str:
        return f"{self.host} (context {self.context})" if self.context else self.host

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` for a program that is to speak to this engine and no other."""
        kept = {
            name: text
            for name, text in environ.items()
            if name not in VARIABLES and name != "DOCKER_CONTEXT"
        }
        return {**kept, **self.variables}


def _current_context(config: Path) -> tuple[str, str]:
    """Its name, and what says so."""
    try:
        name = json.loads(config.read_text(encoding="utf-8")).get("currentContext")
    except (OSError, ValueError, AttributeError):
        name = None  # as the docker command has it
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

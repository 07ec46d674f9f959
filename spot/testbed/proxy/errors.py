"""The errors between the testbed and a proxy server.

Where toxiproxy-python has such an error, it can be caught by that name too.
"""

from __future__ import annotations

from toxiproxy.exceptions import (  # type: ignore[import-untyped]
    InvalidToxic,
    NotFound,
    ProxyExists,
)

from spot.testbed.errors import ClusterError

__all__ = [
    "ProxyCallInvalid",
    "ProxyConflict",
    "ProxyError",
    "ProxyNotFound",
    "ProxyNotStarted",
    "ProxyRefused",
    "ProxyTimeout",
    "ProxyUnreachable",
    "refusal",
]


class ProxyError(ClusterError):
    """The root of the errors of a proxy server."""


class ProxyNotStarted(ProxyError):
    """A proxy server did not come up. The text has the end of its log."""


class ProxyUnreachable(ProxyError, ConnectionError):
    """Nothing answers at the address of the proxy server, or not as a proxy server would."""


class ProxyTimeout(ProxyUnreachable, TimeoutError):
    """The proxy server accepted a call and did not answer in time: restart it."""


class ProxyRefused(ProxyError):
    """The proxy server answered with an error: ``status`` of HTTP, ``reason`` in its words."""

    def __init__(self, text: str, *, status: int, reason: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason


class ProxyNotFound(ProxyRefused, NotFound):  # type: ignore[misc]
    """No proxy or toxic has this name (404)."""


class ProxyConflict(ProxyRefused, ProxyExists):  # type: ignore[misc]
    """A proxy or toxic of this name exists already (409)."""


class ProxyCallInvalid(ProxyRefused, InvalidToxic):  # type: ignore[misc]
    """The call is wrong: an unknown toxic, a missing field (400)."""


_BY_STATUS = {400: ProxyCallInvalid, 404: ProxyNotFound, 409: ProxyConflict}


def refusal(text: str, status: int, reason: str) -> ProxyRefused:
    """The error for an answer of this status."""
    return _BY_STATUS.get(status, ProxyRefused)(text, status=status, reason=reason)

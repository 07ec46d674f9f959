"""toxiproxy-python, improved for several servers, slow servers, and servers that fail.

``Toxiproxy`` and ``Proxy`` can replace those of toxiproxy-python 0.1.1, and differ from them so:
each instance has its own address (there, the whole process has one), every call has a timeout
(there, none), every error answer raises (there, a 500 counts as success), names are quoted, and the
address that a proxy listens on is kept up to date.

They work with Toxiproxy and with the embedded proxy. Safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self
from urllib.parse import quote, urlsplit

import requests
import toxiproxy  # type: ignore[import-untyped]
from toxiproxy.api import APIConsumer  # type: ignore[import-untyped]
from toxiproxy.toxic import Toxic  # type: ignore[import-untyped]

from spot.testbed.proxy.errors import (
    ProxyError,
    ProxyNotFound,
    ProxyTimeout,
    ProxyUnreachable,
    refusal,
)

__all__ = ["Proxy", "ProxyApi", "Toxic", "Toxiproxy"]

TIMEOUT_S = 5.0
DEFAULT_PORT = 8474


class ProxyApi(APIConsumer):  # type: ignore[misc]
    """The HTTP calls of one client. ``timeout``: seconds that each call may take."""

    def __init__(self, url: str, timeout: float = TIMEOUT_S) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port:
            raise ProxyError(
                f"{url!r} is no address of a Toxiproxy: it should look like http://127.0.0.1:8474"
            )
        self.host = parts.hostname
        self.port = port
        self.timeout = timeout

    @property
    def url(self) -> str:
        """The address of the server's HTTP API."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    # In toxiproxy-python these are class methods, as the address is the class's.

    def get(self, url: str, params: Mapping[str, str] | None = None) -> requests.Response:
        """GET. Raises ProxyError, as all of these calls do."""
        return self.call("GET", url, params=params)

    def delete(self, url: str) -> requests.Response:
        """DELETE."""
        return self.call("DELETE", url)

    def post(self, url: str, data: Any = None, json: Any = None) -> requests.Response:
        """POST."""
        return self.call("POST", url, data=data, json=json)

    def call(self, method: str, url: str, **request: Any) -> requests.Response:
        """One call. Raises ProxyUnreachable, ProxyTimeout, or a ProxyRefused with the reason."""
        try:
            # Each call has a session: threads share nothing, and no connection outlives a server
            # that was restarted. It ignores HTTP proxies of the environment.
            with requests.Session() as session:
                session.trust_env = False
                response = session.request(method, self.url + url, timeout=self.timeout, **request)
        except requests.Timeout as error:
            raise ProxyTimeout(
                f"the proxy server at {self.url} did not answer {method} {url} within "
                f"{self.timeout:g} s: restart it, as Toxiproxy can lock up for good when a toxic "
                "is removed (Shopify/toxiproxy#558)"
            ) from error
        except requests.RequestException as error:
            raise ProxyUnreachable(
                f"no proxy server answers at {self.url} ({method} {url}): is it running?"
            ) from error
        if response.status_code >= 400:
            reason = _reason(response)
            raise refusal(
                f"the proxy server at {self.url} refused {method} {url}: "
                f"{reason} ({response.status_code})",
                response.status_code,
                reason,
            )
        return response


class Proxy(toxiproxy.Proxy):  # type: ignore[misc]
    """One proxy of a server: ``name``, ``listen``, ``upstream`` and ``enabled``, as last seen.

    ``with proxy.down():`` disables it meanwhile. Every call raises ProxyError.
    """

    name: str
    listen: str
    upstream: str
    enabled: bool

    def __init__(self, api: ProxyApi, **values: Any) -> None:
        super().__init__(**values)
        self._api = api

    @property
    def _path(self) -> str:
        return f"/proxies/{quote(self.name, safe='')}"

    def toxics(self) -> dict[str, Toxic]:
        """Its toxics by name."""
        found = self._api.get(f"{self._path}/toxics").json()
        return {values["name"]: Toxic(**values) for values in found}

    def add_toxic(
        self,
        type: str,  # noqa: A002  toxiproxy-python's name for it
        *,
        stream: str = "downstream",
        name: str | None = None,
        toxicity: float = 1.0,
        attributes: Mapping[str, int] | None = None,
    ) -> Toxic:
        """Adds a toxic behind the others. Open connections get it too.

        ``stream``: ``upstream`` is from the client to the upstream, ``downstream`` back.
        ``name``: None is ``<type>_<stream>``. ``toxicity``: the share of connections, from 0 to 1.
        ``attributes``: in ms (slicer's ``delay`` in us), kB/s, bytes; what is missing is 0.
        """
        given = {
            "name": name or f"{type}_{stream}",
            "type": type,
            "stream": stream,
            "toxicity": toxicity,
            "attributes": dict(attributes or {}),
        }
        return Toxic(**self._api.post(f"{self._path}/toxics", json=given).json())

    def update_toxic(
        self,
        name: str,
        *,
        attributes: Mapping[str, int] | None = None,
        toxicity: float | None = None,
    ) -> Toxic:
        """Changes a toxic, also for open connections. None: keeps the value."""
        changes: dict[str, Any] = {"attributes": dict(attributes or {})}
        if toxicity is not None:
            changes["toxicity"] = toxicity
        return Toxic(**self._api.post(self._toxic_path(name), json=changes).json())

    def destroy_toxic(self, toxic_name: str) -> bool:
        """Removes a toxic. Raises ProxyNotFound when there is none of this name."""
        return bool(self._api.delete(self._toxic_path(toxic_name)))

    def destroy_toxics(self) -> None:
        """Removes all its toxics."""
        for name in self.toxics():
            self.destroy_toxic(name)

    def destroy(self) -> bool:
        """Deletes the proxy, and closes its connections."""
        return bool(self._api.delete(self._path))

    def disable(self) -> None:
        """Closes every connection at once, and refuses new ones."""
        self._update(enabled=False)

    def enable(self) -> None:
        """Listens again, at the same address."""
        self._update(enabled=True)

    def set_upstream(self, upstream: str) -> None:
        """Sets another upstream (``host:port``), and closes the connections to the old one."""
        self._update(upstream=upstream)

    def refresh(self) -> Self:
        """Asks the server for its present state."""
        return self._take(self._api.get(self._path).json())

    def _update(self, **changes: Any) -> Self:
        return self._take(self._api.post(self._path, json=changes).json())

    def _take(self, values: Mapping[str, Any]) -> Self:
        self.listen, self.upstream = values["listen"], values["upstream"]
        self.enabled = values["enabled"]
        return self

    def _toxic_path(self, name: str) -> str:
        return f"{self._path}/toxics/{quote(name, safe='')}"


class Toxiproxy(toxiproxy.Toxiproxy):  # type: ignore[misc]
    """A proxy server at ``url`` (``http://127.0.0.1:8474``). ``timeout``: seconds for each call.

    Every call raises ProxyError.
    """

    def __init__(self, url: str = "http://127.0.0.1:8474", *, timeout: float = TIMEOUT_S) -> None:
        self._api = ProxyApi(url, timeout)

    @property
    def url(self) -> str:
        """The address of the server's HTTP API."""
        return self._api.url

    def update_api_consumer(self, host: str, port: int) -> None:
        """Changes the address of this object. Proxies that it returned keep the old one."""
        self._api = ProxyApi(f"http://{host}:{port}", self._api.timeout)

    def running(self) -> bool:
        """Whether a Toxiproxy answers there."""
        return self.version() is not None

    def version(self) -> str | None:
        """The version that the server says it has. None: no Toxiproxy answers there."""
        try:
            version: str = self._api.get("/version").json()["version"]
        except (ProxyError, ValueError, KeyError, TypeError):
            return None
        return version

    def proxies(self) -> dict[str, Proxy]:
        """All proxies by name."""
        found = self._api.get("/proxies").json()
        return {name: self._proxy(values) for name, values in found.items()}

    def get_proxy(self, proxy_name: str) -> Proxy | None:
        """The proxy of this name. None: there is none."""
        try:
            return self._proxy(self._api.get(f"/proxies/{quote(proxy_name, safe='')}").json())
        except ProxyNotFound:
            return None

    def create(
        self, upstream: str, name: str, listen: str | None = None, enabled: bool | None = None
    ) -> Proxy:
        """Makes a proxy. ``listen`` None: a free port of 127.0.0.1; ``enabled`` None: it listens.

        Raises ProxyConflict when there is one of this name, ProxyError for a name with a slash.
        """
        given = {
            "name": _reachable(name),
            "upstream": upstream,
            "listen": listen or "127.0.0.1:0",
            "enabled": enabled is not False,
        }
        return self._proxy(self._api.post("/proxies", json=given).json())

    def populate(self, proxies: Iterable[Mapping[str, Any]]) -> list[Proxy]:
        """Makes many proxies in one call: ``name``, ``upstream``, ``listen``, ``enabled`` each.

        An existing proxy with the same addresses stays; one with other addresses is replaced. If
        one fails, those before it stay.
        """
        given = [{"listen": "127.0.0.1:0", **proxy} for proxy in proxies]
        for proxy in given:
            _reachable(proxy["name"])
        made = self._api.post("/populate", json=given).json()["proxies"] or []
        return [self._proxy(values) for values in made]

    def destroy(self, proxy: Proxy) -> bool:
        """Deletes a proxy, and closes its connections."""
        return proxy.destroy()

    def destroy_all(self) -> None:
        """Deletes every proxy of the server, whichever process made it."""
        for proxy in self.proxies().values():
            proxy.destroy()

    def reset(self) -> bool:
        """Enables every proxy of the server and removes every toxic, of all processes."""
        return bool(self._api.post("/reset"))

    def _proxy(self, values: Mapping[str, Any]) -> Proxy:
        return Proxy(self._api, **values)


def _reachable(name: str) -> str:
    if "/" in name or name in (".", ".."):
        raise ProxyError(f"{name!r} can't name a proxy: no call could reach it any more")
    return name


def _reason(response: requests.Response) -> str:
    """The error text of the server, or the beginning of its answer."""
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:200] or response.reason

"""Toxiproxy's HTTP API: what each call does, and what it answers when it can't."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Any
from urllib.parse import unquote

from spot.testbed.proxy.embedded.address import ListenError
from spot.testbed.proxy.embedded.body import BadBody, Fields, kind_of, parse_body
from spot.testbed.proxy.embedded.collection import Proxies, ProxySpec
from spot.testbed.proxy.embedded.http import Request, Response
from spot.testbed.proxy.embedded.proxy import EmbeddedProxy
from spot.testbed.proxy.embedded.stage import PlacedToxic
from spot.testbed.proxy.embedded.toxics import TOXICS, Toxic

__all__ = ["API_VERSION", "Api"]

API_VERSION = "2.12.0"
"""The version of Toxiproxy whose API and behaviour this is."""

Call = Callable[[Request, list[str]], Awaitable[Response]]

_PLAIN = "text/plain; charset=utf-8"
_NO_SNIFF = {"X-Content-Type-Options": "nosniff"}
_POPULATED = 'struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'


class ApiError(Exception):
    """An error answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"error": self.text, "status": self.status}


class Api:
    """Answers requests about ``proxies``. Calls take turns."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._turn = asyncio.Lock()
        # By the path, with what varies left out, and the method.
        self._calls: dict[str, dict[str, Call]] = {
            "version": {"GET": self._version},
            "reset": {"POST": self._reset},
            "populate": {"POST": self._populate},
            "proxies": {"GET": self._list, "POST": self._create},
            "proxies/*": {
                "GET": self._show,
                "POST": self._update,
                "PATCH": self._update,
                "DELETE": self._delete,
            },
            "proxies/*/toxics": {"GET": self._list_toxics, "POST": self._add_toxic},
            "proxies/*/toxics/*": {
                "GET": self._show_toxic,
                "POST": self._update_toxic,
                "PATCH": self._update_toxic,
                "DELETE": self._delete_toxic,
            },
        }

    async def answer(self, request: Request) -> Response:
        """The response to a request, whatever it is."""
        path = unquote(request.target.partition("?")[0]).removeprefix("/").split("/")
        names = path[1::2]
        shape = "/".join("*" if place % 2 else part for place, part in enumerate(path))
        calls = self._calls.get(shape)
        if calls is None or not all(names):
            return Response(404, b"404 page not found\n", _PLAIN, _NO_SNIFF)
        if request.method not in calls:
            return Response(405)
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            # A page in a browser must not control a proxy without the user's knowledge.
            return Response(403, b"User agent not allowed\n", _PLAIN, _NO_SNIFF)
        async with self._turn:
            try:
                return await calls[request.method](request, names)
            except (ApiError, BadBody, ListenError) as error:
                shown = _as_api_error(error)
                return Response(shown.status, _json(shown.to_json()) + b"\n", _PLAIN, _NO_SNIFF)

    async def _version(self, request: Request, names: list[str]) -> Response:
        body = json.dumps({"version": API_VERSION}).encode() + b"\n"
        return Response(200, body, "application/json;charset=utf-8")

    async def _reset(self, request: Request, names: list[str]) -> Response:
        await self._proxies.reset()
        return Response(204)

    async def _list(self, request: Request, names: list[str]) -> Response:
        return _ok({proxy.name: proxy.to_json() for proxy in self._proxies.all()})

    async def _create(self, request: Request, names: list[str]) -> Response:
        spec = _proxy_spec(Fields(parse_body(request.body), "toxiproxy.Proxy", "Proxy"))
        for field, value in (("name", spec.name), ("upstream", spec.upstream)):
            if not value:
                raise ApiError(400, f"missing required field: {field}")
        if self._proxies.find(spec.name) is not None:
            raise ApiError(409, "proxy already exists")
        proxy = await self._proxies.add(spec)
        return Response(201, _json(proxy.to_json()))

    async def _populate(self, request: Request, names: list[str]) -> Response:
        done: list[EmbeddedProxy] = []
        problem: ApiError | None = None
        try:
            for spec in _proxy_specs(parse_body(request.body)):
                # Not a comprehension: those made before an error are part of the answer.
                done.append(await self._proxies.add_or_keep(spec))  # noqa: PERF401
        except (ApiError, BadBody, ListenError) as error:
            problem = _as_api_error(error)
        document = problem.to_json() if problem else {}
        document["proxies"] = [proxy.to_json() for proxy in done] or None
        return Response(problem.status if problem else 201, _json(document))

    async def _show(self, request: Request, names: list[str]) -> Response:
        return _ok(self._proxy(names).to_json())

    async def _update(self, request: Request, names: list[str]) -> Response:
        proxy = self._proxy(names)
        fields = Fields(parse_body(request.body), "toxiproxy.Proxy", "Proxy")
        await proxy.update(
            fields.text("listen", proxy.listen),
            fields.text("upstream", proxy.upstream),
            fields.flag("enabled", proxy.enabled),
        )
        return _ok(proxy.to_json())

    async def _delete(self, request: Request, names: list[str]) -> Response:
        await self._proxies.remove(self._proxy(names))
        return Response(204)

    async def _list_toxics(self, request: Request, names: list[str]) -> Response:
        return _ok(self._proxy(names).toxics_json())

    async def _add_toxic(self, request: Request, names: list[str]) -> Response:
        proxy = self._proxy(names)
        given = Fields(parse_body(request.body), "toxics.ToxicWrapper", "ToxicWrapper")
        given.inner("attributes", "toxics.NoopToxic", "ToxicWrapper")
        stream = given.text("stream", "downstream")
        kind = given.text("type", "")
        toxicity = given.float32("toxicity", 1.0)
        name = given.text("name", "") or f"{kind}_{stream}"
        if stream.lower() not in ("upstream", "downstream"):
            raise ApiError(400, "stream was invalid, can be either upstream or downstream")
        if kind not in TOXICS:
            raise ApiError(400, "invalid toxic type")
        if proxy.find_toxic(name) is not None:
            raise ApiError(409, "toxic already exists")
        placed = PlacedToxic(name, kind, stream, toxicity, _attributes(given, TOXICS[kind]()))
        proxy.add_toxic(placed)
        return _ok(placed.to_json())

    async def _show_toxic(self, request: Request, names: list[str]) -> Response:
        _proxy, placed = self._toxic(names)
        return _ok(placed.to_json())

    async def _update_toxic(self, request: Request, names: list[str]) -> Response:
        proxy, placed = self._toxic(names)
        given = Fields(parse_body(request.body), "struct", "")
        toxicity = given.float32("toxicity", placed.toxicity)
        placed.toxic, placed.toxicity = _attributes(given, placed.toxic), toxicity
        proxy.toxic_changed(placed)
        return _ok(placed.to_json())

    async def _delete_toxic(self, request: Request, names: list[str]) -> Response:
        proxy, placed = self._toxic(names)
        proxy.remove_toxic(placed)
        return Response(204)

    def _proxy(self, names: list[str]) -> EmbeddedProxy:
        proxy = self._proxies.find(names[0])
        if proxy is None:
            raise ApiError(404, "proxy not found")
        return proxy

    def _toxic(self, names: list[str]) -> tuple[EmbeddedProxy, PlacedToxic]:
        proxy = self._proxy(names)
        placed = proxy.find_toxic(names[1])
        if placed is None:
            raise ApiError(404, "toxic not found")
        return proxy, placed


def _proxy_spec(given: Fields, enabled: Fields | None = None) -> ProxySpec:
    return ProxySpec(
        given.text("name", ""),
        given.text("listen", ""),
        given.text("upstream", ""),
        (enabled or given).flag("enabled", True),
    )


def _proxy_specs(given: Any) -> list[ProxySpec]:
    if given is None:
        return []
    if not isinstance(given, list):
        into = f"Go value of type []{_POPULATED}"
        raise BadBody(f"json: cannot unmarshal {kind_of(given)} into {into}")
    specs = [
        # In Go, enabled stands in another struct than the rest here, and messages show it.
        _proxy_spec(Fields(value, _POPULATED, ".Proxy"), Fields(value, _POPULATED, ""))
        for value in given
    ]
    for number, spec in enumerate(specs, 1):
        for field, value in (("name", spec.name), ("upstream", spec.upstream)):
            if not value:
                raise ApiError(400, f"missing required field: {field} at proxy {number}")
    return specs


def _attributes(given: Fields, toxic: Toxic) -> Toxic:
    """The toxic with the values of ``attributes``. Values that these don't name stay."""
    inner = given.inner("attributes", f"toxics.{toxic.go_name}", toxic.go_name)
    changes = {
        field.name: inner.integer(field.name, getattr(toxic, field.name), toxic.go_integer)
        for field in fields(toxic)
    }
    return replace(toxic, **changes)


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BadBody):
        return ApiError(400, f"bad request body: {error}")
    return ApiError(500, str(error))


def _ok(document: Any) -> Response:
    return Response(200, _json(document))


def _json(document: Any) -> bytes:
    """As Go writes it: compact, and safe inside HTML."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()

"""All proxies of a server, by name."""

from __future__ import annotations

from spot.testbed.proxy.embedded.connection import ReadBuffer
from spot.testbed.proxy.embedded.proxy import EmbeddedProxy

__all__ = ["Proxies", "ProxySpec"]


class ProxySpec:
    """The proxy that a call of ``populate`` or ``create`` asks for."""

    def __init__(self, name: str, listen: str, upstream: str, enabled: bool) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = enabled


class Proxies:
    """Names are unique. Nothing here checks what it is given: the API does."""

    def __init__(self) -> None:
        self._proxies: dict[str, EmbeddedProxy] = {}
        self._buffer = ReadBuffer()

    def all(self) -> list[EmbeddedProxy]:
        """Every proxy, by name."""
        return [self._proxies[name] for name in sorted(self._proxies)]

    def find(self, name: str) -> EmbeddedProxy | None:
        """The proxy of this name. None: there is none."""
        return self._proxies.get(name)

    async def add(self, spec: ProxySpec) -> EmbeddedProxy:
        """Makes a proxy, or replaces the one of this name. Raises ListenError, and adds nothing."""
        proxy = EmbeddedProxy(spec.name, spec.listen, spec.upstream, self._buffer)
        if spec.enabled:
            await proxy.start()
        self._proxies[spec.name] = proxy
        return proxy

    async def add_or_keep(self, spec: ProxySpec) -> EmbeddedProxy:
        """Keeps the one of this name if its addresses are the same. Raises ListenError."""
        existing = self._proxies.get(spec.name)
        if existing is not None:
            if not await existing.differs(spec.listen, spec.upstream):
                return existing
            await existing.stop()
        return await self.add(spec)

    async def remove(self, proxy: EmbeddedProxy) -> None:
        """Ends it and forgets it."""
        await proxy.stop()
        self._proxies.pop(proxy.name, None)

    async def reset(self) -> None:
        """All proxies listen, without toxics. Raises ListenError at the first that can't."""
        for proxy in self.all():
            await proxy.reset()

    async def close(self) -> None:
        """Ends all of them."""
        for proxy in self.all():
            await self.remove(proxy)

"""Topics are announced on other links than before: this updates all that depends on it."""

from __future__ import annotations

from spot.core.data.remote_publishing import RemotePublishing
from spot.core.relay.following import Follow
from spot.core.relay.relay import Relay
from spot.core.topics.announced import Announced, Path
from spot.core.topics.paths import Paths


class Reroute:
    """Renews what depends on announcements and paths."""

    def __init__(
        self, paths: Paths, relay: Relay, follow: Follow, remote: RemotePublishing
    ) -> None:
        self._paths = paths
        self._relay = relay
        self._follow = follow
        self._remote = remote

    def topic(self, name: str, node: str) -> None:
        """The announcements of a host's topic have changed."""
        self._relay.renew_topic(name, node)
        self._follow.renew_all(name, node)
        self._remote.steer(node)

    def end_path(self, announced: Announced, path: Path) -> None:
        """A path to a node is lost. Publishes that used it take another, if there is one."""
        announced.paths.pop(path.node, None)
        self._paths.remove(path)
        self._remote.steer(path.node)

    def publishes(self, node: str, *, again: Path | None = None) -> None:
        """Publishes to a host may take another path. Something may be lost on the path
        ``again``."""
        self._remote.steer(node, again=again)

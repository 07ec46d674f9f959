"""How each node can be reached: the links that lead there, and the best of them."""

from __future__ import annotations

from spot.core.link import Link
from spot.core.topics.announced import Path
from spot.core.wire.greeting import Incarnation


class Paths:
    """The paths to each node, by the link that leads there."""

    __slots__ = ("by_node",)

    def __init__(self) -> None:
        self.by_node: dict[str, dict[Link, Path]] = {}

    def __contains__(self, node: object) -> bool:
        """Whether there is a path to a node."""
        return node in self.by_node

    def to(self, node: str) -> list[Path]:
        """All paths to a node."""
        return list(self.by_node.get(node, {}).values())

    def add(self, path: Path) -> None:
        self.by_node.setdefault(path.node, {})[path.link] = path

    def remove(self, path: Path) -> None:
        paths = self.by_node.get(path.node, {})
        if paths.get(path.link) is path:
            del paths[path.link]
            if not paths:
                del self.by_node[path.node]

    def best(
        self, node: str, now: Path | None = None, incarnation: Incarnation | None = None
    ) -> Path | None:
        """The best path to a node, or to one incarnation of it.

        The link to the node itself comes first, then the incarnation that began last, then the
        fewest relays, then ``now``. Only paths count on which all topics have been announced.
        """
        return min(
            (
                path
                for path in self.by_node.get(node, {}).values()
                if path.is_complete and incarnation in (None, path.incarnation)
            ),
            key=lambda path: (
                path.hops > 0,
                -path.incarnation.started,
                path.hops,
                path is not now,
                path.relays,
            ),
            default=None,
        )

    def direct_links(self) -> list[Link]:
        """All links that are up."""
        return [
            path.link
            for paths in self.by_node.values()
            for path in paths.values()
            if not path.relays
        ]

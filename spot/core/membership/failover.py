"""The results of nodes and topics that come and go: the view, quorum, conflicts, failover.

A *route* names the hosts of a topic in order. The current host is kept while it has a link. When
its link is lost, the next host in the order that has a link and the topic takes over. After the
last host comes the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from spot.core.context import NodeContext
from spot.core.data.local_subscriptions import LocalSubscriptions
from spot.core.link import Link
from spot.core.membership.dials import Dials
from spot.core.membership.links import GONE_REPLACED, Links
from spot.core.membership.view import ViewKeeper, changed_conflicts
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.core.wire import codec
from spot.message import Event

QUORUM_LOST = "quorum lost"


class Route:
    """The hosts of a routed topic, as endpoints or node ids, and which of them is current."""

    __slots__ = ("at", "endpoints")

    def __init__(self, endpoints: Sequence[str], at: int) -> None:
        self.endpoints = tuple(endpoints)
        self.at = at


class Failover:
    """Keeps the view, and the host of each routed topic.

    ``minorities`` are nodes that refuse publishes because they have no quorum.
    """

    def __init__(
        self,
        context: NodeContext,
        links: Links,
        dials: Dials,
        registry: Registry,
        paths: Paths,
        local: LocalSubscriptions,
    ) -> None:
        self._context = context
        self._links = links
        self._dials = dials
        self._registry = registry
        self._paths = paths
        self._local = local
        config = context.config
        self.views = ViewKeeper(context.node, config.members, config.stable_after, context.now)
        context.refusing = config.require_quorum and not self.views.view.quorum
        self.minorities: set[str] = set()
        self._reached: set[str] = set()
        self._routes: dict[str, Route] = {}

    # Nodes

    def path_found(self, node: str, now: float) -> None:
        """There is a path to a node."""
        if node not in self._reached:
            self._reached.add(node)
            self.views.up(node, now)
        self.review(now)

    def path_lost(self, node: str, why: str, now: float) -> set[str]:
        """A path to a node was lost. Returns the topics that another host of their route has taken
        over.
        """
        self._local.hosts_changed(self._registry.standbys)
        if self._context.leaving or node in self._paths:
            return set()
        self._reached.discard(node)
        self.views.down(node)
        for name in self.views.conflicts_of(node):
            self._judge(name, now)
        moved: set[str] = set()
        if why != GONE_REPLACED:
            # Otherwise there is a new link to the same host already.
            current = self._registry.routes
            routed = [name for name in self._routes if current[name] == node]
            moved = self._follow_routes(routed, f"node {node} was lost: {why}", now)
        self.review(now)
        return moved

    def hosts_changed(self, names: Sequence[str], now: float) -> None:
        """Peers host other topics than before."""
        registry = self._registry
        for name in names:
            several = len(registry.remote.get(name, ())) + (name in registry.local) > 1
            if several or name in self.views.view.conflicts:
                self._judge(name, now)
        self._local.hosts_changed(names)
        self._follow_routes(names, "it can be reached", now)
        self._context.effects.rerouted = True
        self.review(now)

    # Conflicts

    def _judge(self, name: str, now: float) -> None:
        """Two hosts of a topic are a conflict, unless one of them is a standby."""
        registry = self._registry
        hosts = [host for host in registry.remote.get(name, {}).values() if not host.standby]
        up = [host.node for host in hosts if host.link is not None]
        local = registry.local.get(name)
        if local is not None and not local.standby:
            up.append(self._context.node)
        self.views.hosted(name, up, [host.node for host in hosts], now)

    # Routes

    def route(self, name: str, endpoints: Sequence[str], at: int, node: str, now: float) -> None:
        """Routes a topic to ``node``, behind the endpoint number ``at``. The others stand by."""
        registry = self._registry
        self._routes.pop(name, None)
        if len(endpoints) > 1:
            self._routes[name] = Route(endpoints, at)
        if registry.routes.get(name) != node:
            self._take_route(name, node)
            self._tell_route(node, endpoints[at], [name], "chosen by a call", now)
        self._context.effects.rerouted = True

    def node_of(self, endpoint: str) -> str | None:
        """The node behind an endpoint, or of that id. None while no node has ever answered
        there."""
        dial = self._dials.by_endpoint.get(endpoint)
        return endpoint if dial is None else dial.node

    def _take_route(self, name: str, node: str) -> None:
        registry = self._registry
        registry.routes[name] = node
        registry.choose(name)

    def _follow_routes(self, names: Sequence[str], why: str, now: float) -> set[str]:
        registry = self._registry
        moved: dict[tuple[str, str], list[str]] = {}
        for name in names:
            route = self._routes.get(name)
            if route is None or registry.routes[name] in self._paths:
                continue
            hosts = registry.remote.get(name, {})
            count = len(route.endpoints)
            for at in (step % count for step in range(route.at + 1, route.at + 1 + count)):
                endpoint = route.endpoints[at]
                host = hosts.get(self.node_of(endpoint) or "")
                if host is not None and host.link is not None:
                    route.at = at
                    self._take_route(name, host.node)
                    moved.setdefault((host.node, endpoint), []).append(name)
                    break
        for (node, endpoint), topics in moved.items():
            self._tell_route(node, endpoint, topics, why, now)
        if moved:
            self._context.effects.rerouted = True
        return {name for topics in moved.values() for name in topics}

    def _tell_route(
        self, node: str, endpoint: str, topics: Sequence[str], why: str, now: float
    ) -> None:
        event = Event("route", now, node=node, endpoint=endpoint, topics=tuple(topics), reason=why)
        self._context.effects.events.append(event)

    # The view

    def review(self, now: float) -> None:
        """Tells of a new view, if there is one, and acts on a change of the quorum.

        A node that leaves keeps the view that it had, because it ends the links itself then.
        """
        if self._context.leaving:
            return
        renewed = self.views.renew(now)
        self._context.due(self.views.due)
        if renewed is None:
            return
        before, view = renewed
        why = None
        if before.quorum != view.quorum:
            why = "quorum" if view.quorum else QUORUM_LOST
        events = self._context.effects.events
        events.append(Event("view", now, node=self._context.node, reason=why, view=view))
        for hosts, topics in changed_conflicts(before, view):
            if hosts:
                by = f"hosted by {', '.join(hosts)}"
                events.append(Event("conflict", now, topics=topics, reason=by))
            else:
                events.append(Event("conflict_over", now, topics=topics))
        self._context.effects.progress = True
        if why and self._context.config.require_quorum:
            self._context.refusing = not view.quorum
            # The next publish to any topic looks again.
            self._context.effects.rerouted = True
            for link in self._links.by_node.values():
                self.tell_quorum(link)

    def tell_quorum(self, link: Link) -> None:
        self._context.effects.control(link, codec.encode_quorum(not self._context.refusing))

    def on_quorum(self, link: Link, taken: bool) -> None:
        """A peer takes publishes to its topics, or refuses them because it has no quorum."""
        if taken:
            self.minorities.discard(link.node)
        else:
            self.minorities.add(link.node)
        self._context.effects.rerouted = True
        self._context.effects.progress = True

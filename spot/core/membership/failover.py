"""What follows when peers and their topics come and go: the view, quorum, conflicts, failover.

A *route* names the hosts of a topic in order. The current one is kept while it has a link, and
when that is lost the next in the order, round to the first again, that has a link and the topic.
"""

from __future__ import annotations

from collections.abc import Sequence

from spot.core.link import Link
from spot.core.membership.handshake import Handshake
from spot.core.membership.peers import GONE_REPLACED
from spot.core.membership.route import Route
from spot.core.membership.view import changed_conflicts
from spot.core.wire import codec
from spot.message import Event

QUORUM_LOST = "quorum lost"


class Hosts(Handshake):
    """Keeps the view, and the host of each routed topic."""

    # Peers

    def _way_found(self, node: str, now: float) -> None:
        if node not in self._reached:
            self._reached.add(node)
            self.views.up(node, now)
        self._review(now)

    def _way_lost(self, node: str, why: str, now: float) -> set[str]:
        """Returns the topics that have gone over to another host of their route."""
        self.traffic.hear_standbys(self.traffic.registry.standbys)
        if self.leaving or node in self.traffic.ways:
            return set()
        self._reached.discard(node)
        self.views.down(node)
        for name in self.views.conflicts_of(node):
            self._judge(name, now)
        moved: set[str] = set()
        if why != GONE_REPLACED:
            # Else the new link to the same host is there already.
            current = self.traffic.registry.routes
            routed = [name for name in self.routes if current[name] == node]
            moved = self._follow_routes(routed, f"node {node} was lost: {why}", now)
        self._review(now)
        return moved

    def _hosts_changed(self, names: Sequence[str], now: float) -> None:
        """Peers host other topics than before."""
        registry = self.traffic.registry
        for name in names:
            several = len(registry.remote.get(name, ())) + (name in registry.local) > 1
            if several or name in self.views.view.conflicts:
                self._judge(name, now)
        self.traffic.hear_standbys(names)
        self._follow_routes(names, "it can be reached", now)
        self.effects.rerouted = True
        self._review(now)

    # Conflicts

    def _judge(self, name: str, now: float) -> None:
        """Two hosts of a topic are a conflict, unless one only stands by."""
        registry = self.traffic.registry
        hosts = [host for host in registry.remote.get(name, {}).values() if not host.standby]
        up = [host.node for host in hosts if host.link is not None]
        local = registry.local.get(name)
        if local is not None and not local.standby:
            up.append(self.node)
        self.views.hosted(name, up, [host.node for host in hosts], now)

    # Routes

    def route(self, name: str, endpoints: Sequence[str], at: int, node: str, now: float) -> None:
        """Routes a topic to ``node``, behind the endpoint number ``at``; the others stand by."""
        registry = self.traffic.registry
        self.routes.pop(name, None)
        if len(endpoints) > 1:
            self.routes[name] = Route(endpoints, at)
        if registry.routes.get(name) != node:
            self._take_route(name, node)
            self._tell_route(node, endpoints[at], [name], "chosen by a call", now)
        self.effects.rerouted = True

    def node_of(self, endpoint: str) -> str | None:
        """The node behind an endpoint, or of that id; None while nobody has ever answered there."""
        dial = self.dials.get(endpoint)
        return endpoint if dial is None else dial.node

    def _take_route(self, name: str, node: str) -> None:
        registry = self.traffic.registry
        registry.routes[name] = node
        registry.choose(name)

    def _follow_routes(self, names: Sequence[str], why: str, now: float) -> set[str]:
        registry = self.traffic.registry
        moved: dict[tuple[str, str], list[str]] = {}
        for name in names:
            route = self.routes.get(name)
            if route is None or registry.routes[name] in self.traffic.ways:
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
            self.effects.rerouted = True
        return {name for topics in moved.values() for name in topics}

    def _tell_route(
        self, node: str, endpoint: str, topics: Sequence[str], why: str, now: float
    ) -> None:
        event = Event("route", now, node=node, endpoint=endpoint, topics=tuple(topics), reason=why)
        self.effects.events.append(event)

    # The view

    def _review(self, now: float) -> None:
        """Tells of a new view, if there is one, and acts on what became of the quorum.

        Whoever leaves keeps the view that it had: links that end then are its own doing.
        """
        if self.leaving:
            return
        renewed = self.views.renew(now)
        self.deadline = min(self.deadline, self.views.due)
        if renewed is None:
            return
        before, view = renewed
        why = None
        if before.quorum != view.quorum:
            why = "quorum" if view.quorum else QUORUM_LOST
        events = self.effects.events
        events.append(Event("view", now, node=self.node, reason=why, view=view))
        for hosts, topics in changed_conflicts(before, view):
            if hosts:
                by = f"hosted by {', '.join(hosts)}"
                events.append(Event("conflict", now, topics=topics, reason=by))
            else:
                events.append(Event("conflict_over", now, topics=topics))
        self.effects.progress = True
        if why and self.config.require_quorum:
            self.traffic.refusing = not view.quorum
            # The next publish to any topic looks again.
            self.effects.rerouted = True
            for link in self.nodes.values():
                self._tell_quorum(link)

    def _tell_quorum(self, link: Link) -> None:
        self.effects.control(link, codec.encode_quorum(not self.traffic.refusing))

    def _on_quorum(self, link: Link, taken: bool) -> None:
        """A peer takes publishes to its topics, or refuses them as it has no quorum."""
        if taken:
            self.minorities.discard(link.node)
        else:
            self.minorities.add(link.node)
        self.effects.rerouted = True
        self.effects.progress = True

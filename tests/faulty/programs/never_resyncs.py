"""A node that makes lost links again and does not subscribe on them."""

from __future__ import annotations

from spot.core.link import Link
from spot.core.membership.own_announcements import OwnAnnouncements
from tests.faulty.programs.faulty import play

_known: set[str] = set()
_tell_interest = OwnAnnouncements.tell_interest


def tell_interest(announcer: OwnAnnouncements, link: Link) -> None:
    """Tells a peer what this node subscribes to, and only the first time."""
    if link.node not in _known:
        _known.add(link.node)
        _tell_interest(announcer, link)


if __name__ == "__main__":
    OwnAnnouncements.tell_interest = tell_interest  # type: ignore[assignment, method-assign]
    play()

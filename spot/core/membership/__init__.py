"""The peers of a node: greeting, liveness, dials, the view, failover, announcements."""

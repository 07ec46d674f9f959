"""Who the peers are: greeting, liveness, dials, the view, failover, what nodes announce."""

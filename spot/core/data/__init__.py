"""How messages move: hosting, replay, publishes of peers, arrivals, the inbox."""

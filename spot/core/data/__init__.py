"""How messages move: hosting, replay, publishes of peers, what arrives, the inbox."""

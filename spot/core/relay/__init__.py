"""What a relay does: it offers nodes, follows their topics, and passes messages on."""

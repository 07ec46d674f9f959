"""What a relay does: offering nodes, following their topics, passing messages on."""

"""The threads of a node: the event loop, the lock, who waits and who is woken."""

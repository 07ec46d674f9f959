"""The event loop of a node and its threads: the lock, which thread waits, how it is woken."""

"""The network under a node: the zmq socket, and what the kernel knows of its connections."""

"""The network under a node: the zmq socket, and the kernel's facts about its connections."""

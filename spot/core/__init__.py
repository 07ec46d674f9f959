"""The pure core: bytes and time come in; frames, deadlines and events go out. No sockets, clocks,
threads.
"""

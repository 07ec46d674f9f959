"""The pure core: bytes and time in; frames, deadlines and events out. No sockets, clocks,
threads.
"""

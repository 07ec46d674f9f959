"""The node program, ``spot node``: an example of the library, and the node that the testbed tests.

Each file does one thing that an application does with a node:

- ``settings``: reads its settings from ``SPOT_*`` variables
- ``run``: makes the node, starts the rest, leaves on a signal
- ``traffic``: publishes numbered messages at a rate
- ``receive``: takes messages and lost hosts, and watches events
- ``recorder``: writes the journal (``docs/journal.md``)
- ``control``: the unix socket on which the node answers; ``commands``: its commands
- ``health``: asks a node for its health, for ``spot node --check``
- ``bounded_writer``: writes to a file without waiting for it
- ``terminal``: escapes characters that a terminal can't show
- ``log``: log lines as text or JSON

Nothing here imports more than the library and the standard library, so that
``python -m spot.program`` runs wherever the library does; ``spot node`` adds flags to it.
"""

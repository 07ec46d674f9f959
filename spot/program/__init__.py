"""The node program, ``spot node``: an example of the library, and the node that the testbed tests.

Each file does one thing that an application does with a node:

- ``settings``: what to do, from ``SPOT_*`` variables
- ``run``: makes the node, starts the rest, leaves on a signal
- ``traffic``: publishes numbered messages at a rate
- ``receive``: takes messages and lost hosts, and watches events
- ``recorder``: writes the journal (``docs/journal.md``)
- ``control``: the unix socket on which it answers; ``commands``: what it can be told there
- ``health``: what ``spot node --check`` asks and says
- ``outlet``: writes what nobody may be reading; ``terminal``: what a terminal can't show
- ``log``: log lines as text or JSON

Nothing here imports more than the library and the standard library, so that
``python -m spot.program`` runs wherever the library does; ``spot node`` adds flags to it.
"""

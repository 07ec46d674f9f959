"""SPOT measured beside others, in one run: ``python -m bench`` (``make bench``).

How it is measured, so that a figure can be judged:

- A row compares contestants. Each round plays every contestant once. The order rotates from round
  to round, so a machine that slows down slows all of them. The ratio is taken within each round.
  The result is the median of the rounds, printed with the least and the greatest.
- Each contestant runs in fresh processes. They connect, say that they are ready, and start
  together.
- One way, the rate is that of the receivers, from the return of the first receive call to that of
  the last. Connecting and a cold start come before that, and are not throughput. Only messages that
  arrived count, and those that came with the first call are left out. (Counted from the publisher's
  first call instead, both sides' rates differ by 1 to 4 per cent.)
- The receiver counts every message and checks it against the number that is due: SPOT's ``seq`` and
  ``missed``, the others' 8-byte counter in the payload. This is done in the receiving loop and at
  the same cost for all. A message too few, too many or out of order fails the row.
- All contestants block when a queue is full, have the same high-water marks where they have any,
  and send payloads that were made before the clock started. Raw pyzmq also gets its frames (topic,
  zero byte, payload) ready made and need not split them. Each module of ``bench/contestants/`` says
  what makes its set-up the best fair one.
- If a machine lacks something that a contestant needs, the run names it, with the command that
  installs it (``bench/needs.py``). The row is then not measured, and does not fail.

Four commands: the rows (``bench/rows.py``, by ``comparison.py``), ``growth`` (``sweeps.py``),
``overload`` and ``core``. To add a row, write what the contestant's processes do
(``bench/contestants/``). Then name it, its load and the figures to compare in ``bench/rows.py``.
"""

"""SPOT measured beside others, in one run: ``python -m bench`` (``make bench``).

How it is measured, so that a figure can be judged:

- A row compares contestants. Every round plays each of them once, in an order that turns from
  round to round, so that a machine that slows down slows all. The ratio is taken within each
  round; what counts is the median of the rounds, printed with the least and the greatest.
- Each contestant plays in fresh processes, which meet, say that they are ready, and start
  together.
- One way, the rate is that of the receivers, from the return of the first receive call to that of
  the last: what precedes (connecting, a cold start) is not throughput, and only what arrived
  counts. What came with the first call is left out of the count.
  (Counted from the publisher's first call instead, both sides' rates differ by 1 to 4 per cent.)
- Every message is counted at the receiver and checked against the number that is due: SPOT's
  ``seq`` and ``missed``, the others' 8-byte counter in the payload, in the receiving loop and
  at the same cost. A message too few, too many or out of order fails the row.
- All block when a queue is full, have the same high-water marks where they have any, and send
  payloads that were made before the clock started. Raw pyzmq also gets its frames (topic, zero
  byte, payload) ready made and need not split them. Each module of ``bench/contestants/`` says
  what makes its set-up the best fair one.
- What a contestant needs and the machine lacks is named, with the command that brings it
  (``bench/needs.py``): its row is not measured, and doesn't fail.

Four commands: the rows (``bench/rows.py``, by ``comparison.py``), ``growth`` (``sweeps.py``),
``overload`` and ``core``. To add a row: write what the contestant's processes do
(``bench/contestants/``), and name it, its load and the figures to compare in ``bench/rows.py``.
"""

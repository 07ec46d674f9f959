"""What holds for all tests."""

from __future__ import annotations

import signal

# What a shell runs in the background ignores Ctrl-C, and so do the programs that tests start there.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

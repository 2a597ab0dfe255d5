"""One line for each step of the lab's work, with the seconds it took."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print what was done, or tried, when it is over."""
    begin = time.monotonic()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        say(f"{time.monotonic() - begin:6.1f} s  {what}" + ("" if outcome == "done" else f": {outcome}"))


def say(line: str) -> None:
    """Print one line now: to standard error, as standard output is for results."""
    print(line, file=sys.stderr, flush=True)

# What must be put back is put back although a signal ends the process.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os
import signal


class Signals(object):
    """While in this context, a signal that would end the process raises SystemExit, or waits for the end."""

    _NUMBERS = (signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self._former = {}
        self._waits = False
        self._late = None

    def __enter__(self):
        for number in self._NUMBERS:
            # None: whoever embeds Python has put a handler there, which could not be put back.
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                self._former[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *unused):
        for number, former in self._former.items():
            signal.signal(number, former)
        if self._late is not None:
            os.kill(os.getpid(), self._late)

    def wait(self):
        """From now on a signal waits for the end of the context."""
        self._waits = True

    def _heard(self, number, unused):
        if self._waits:
            self._late = number
            return
        self._waits = True
        raise SystemExit(128 + number)

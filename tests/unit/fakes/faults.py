# A system call that fails: the module os, in front of the target's code, whose n-th call raises.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import os
import sys

TARGET = "ansible_collections.kernel.livepatch.plugins.module_utils."
# Those of os that ask the kernel and may fail for reasons outside; closing is not among them.
CALLS = "open read write pread pwrite ftruncate fstat lstat stat mkdir unlink rename scandir listdir readlink chmod fchmod".split()


class Faults(object):
    """Counts system calls; the call with the number `at` (from 0) fails with errno `number`, once or from then on.

    only: the names of the calls that count, None for all; "creating" is open() of a file that is made.
    """

    def __init__(self, at, number, lasting=False, only=None):
        self.only = only
        self.at = at
        self.number = number
        self.lasting = lasting
        self.count = 0
        self.failed = []

    def reached(self, call):
        """Count a call; raise when it is its turn to fail."""
        count, self.count = self.count, self.count + 1
        if count == self.at or (self.lasting and count > self.at):
            self.failed.append(call)
            raise OSError(self.number, os.strerror(self.number))

    def wrap(self, name, function):
        """Return a function that fails when it is its turn, and is `function` otherwise."""

        def called(*arguments, **options):
            creates = (
                name == "open" and len(arguments) > 1 and isinstance(arguments[1], int) and arguments[1] & os.O_CREAT
            )
            if self.only is None or ("creating" if creates else name) in self.only:
                self.reached(name)
            return function(*arguments, **options)

        return called


class _FaultyOs(object):
    def __init__(self, faults):
        self._faults = faults

    def __getattr__(self, name):
        found = getattr(os, name)
        return self._faults.wrap(name, found) if name in CALLS else found


@contextlib.contextmanager
def injected(faults, kernel):
    """A context in which the target's system calls, and what it asks of a FakeKernel, are counted and may fail."""
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(TARGET) and getattr(module, "os", None) is os
    ]
    methods = ("load", "unload", "write")
    replacement = _FaultyOs(faults)
    for module in modules:
        module.os = replacement
        module.open = faults.wrap("open", open)
    for name in methods:
        setattr(kernel, name, faults.wrap("kernel." + name, getattr(kernel, name)))
    try:
        yield
    finally:
        for module in modules:
            module.os = os
            del module.open
        for name in methods:
            delattr(kernel, name)

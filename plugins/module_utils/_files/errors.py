# The one exception of the target side, and the checks of names that reach a path or a command.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import re

# What the kernel accepts as a module name (MODULE_NAME_LEN is 64 - sizeof(long), with the final NUL),
# less the characters that no build system produces and that could leave a directory.
MODULE_NAME = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]{0,54}\Z")


class LivepatchError(Exception):
    """A failure that a user can cause or meet.

    code: one of the module's documented error codes (str).
    message: object, expected, found and next step, in one or two sentences (str).
    details: further keys for the module's result (JSON-serialisable).
    """

    def __init__(self, code, message, **details):
        super(LivepatchError, self).__init__(message)
        self.code = code
        self.message = message
        self.details = details


def module_name(value):
    """Return the module name as the kernel shows it (dashes become underscores), or raise bad_name."""
    if not MODULE_NAME.match(value):
        raise LivepatchError(
            "bad_name",
            "%r is not a module name: expected letters, digits, '_', '-', '.', '+', at most 55 characters. "
            "Give the name that modinfo -F name prints." % (value,),
        )
    return value.replace("-", "_")

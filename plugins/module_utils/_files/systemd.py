# What the system's own service manager is asked for.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError


def runs(root):
    """Return whether this host was booted with systemd (sd_booted(3))."""
    return os.path.isdir(os.path.join(root, "run/systemd/system"))


def systemctl(run_command, words, needed=False):
    """Run systemctl with these words; only where it is needed a failure counts (systemctl_failed), the rest is tidying."""
    try:
        code, output, errors = run_command(["systemctl", "--quiet"] + list(words), handle_exceptions=False)
    except EnvironmentError as error:
        code, output, errors = 127, "", error.strerror
    if code != 0 and needed:
        raise LivepatchError(
            "systemctl_failed",
            "systemctl %s: expected it to succeed, found: %s. See 'systemctl status %s'."
            % (" ".join(words), (errors or output).strip()[-300:], words[-1]),
        )

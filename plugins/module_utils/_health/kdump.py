# Crash dumps that kdump has left: when, and the kernel's log in them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# One directory for each crash. kexec-tools and kdump-utils (RHEL, Fedora): 127.0.0.1-DATE-TIME/ with vmcore and
# vmcore-dmesg.txt, their names with -incomplete where the dump was cut off. SUSE: DATE-TIME/ with vmcore and dmesg.txt.
# kdump-tools (Debian, Ubuntu): DATETIME/ with dump.DATETIME and dmesg.DATETIME. The dump itself is never opened.

import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._health import crash_events

SOURCE = "kdump"

_LOG = re.compile(r"(vmcore-dmesg|dmesg\.)")
_DUMP = re.compile(r"(vmcore|dump\.)")


def find(source, directories, since, root="/"):
    """Return the crashes (list of Evidence) that are not older than a moment (seconds since 1970).

    source: bounded.Source. directories: list of paths, below root.
    """
    found = []
    for directory in directories:
        for entry in source.entries(os.path.join(root, directory.lstrip("/"))):
            if entry.is_directory:
                found += _evidence(source, entry, since)
    return found


def _evidence(source, directory, since):
    """Return a list of the Evidence in a directory; it is empty for other files, and for what is older."""
    files = [entry for entry in source.entries(directory.path) if not entry.is_directory]
    logs = [entry for entry in files if _LOG.match(entry.name)]
    dumps = [entry for entry in files if _DUMP.match(entry.name)]
    # The log is written first: its time is nearest to the crash.
    time = min([entry.time for entry in logs or dumps] or [since - 1])
    if time < since:
        return []
    return [crash_events.from_text(SOURCE, time, source.tail(logs[0].path) if logs else None)]

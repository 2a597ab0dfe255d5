# Files below /etc: what differs from what is wanted, and putting it right; and systemd, which reads them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import os
import stat

from ansible_collections.kernel.livepatch.plugins.module_utils._files import ownership, reading, writing
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

_MODE = 0o644


def differs(root, path, content, mode=_MODE):
    """Return whether a file is not as wanted; content (str or bytes) None: it should not be there.

    Raises insecure_path where others than root could put another file in its place.
    """
    place = os.path.join(root, path)
    if content is None:
        return os.path.lexists(place)
    _require_own_directory(root, path)
    if os.path.islink(place) or reading.read_bytes(place) != _bytes(content):
        return True
    status = os.stat(place)
    return stat.S_IMODE(status.st_mode) != mode or status.st_uid != ownership.owner(root)


def _require_own_directory(root, path):
    """Whoever may write to a directory on the way chooses what lies there, whatever the file's own owner."""
    directory = os.path.dirname(path)
    while directory and not os.path.isdir(os.path.join(root, directory)):
        directory = os.path.dirname(directory)
    ownership.require(
        root, os.path.join(root, directory), "/" + path, "Give that directory to root, closed to others (chmod go-w)."
    )


def found(root, path, content):
    """Return what a file that is not as wanted is now, in words: absent, present (and should not be), other content, ..."""
    place = os.path.join(root, path)
    if not os.path.lexists(place):
        return "absent"
    if content is None:
        return "present"
    same = not os.path.islink(place) and reading.read_bytes(place) == _bytes(content)
    return "other owner or mode" if same else "other content"


def refusal(error, path, directories):
    """Return the LivepatchError for a file (path, str) that could not be written. directories: what must be writable."""
    return LivepatchError(
        "not_permitted" if error.errno in (errno.EPERM, errno.EACCES) else "write_failed",
        "%s: expected to write it, found %s. Run as root, and see that %s can be written."
        % (path, error.strerror, directories),
    )


def write(root, path, content, mode=_MODE):
    """Put a file in its place in one step, and its directory where that is missing; None removes it. Raises OSError."""
    place = os.path.join(root, path)
    if content is None:
        writing.remove(place)
        writing.sync(os.path.dirname(place))
    else:
        writing.make_directories(root, os.path.dirname(path))
        writing.replace(place, _bytes(content), mode)


def _bytes(content):
    return content if isinstance(content, bytes) else content.encode("utf-8")


def has_systemd(root):
    """Return whether this host was booted with systemd (sd_booted(3))."""
    return os.path.isdir(os.path.join(root, "run/systemd/system"))


def asked(run_command, words):
    """Return (code, output, errors) of systemctl with these words; 127 where there is none."""
    try:
        return run_command(["systemctl", "--quiet"] + list(words), handle_exceptions=False)
    except EnvironmentError as error:
        return 127, "", error.strerror


def systemctl(run_command, words, needed=False):
    """Run systemctl with these words; only where it is needed a failure counts (systemctl_failed), the rest is tidying."""
    code, output, errors = asked(run_command, words)
    if code != 0 and needed:
        raise LivepatchError(
            "systemctl_failed",
            "systemctl %s: expected it to succeed, found: %s. See 'systemctl status %s'."
            % (" ".join(words), (errors or output).strip()[-300:], words[-1]),
        )

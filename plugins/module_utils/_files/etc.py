# Files below /etc, replaced in one step, so that a crash leaves the old or the new one; and systemd, which reads them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import os
import stat

from ansible_collections.kernel.livepatch.plugins.module_utils._files import ownership, reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

_MODE, _DIRECTORY_MODE = 0o644, 0o755


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
    """Put a file in its place in one step, so that a crash leaves the old or the new one; None removes it."""
    place = os.path.join(root, path)
    if content is None:
        _remove(place)
    else:
        _make_directory(root, os.path.dirname(path))
        _replace(place, _bytes(content), mode)
    sync(os.path.dirname(place))


def _bytes(content):
    return content if isinstance(content, bytes) else content.encode("utf-8")


def _replace(place, data, mode):
    new = os.path.join(os.path.dirname(place), "." + os.path.basename(place) + ".new")
    _remove(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(new, place)


def _remove(place):
    try:
        os.unlink(place)
    except EnvironmentError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise


def _make_directory(root, path):
    """Make the directories that are missing, for all to read; what is there already is left as it is."""
    missing = []
    while path and not os.path.isdir(os.path.join(root, path)):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        os.mkdir(os.path.join(root, path), _DIRECTORY_MODE)
        os.chmod(os.path.join(root, path), _DIRECTORY_MODE)
        sync(os.path.join(root, os.path.dirname(path)))


def sync(path):
    """Flush a file, or a directory and thereby the names in it, to the disk. One that is not there is fine."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT:
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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

# Reading files that grow: bounded, and never waiting for anything.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import stat


def tail(path, most):
    """Return (the last `most` bytes of a file, whole lines only; whether that is all of it).

    Raises OSError for what is no regular file too: a pipe would let the reader wait for ever.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(22, "not a regular file")
        begin = max(0, status.st_size - most)
        with os.fdopen(fd, "rb", closefd=False) as stream:
            stream.seek(begin)
            data = stream.read(most)
    finally:
        os.close(fd)
    if begin:
        data = data.partition(b"\n")[2]
    return data, begin == 0

# A /dev/kmsg: one record for each read, EPIPE for what has been overwritten, EAGAIN at the end.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import collections
import errno
import os


class Kmsg(object):
    """Stands for the module os in kernel_log. items: bytes of a record, or an errno that the read gives."""

    O_RDONLY, O_NONBLOCK = os.O_RDONLY, os.O_NONBLOCK

    def __init__(self, items=(), refusal=None):
        self.items = list(items)
        self.refusal = refusal
        self.descriptors = 0

    def open(self, path, flags):
        assert path == "/dev/kmsg" and flags & os.O_NONBLOCK, "reading must never wait"
        if self.refusal:
            raise OSError(self.refusal, os.strerror(self.refusal))
        self.descriptors += 1
        self.left = collections.deque(self.items)
        return 7

    def read(self, descriptor, size):
        assert size >= 8192, "a smaller buffer gives EINVAL for a long record"
        if not self.left:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        item = self.left.popleft()
        if isinstance(item, int):
            raise OSError(item, os.strerror(item))
        return item

    def close(self, descriptor):
        self.descriptors -= 1


def record(sequence, text, priority=4, microseconds=None):
    """The bytes of one record, as the kernel writes them."""
    line = "%d,%d,%d,-;%s\n" % (priority, sequence, 1000 * sequence if microseconds is None else microseconds, text)
    return line.encode("utf-8")

# What a kernel says about itself in its own crash dump: VMCOREINFO, a few kilobytes of text.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# Documentation/admin-guide/kdump/vmcoreinfo.rst. Lines: OSRELEASE=6.1.0, SYMBOL(prb)=ffffffff82..., OFFSET(list_head.next)=0,
# SIZE(list_head)=16; addresses are hexadecimal, offsets and sizes decimal. kexec adds CRASHTIME=<seconds since 1970>.

import re

# The kernel's own is at most a page of 4 KiB, of 64 KiB on some machines.
MOST_BYTES = 64 * 1024

_LINE = re.compile(r"([A-Z][A-Za-z_-]{0,30}(?:\([A-Za-z0-9_.]{1,100}\))?)=([!-~]{1,200})\Z")
_DECIMAL = re.compile(r"[0-9]{1,19}\Z")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{1,16}\Z")


class Unknown(Exception):
    """VMCOREINFO does not say something; the text names it."""


class VmcoreInfo(object):
    """The lines of VMCOREINFO. text: all of it (bytes); what is no such line is passed over."""

    def __init__(self, text):
        found = (_LINE.match(line) for line in text[:MOST_BYTES].decode("ascii", "replace").split("\n"))
        self._values = dict(line.groups() for line in found if line)

    @property
    def kernel_release(self):
        """What uname -r said (str), None where it is not said."""
        return self._values.get("OSRELEASE")

    @property
    def build_id(self):
        """The kernel's build id, hexadecimal digits (str); None before 5.9."""
        return self._values.get("BUILD-ID")

    @property
    def crash_time(self):
        """When it crashed, seconds since 1970 (int); None for a dump that kexec did not make."""
        text = self._values.get("CRASHTIME", "")
        return int(text) if _DECIMAL.match(text) else None

    def symbol(self, name):
        """Return the address (int) of a symbol; raises Unknown."""
        return int(self._value("SYMBOL(%s)" % name, _HEXADECIMAL), 16)

    def offset(self, *path):
        """Return the offset (int) in bytes of structure.member, of several added up; raises Unknown."""
        return sum(int(self._value("OFFSET(%s)" % one, _DECIMAL)) for one in path)

    def size(self, structure):
        """Return the size (int) of a structure in bytes; raises Unknown."""
        return int(self._value("SIZE(%s)" % structure, _DECIMAL))

    def _value(self, key, form):
        text = self._values.get(key, "")
        if not form.match(text):
            raise Unknown("VMCOREINFO has no %s" % key)
        return text

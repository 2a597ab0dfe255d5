# All that changes the kernel: loading and unloading by system call, so that the real errno is seen, and sysfs writes.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import ctypes
import errno
import os

from ansible_collections.kernel.livepatch.plugins.module_utils._files import ownership

# init_module, finit_module and delete_module of each architecture that has livepatches (its asm/unistd.h).
_NUMBERS = {
    "x86_64": (175, 313, 176),
    "aarch64": (105, 273, 106),
    "loongarch64": (105, 273, 106),
    "ppc64le": (128, 353, 129),
    "s390x": (128, 344, 129),
}
_INIT, _FINIT, _DELETE = range(3)
# delete_module(2): fail instead of waiting. O_TRUNC, which would force, destroys a patched kernel and is never used.
_O_NONBLOCK = 0o4000


def load(path, image, packed):
    """Give a module to the kernel; OSError carries the kernel's errno.

    A plain file goes as a file, so that security modules can judge it by its label and place. A packed one is given
    as the unpacked bytes `image`, and so is one that others than root could change between the look at it and now, or
    that has become another or gone since then: what is loaded is what was judged.
    A livepatch's transition has only begun when this returns.
    """
    descriptor = None if packed else _open_same(path, image)
    if descriptor is None:
        _call(_INIT, image, ctypes.c_ulong(len(image)), b"")
        return
    try:
        _call(_FINIT, ctypes.c_int(descriptor), b"", ctypes.c_int(0))
    finally:
        os.close(descriptor)


def _open_same(path, image):
    """Return a descriptor of a file that only root can change and that has these bytes; None for any other."""
    try:
        if ownership.changeable("/", path):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except EnvironmentError:
        return None
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        same = stream.read(len(image) + 1) == image
    if same:
        return descriptor
    os.close(descriptor)
    return None


def unload(name):
    """Take a module out of the kernel; OSError carries the kernel's errno (EAGAIN: still in use)."""
    _call(_DELETE, name.encode("ascii"), ctypes.c_uint(_O_NONBLOCK))


def write(path, value):
    """Write a sysfs attribute; OSError carries the kernel's errno. May block for a second or more on 6.12."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode("ascii"))
    finally:
        os.close(descriptor)


def _call(which, *arguments):
    numbers = _NUMBERS.get(os.uname().machine)
    if numbers is None:
        raise OSError(errno.ENOSYS, "no livepatches on %s" % os.uname().machine)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(numbers[which]), *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

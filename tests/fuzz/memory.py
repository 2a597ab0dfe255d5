# A file system in memory, in the place of the module os of a module under test.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import errno
import os


class _Entry(object):
    def __init__(self, name, path, directory):
        self.name = name
        self.path = path
        self._directory = directory

    def is_dir(self, follow_symlinks=True):
        return self._directory


class _Path(object):
    join, basename, dirname = staticmethod(os.path.join), staticmethod(os.path.basename), staticmethod(os.path.dirname)

    def __init__(self, memory):
        self._memory = memory

    def isdir(self, path):
        return self._memory.is_directory(path)

    def exists(self, path):
        return self._memory.is_directory(path) or path in self._memory.files


class MemoryOs(object):
    """Stands for the module os: files is {absolute path (str): content (bytes), or the errno that opening it gives}."""

    def __init__(self, files):
        self.files = files
        self.path = _Path(self)
        self._open = {}
        self._directories = {}
        for name in files:
            parts = name.split("/")
            for end in range(1, len(parts)):
                self._directories.setdefault("/".join(parts[:end]) or "/", {})[parts[end]] = end + 1 < len(parts)

    def __getattr__(self, name):
        return getattr(os, name)

    def is_directory(self, path):
        return path.rstrip("/") in self._directories

    def open(self, path, flags):
        content = self.files.get(path, errno.EISDIR if self.is_directory(path) else errno.ENOENT)
        if isinstance(content, int):
            raise OSError(content, os.strerror(content))
        descriptor = len(self._open) + 3
        self._open[descriptor] = content
        return descriptor

    def read(self, descriptor, size):
        content = self._open[descriptor]
        self._open[descriptor] = content[size:]
        return content[:size]

    def close(self, descriptor):
        self._open[descriptor] = b""

    def listdir(self, path):
        if not self.is_directory(path):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return list(self._directories[path.rstrip("/")])

    @contextlib.contextmanager
    def scandir(self, path):
        names = self.listdir(path)
        yield [_Entry(name, path + "/" + name, self._directories[path.rstrip("/")][name]) for name in names]


@contextlib.contextmanager
def instead_of_os(memory, *modules):
    """Put a MemoryOs in the place of os in modules under test."""
    before = [module.os for module in modules]
    for module in modules:
        module.os = memory
    try:
        yield
    finally:
        for module, former in zip(modules, before):
            module.os = former

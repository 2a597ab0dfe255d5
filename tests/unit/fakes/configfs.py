# netconsole's part of configfs, in a temporary directory.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import os
import shutil

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import netconsole
from tests.unit.fakes.kernel import FakeKernel

TARGETS = "sys/kernel/config/netconsole"
FIRST = {"name": "dc1", "dev_name": "eth0", "remote_ip": "10.0.2.2", "remote_port": 6000}
DEFAULTS = {"enabled": "0", "extended": "0", "dev_name": "eth0", "local_ip": "0.0.0.0", "local_port": "6665"}
DEFAULTS.update(remote_ip="0.0.0.0", remote_port="6666", remote_mac="ff:ff:ff:ff:ff:ff")


class Configfs(FakeKernel):
    """A kernel whose configfs makes the files of a target with its directory, as the real one does."""

    def begin(self, monkeypatch, userdata=True):
        """Be there. userdata: whether its targets can carry words of the user's. Returns itself."""
        self.userdata = userdata
        self.written = []
        self.directory(TARGETS)
        self.text("dev/kmsg", "")
        self.text("sys/class/net/eth0/flags", "0x1003")
        monkeypatch.setattr(netconsole, "_mkdir", self.make)
        monkeypatch.setattr(netconsole, "_rmdir", shutil.rmtree)
        monkeypatch.setattr(netconsole, "_write", self.note)
        return self

    def make(self, place):
        where = os.path.relpath(place, self.root)
        if os.path.isdir(place):
            return
        self.directory(where)
        if where.count("/") == TARGETS.count("/") + 1:
            for name, text in DEFAULTS.items():
                self.text(where + "/" + name, text)
            if self.userdata:
                self.text(where + "/release", "0")
                self.directory(where + "/userdata")
        else:
            self.text(where + "/value", "")

    def note(self, place, words):
        if place.endswith("enabled") and words == reading.read_text(place):
            raise OSError(errno.EINVAL, "Invalid argument", place)
        if not os.path.exists(place):
            raise OSError(errno.ENOENT, "No such file or directory", place)
        self.written.append((os.path.basename(place), words))
        with open(place, "w") as stream:
            stream.write(words)

    def read(self, *path):
        return reading.read_text(os.path.join(self.root, TARGETS, *path))

    def publish(self, targets=(FIRST,)):
        self.written = []
        netconsole.publish(self.root, targets, sysfs.read_host(self.root))

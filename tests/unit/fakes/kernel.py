# A kernel in a temporary directory: its livepatch tree, and the state machine behind it as real kernels have it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import os
import shutil
import struct
from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from tests.unit.fakes.elf import KERNEL

LIVEPATCHES = "sys/kernel/livepatch"


class FakeKernel(object):
    """Stands for the kernel, its log and the clock.

    takes: seconds that a transition takes, None for ever. attributes: which of replace, stack_order and patched exist.
    consistent: whether it has the consistency model; without it all tasks switch at once, and there is no transition.
    """

    def __init__(self, root, release=KERNEL, attributes=("patched",), takes=1.0):
        self.root = str(root)
        self.attributes = attributes
        self.takes = takes
        self.takes_back = 1.0
        self.consistent = True
        self.time = 0.0
        self.patches = OrderedDict()
        self.modules = OrderedDict()
        self.log = []
        self.refusal = None
        self.busy_unloads = 0
        self.events = []
        self.ends = None
        self.plans = []
        self.text("proc/sys/kernel/osrelease", release)
        self.text("proc/sys/kernel/random/boot_id", "b0")
        self.text("proc/sys/kernel/tainted", "0")
        self.directory("run")
        self.directory(LIVEPATCHES)
        self._show()

    # --- as syscalls

    def load(self, path, image, packed):
        module = module_file.parse(path, image)
        self.events.append("load " + module.name)
        if self.refusal:
            raise OSError(self.refusal, os.strerror(self.refusal))
        if module.name in self.modules:
            raise OSError(errno.EEXIST, "File exists")
        if self._pending():
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.insert(module.name, module.build_id, bool(module.replace))

    def unload(self, name):
        self.events.append("unload " + name)
        if name not in self.modules:
            raise OSError(errno.ENOENT, "No such file or directory")
        if self.modules[name]["refcount"] or self.busy_unloads > 0:
            self.busy_unloads -= 1
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        del self.modules[name]
        self._show()

    def write(self, path, value):
        name, attribute = path.split("/")[-2:]
        self.events.append("%s %s=%s" % (name, attribute, value))
        if name not in self.patches:
            raise OSError(errno.ENOENT, "No such file or directory")
        patch = self.patches[name]
        if attribute == "force":
            self.ends = self.time
        else:
            if self._pending() not in (None, name):
                raise OSError(errno.EBUSY, "Device or resource busy")
            if patch["enabled"] == int(value):
                raise OSError(errno.EINVAL, "Invalid argument")
            patch["enabled"] = int(value)
            back = patch["transition"]
            patch["transition"] = 1
            self.ends = self.time + self.takes_back if back else self._end()
            if not self.consistent:
                self._complete(name)
        self._show()

    # --- as the clock

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds
        due = [act for moment, act in self.plans if self.time >= moment]
        self.plans = [plan for plan in self.plans if self.time < plan[0]]
        for act in due:
            act()
            self._show()
        if self.ends is not None and self.time >= self.ends and self._pending():
            self._complete(self._pending())

    # --- as the log

    def position(self):
        return {"boot_id": "b0", "sequence": len(self.log), "time": "2026-05-04T08:15:00Z"}

    def lines_since(self, sequence, limit):
        return self.log[sequence:][-limit:]

    def read(self, sequence=0):
        records = [kernel_log.Record(number, 0.0, 6, True, text) for number, text in enumerate(self.log)]
        return kernel_log.Reading(records[sequence:], len(records), kernel_log.READ, None, records[:sequence])

    # --- for tests

    def insert(self, name, build_id="11" * 20, replace=True, transition=1, objects=("vmlinux",)):
        """Load a livepatch; with transition=0 it is enabled at once."""
        self.modules[name] = {"refcount": 1, "taint": "OEK", "build_id": build_id}
        self.modules.move_to_end(name, last=False)
        self.patches[name] = {"enabled": 1, "transition": transition, "replace": replace, "objects": objects}
        self.ends = self._end()
        if not transition or not self.consistent:
            self._complete(name)
        self._show()

    def later(self, seconds, act):
        """Have something happen when so many seconds have gone by."""
        self.plans.append((self.time + seconds, act))

    def leave_inert(self, name, refcount=0, build_id="11" * 20, users="-"):
        self.modules[name] = {"refcount": refcount, "taint": "OEK", "build_id": build_id, "users": users}
        self._show()

    def ordinary_module(self, name):
        self.modules[name] = {"refcount": 0, "taint": "", "build_id": "99" * 20}
        self._show()

    def task(self, pid, comm, patch_state, stack, flags=0, state="S", cgroup="0::/"):
        """A task as proc shows it."""
        where = "proc/%d/task/%d/" % (pid, pid)
        self.text(where + "patch_state", str(patch_state))
        self.text(where + "comm", comm)
        self.text(where + "stack", stack)
        self.text(where + "stat", "%d (%s) %s 1 1 0 0 -1 %d 0 0" % (pid, comm, state, flags))
        self.text(where + "cgroup", cgroup)

    def text(self, path, text):
        self.directory(os.path.dirname(path))
        with open(os.path.join(self.root, path), "w") as stream:
            stream.write(text + "\n")

    def data(self, path, data):
        self.directory(os.path.dirname(path))
        with open(os.path.join(self.root, path), "wb") as stream:
            stream.write(data)
        return os.path.join(self.root, path)

    def directory(self, path):
        os.makedirs(os.path.join(self.root, path), exist_ok=True)

    # --- inside

    def _end(self):
        return None if self.takes is None else self.time + self.takes

    def _pending(self):
        for name, patch in self.patches.items():
            if patch["transition"]:
                return name
        return None

    def _complete(self, name):
        patch = self.patches[name]
        patch["transition"] = 0
        if not patch["enabled"]:
            gone = [name]
        else:
            # Those below it: when it is turned round, there may be others on it.
            older = list(self.patches)[: list(self.patches).index(name)]
            gone = older if patch["replace"] else []
        for other in gone:
            del self.patches[other]
            self.modules[other]["refcount"] = 0
        self._show()

    def _show(self):
        lines = [
            "%s 16384 %d %s %s 0x0000000000000000%s"
            % (
                name,
                module["refcount"],
                module.get("users", "-"),
                module.get("state", "Live"),
                " (%s)" % module["taint"] if module["taint"] else "",
            )
            for name, module in self.modules.items()
        ]
        self.text("proc/modules", "\n".join(lines))
        shutil.rmtree(os.path.join(self.root, LIVEPATCHES))
        self.directory(LIVEPATCHES)
        for order, (name, patch) in enumerate(self.patches.items(), 1):
            self._show_patch(os.path.join(LIVEPATCHES, name), patch, order)
        shutil.rmtree(os.path.join(self.root, "sys/module"), ignore_errors=True)
        for name, module in self.modules.items():
            raw = bytes(bytearray.fromhex(module["build_id"]))
            self.data(
                "sys/module/%s/notes/.note.gnu.build-id" % name, struct.pack("=III", 4, len(raw), 3) + b"GNU\0" + raw
            )

    def _show_patch(self, directory, patch, order):
        self.text(directory + "/enabled", str(patch["enabled"]))
        if self.consistent:
            self.text(directory + "/transition", str(patch["transition"]))
        if "replace" in self.attributes:
            self.text(directory + "/replace", str(int(patch["replace"])))
        if "stack_order" in self.attributes:
            self.text(directory + "/stack_order", str(order))
        for name in patch["objects"]:
            self.directory("%s/%s/some_function,1" % (directory, name))
            if "patched" in self.attributes:
                self.text("%s/%s/patched" % (directory, name), str(int(name == "vmlinux" or name in self.modules)))

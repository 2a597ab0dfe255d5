# Debug information of a lab kernel, as far as its livepatches go: a small vmlinux made of its own headers.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The distribution's own is some gigabytes for each kernel. This has the same structures, compiled by the same compiler, and
# the variables where this kernel has them, under the same build id.

import os

from tests.lab import processes

VARIABLES = {
    "klp_patches": "struct list_head klp_patches",
    "klp_transition_patch": "struct klp_patch *klp_transition_patch",
    "klp_target_state": "int klp_target_state",
    "modules": "struct list_head modules",
    "tainted_mask": "unsigned long tainted_mask",
}

MAKE = """
mount -t proc proc "$1/proc"
mount --bind "$2" "$1/build"
chroot "$1" make -s -C "/lib/modules/$3/build" M=/build vmlinux_types.o
tree=$1
shift 3
exec chroot "$tree" ld -o /build/vmlinux /build/vmlinux_types.o "$@"
"""


def make(kernel, addresses, build_id, directory):
    """Return the path of a vmlinux with debug information.

    addresses: of VARIABLES (name -> int), or of some of them; build_id: hexadecimal digits.
    """
    directory.mkdir()
    # Only structures that something uses are told of.
    lines = ["#include <linux/module.h>", "#include <linux/livepatch.h>", "struct module *uses_its_structure;"]
    lines += ['%s __attribute__((section(".at_%s")));' % (VARIABLES[name], name) for name in addresses]
    (directory / "vmlinux_types.c").write_text("\n".join(lines) + "\n")
    (directory / "Kbuild").write_text("obj-m += vmlinux_types.o\n")
    places = ["--section-start=.at_%s=%#x" % pair for pair in addresses.items()]
    processes.run_as_root(
        ["unshare", "--mount", "sh", "-eu", "-c", MAKE, "sh", str(kernel.tree), str(directory), kernel.release]
        + ["--build-id=0x" + build_id, "-e", "0", *places]
    )
    processes.run_as_root(["chown", "-R", "%d:%d" % (os.getuid(), os.getgid()), str(directory)])
    return directory / "vmlinux"


def addresses(guest):
    """Return where a running guest has VARIABLES (name -> int)."""
    lines = guest.ssh(["grep", "-E", " (%s)$" % "|".join(VARIABLES), "/proc/kallsyms"]).stdout.splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in lines}

# Which functions and symbols the running kernel has: one pass over its own list.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

import os

VMLINUX = "vmlinux"


def count(root, functions, names):
    """Return ((object, name) -> how often the kernel has it, the set of those names that anything has).

    functions: pairs of object (vmlinux or a module) and name. names: of symbols, wherever they are. Returns None where
    the kernel does not list its symbols. The names are listed to anybody; only addresses are kept from some.
    """
    wanted = {(owner.encode(), name.encode()) for owner, name in functions}
    plain = {name for _owner, name in wanted}
    imports = {name.encode(): name for name in names}
    # Of an exported symbol that is not listed itself at least the entry in the table of exports is.
    imports.update({b"__ksymtab_" + name.encode(): name for name in names})
    counts, found, lines = {}, set(), 0
    try:
        with open(os.path.join(root, "proc/kallsyms"), "rb") as stream:
            for lines, line in enumerate(stream, 1):
                # ffffffff81e00000 t name, and for a module's a tab and its name in brackets
                words = line.split()
                if len(words) < 3:
                    continue
                name = words[2]
                if name in imports:
                    found.add(imports[name])
                if name in plain:
                    owner = words[3].strip(b"[]") if len(words) > 3 else VMLINUX.encode()
                    counts[owner, name] = counts.get((owner, name), 0) + 1
    except EnvironmentError:
        return None
    if not lines:
        return None
    return {(owner.decode(), name.decode()): counts.get((owner, name), 0) for owner, name in wanted}, found

# Whether the wanted state is what the kernel shows. Nothing here changes anything.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs


def file_code(file):
    """Build id, else srcversion, of a ModuleFile; None where it has neither."""
    return file.build_id or file.srcversion


def loaded_code(root, file):
    """The same of the module of that name in the kernel: both sides must be of the kind that the file has."""
    return sysfs.build_id(root, file.name) if file.build_id else sysfs.srcversion(root, file.name)


def against_enabled(root, host, file):
    """What speaks against the livepatch of a file (ModuleFile) being enabled, as a list of words for people."""
    patch = host.patches.get(file.name)
    if patch is None or file.name not in host.enabled:
        return ["%s is not enabled for all tasks" % file.name]
    problems = []
    code, loaded = file_code(file), loaded_code(root, file)
    if code is None or code != loaded:
        problems.append("the code in the kernel is %s, that of the file %s" % (loaded, code))
    for name, parts in patch.objects.items():
        if parts["patched"] is False and (name == "vmlinux" or name in host.modules):
            problems.append("%s is not patched" % name)
    return problems


def against_gone(host, names, unloaded):
    """What speaks against livepatches (names) being disabled, and unloaded (bool) too, as a list of words for people."""
    problems = ["%s is enabled" % name for name in names if name in host.patches]
    return problems + ["%s is loaded" % name for name in names if unloaded and name in host.modules]

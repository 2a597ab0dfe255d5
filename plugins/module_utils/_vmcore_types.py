# A dead kernel's livepatches and modules, read by the kernel's own debug information with drgn.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# include/linux/livepatch.h, include/linux/module.h, kernel/livepatch/core.c. A damaged list may lead anywhere: what is
# followed is bounded.

from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._sysfs import Host, Module, Patch

# Far more than any machine has.
_MOST = 20000
# Documentation/admin-guide/tainted-kernels.rst, TAINT_LIVEPATCH
_LIVEPATCH_TAINT = 1 << 15

_LIVE = 0


class Damaged(Exception):
    """A list in the dump has no end."""


def has_types(program):
    """Whether this drgn.Program knows the kernel's variables and structures."""
    return _is_known(program, "modules")


def read_host(program, kernel_release):
    """Return the Host (_sysfs) that this drgn.Program with debug information shows, and who was forced ([names]).

    Raises Damaged, and what drgn raises for memory that the dump does not hold (drgn.FaultError).
    """
    modules = OrderedDict()
    for module in _entries(program, "modules", "struct module", "list"):
        taint = "K" if module.taints.value_() & _LIVEPATCH_TAINT else ""
        modules[_text(module.name)] = Module(0, taint, module.state.value_() == _LIVE)
    if not _is_known(program, "klp_patches"):
        return Host(False, kernel_release, OrderedDict(), modules), []
    pending = program["klp_transition_patch"].value_()
    patches, forced = OrderedDict(), []
    for order, patch in enumerate(_entries(program, "klp_patches", "struct klp_patch", "list"), 1):
        name = _text(patch.mod.name)
        # In a transition `enabled` says where it goes.
        enabled, in_transition = bool(patch.enabled.value_()), patch.value_() == pending
        if not (enabled or in_transition):
            continue
        patches[name] = Patch(enabled, in_transition, bool(patch.replace.value_()), order, _objects(program, patch))
        if patch.forced.value_():
            forced.append(name)
    return Host(True, kernel_release, patches, modules), forced


def taint(program):
    """Return the kernel's taint (int), None where it is not known."""
    return program["tainted_mask"].value_() if _is_known(program, "tainted_mask") else None


def _objects(program, patch):
    found = OrderedDict()
    for changed in _list(program, patch.obj_list, "struct klp_object", "node"):
        functions = [
            _text(function.old_name)
            for function in _list(program, changed.func_list, "struct klp_func", "node")
            if not function.nop.value_()  # put there to undo what the replaced livepatch changed
        ]
        if functions or not changed.dynamic.value_():
            name = _text(changed.name) if changed.name.value_() else "vmlinux"
            found[name] = {"patched": bool(changed.patched.value_()), "functions": sorted(set(functions))}
    return found


def _entries(program, head, kind, member):
    return _list(program, program[head], kind, member)


def _list(program, head, kind, member):
    from drgn.helpers.linux.list import list_for_each_entry

    for number, entry in enumerate(list_for_each_entry(program.type(kind), head.address_of_(), member)):
        if number == _MOST:
            raise Damaged("a list of %s in the dump has more than %d entries" % (kind, _MOST))
        yield entry


def _is_known(program, name):
    try:
        program[name]
    except LookupError:
        return False
    return True


def _text(value):
    return value.string_().decode("ascii", "replace")

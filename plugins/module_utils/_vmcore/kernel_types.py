# A dead kernel's livepatches and modules, read by the kernel's own debug information with drgn.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.
#
# include/linux/livepatch.h, include/linux/module.h, kernel/livepatch/core.c and transition.c. A damaged list may lead
# anywhere: what is followed is bounded.

from collections import OrderedDict

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.sysfs import Host, Module, Patch

# Entries of all lists together: far more than any machine has.
_MOST = 200000
# klp_target_state from the moment on at which a transition is begun, before the livepatch's own callbacks run.
_GOES_IN, _GOES_OUT = 1, 0
# Documentation/admin-guide/tainted-kernels.rst, TAINT_LIVEPATCH
_LIVEPATCH_TAINT = 1 << 15

_LIVE = 0


class Damaged(Exception):
    """A list in the dump has no end."""


def has_types(program):
    """Whether this drgn.Program knows the kernel's variables and structures."""
    return _is_known(program, "modules")


def taint(program):
    """Return the kernel's taint (int), None where it is not known."""
    return program["tainted_mask"].value_() if _is_known(program, "tainted_mask") else None


def read_host(program, kernel_release):
    """Return the Host (sysfs) that this drgn.Program with debug information shows, and who may not be unloaded ([names]).

    Raises Damaged, and what drgn raises for memory that the dump does not hold and for a kernel of other structures.
    """
    lists = _Lists(program)
    modules = OrderedDict()
    for module in lists.entries(program["modules"], "struct module", "list"):
        letter = "K" if module.taints.value_() & _LIVEPATCH_TAINT else ""
        modules[_text(module.name)] = Module(0, letter, module.state.value_() == _LIVE)
    if not _is_known(program, "klp_patches"):
        return Host(False, kernel_release, OrderedDict(), modules), []
    pending = program["klp_transition_patch"].value_()
    target = program["klp_target_state"].value_()
    patches, forced = OrderedDict(), []
    for patch in lists.entries(program["klp_patches"], "struct klp_patch", "list"):
        in_transition, enabled = patch.value_() == pending, bool(patch.enabled.value_())
        if in_transition and target in (_GOES_IN, _GOES_OUT):
            enabled = target == _GOES_IN
        if not (enabled or in_transition):
            continue
        name = _text(patch.mod.name)
        objects = _objects(lists, patch)
        patches[name] = Patch(enabled, in_transition, bool(patch.replace.value_()), len(patches) + 1, objects)
        if patch.forced.value_():
            forced.append(name)
    return Host(True, kernel_release, patches, modules), forced


def _objects(lists, patch):
    found = OrderedDict()
    for changed in lists.entries(patch.obj_list, "struct klp_object", "node"):
        functions = [
            _text(function.old_name)
            for function in lists.entries(changed.func_list, "struct klp_func", "node")
            if not function.nop.value_()  # put there to undo what the replaced livepatch changed
        ]
        if functions or not changed.dynamic.value_():
            name = _text(changed.name) if changed.name.value_() else "vmlinux"
            found[name] = {"patched": bool(changed.patched.value_()), "functions": sorted(set(functions))}
    return found


class _Lists(object):
    """Follows the kernel's lists, a bounded number of entries in all."""

    def __init__(self, program):
        self._program = program
        self._left = _MOST

    def entries(self, head, kind, member):
        """Yield the structures (drgn.Object) of one kind that a struct list_head (drgn.Object) has."""
        from drgn.helpers.linux.list import list_for_each_entry

        for entry in list_for_each_entry(self._program.type(kind), head.address_of_(), member):
            self._left -= 1
            if self._left < 0:
                raise Damaged("the lists in the dump have more than %d entries" % _MOST)
            yield entry


def _is_known(program, name):
    try:
        program[name]
    except LookupError:
        return False
    return True


def _text(value):
    return value.string_().decode("ascii", "replace")

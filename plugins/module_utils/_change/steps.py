# From what the kernel has to what is wanted: the steps, and what they will have changed. Pure: check mode and the
# real run share it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

from collections import OrderedDict, namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

# What one step does to one livepatch.
SETTLE, REVERSE, LOAD, DISABLE, UNLOAD = "settle", "reverse", "load", "disable", "unload"

Step = namedtuple("Step", "action name")

Wanted = namedtuple("Wanted", "state name every file_code loaded_code replace unload_inert")
Wanted.__doc__ = """What is asked for.

state: enabled, disabled or absent. name: a module name, None with every. every: all livepatches of the host (bool).
file_code, loaded_code: build id or srcversion of the file and of the module of that name in the kernel, None unknown.
replace: whether the livepatch will replace the others (bool). unload_inert: bool.
"""

Plan = namedtuple("Plan", "steps before after replaced unloaded pinned")
Plan.__doc__ = """steps: list of Step. before, after: {"enabled": [oldest first], "inert": [sorted]}.
replaced: livepatches that an atomic replace takes out, newest first. unloaded: modules that go.
pinned: inert modules that stay because the kernel holds a reference (an earlier forced transition).
"""


def plan(host, wanted):
    """Return the Plan that brings a host (sysfs.Host) to what is wanted; raise LivepatchError where nothing can.

    A transition that is pending is waited for first; the plan then goes on from where it will end.
    """
    if host.pending:
        return _plan_in_transition(host, wanted)
    if wanted.state == "enabled":
        return _plan_enabled(host, wanted)
    return _plan_gone(host, wanted)


def settled(host):
    """Return the Host as it will be when the pending transition has ended in the direction it has now."""
    name = host.pending
    if name is None:
        return host
    patch = host.patches[name]
    patches = OrderedDict(host.patches)
    if not patch.enabled:
        del patches[name]
    else:
        if patch.replace is not False:  # not readable before 6.11: a livepatch is expected to be cumulative
            # What lies on it stays: it is there where its way out was turned round (klp_unpatch_replaced_patches()).
            for other in list(patches)[: list(patches).index(name)]:
                del patches[other]
        patches[name] = patch._replace(transition=False)
    return host._replace(patches=patches, modules=_released(host.modules, set(host.patches) - set(patches)))


def view(host):
    """What a diff shows of a host."""
    return {"enabled": host.enabled, "inert": host.inert}


def _plan_in_transition(host, wanted):
    name, enabling = host.pending, host.patches[host.pending].enabled
    if wanted.name == name and wanted.file_code and host.patches[name].replace is None:
        host = host._replace(patches=_with(host.patches, name, replace=wanted.replace))
    asked_for = wanted.every or wanted.name == name
    if asked_for and wanted.state == "enabled" and not enabling and _same_code(wanted):
        return _reversal(host, name, wanted)
    if asked_for and wanted.state != "enabled" and enabling:
        return _turned_away(host, name, wanted)
    if wanted.state == "enabled" and enabling and wanted.name in host.enabled and _same_code(wanted):
        if host.patches[name].replace is not False:
            # Turned round, it leaves what is wanted in its place; a transition may last for ever.
            return _turned_away(host, name, wanted)
    then = plan(settled(host), wanted)
    return then._replace(steps=[Step(SETTLE, name)] + then.steps)


def _turned_away(host, name, wanted):
    then = plan(settled(host._replace(patches=_with(host.patches, name, enabled=False))), wanted)
    return then._replace(steps=[Step(DISABLE, name)] + then.steps, before=view(host))


def _reversal(host, name, wanted):
    reverted = settled(host._replace(patches=_with(host.patches, name, enabled=True, replace=False)))
    then = plan(reverted, wanted)
    return then._replace(steps=[Step(REVERSE, name)] + then.steps, before=view(host))


def _plan_enabled(host, wanted):
    name = wanted.name
    if name in host.patches:
        if not _same_code(wanted):
            raise _other_code(host, wanted)
        return _with_inert_unloaded(host, host, [], [], wanted)
    if name in host.modules:
        _refuse_foreign(host, name)
        if host.modules[name].refcount:
            raise _held(host, name)
        reloaded = [Step(UNLOAD, name)]
    else:
        reloaded = []
    # The module that makes way for its own code is back at the end: it is not reported as unloaded.
    replaced = list(reversed(host.patches)) if wanted.replace else []
    after = _after_load(host, name, replaced)
    return _with_inert_unloaded(host, after, reloaded + [Step(LOAD, name)], replaced, wanted)


def _after_load(host, name, replaced):
    patches = OrderedDict((other, patch) for other, patch in host.patches.items() if other not in replaced)
    patches[name] = None
    modules = _released(host.modules, replaced)
    return host._replace(patches=patches, modules=modules)


def _with_inert_unloaded(host, after, steps, replaced, wanted):
    leftover = [name for name in after.modules if name in after.inert]
    pinned = [name for name in leftover if after.modules[name].refcount]
    unloaded = [name for name in leftover if name not in pinned] if wanted.unload_inert else []
    enabled = list(after.patches)
    return Plan(
        steps=steps + [Step(UNLOAD, name) for name in unloaded],
        before=view(host),
        after={"enabled": enabled, "inert": sorted(set(leftover) - set(unloaded))},
        replaced=replaced,
        unloaded=unloaded,
        pinned=pinned if wanted.unload_inert else [],
    )


def _plan_gone(host, wanted):
    names = _targets(host, wanted)
    steps, unloaded, pinned = [], [], []
    for name in names:
        if name in host.patches:
            steps.append(Step(DISABLE, name))
        elif not wanted.every:
            _refuse_foreign(host, name)
        held = name not in host.patches and host.modules[name].refcount
        if wanted.state == "absent" and held and wanted.every:
            pinned.append(name)
        elif wanted.state == "absent":
            if held:
                raise _held(host, name)
            steps.append(Step(UNLOAD, name))
            unloaded.append(name)
    # Every step is planned anew: in the end the modules go in the order in which the kernel lists them.
    unloaded = [name for name in host.modules if name in unloaded]
    enabled = [name for name in host.enabled if name not in names]
    inert = (set(host.inert) | (set(host.enabled) - set(enabled))) - set(unloaded)
    return Plan(steps, view(host), {"enabled": enabled, "inert": sorted(inert)}, [], unloaded, pinned)


def _targets(host, wanted):
    if wanted.every:
        inert = [name for name in host.modules if name in host.inert] if wanted.state == "absent" else []
        return list(reversed(host.patches)) + inert
    return [wanted.name] if wanted.name in host.modules or wanted.name in host.patches else []


def _released(modules, names):
    # An enabled livepatch holds one reference on its own module; it is given back when the livepatch has ended.
    return OrderedDict(
        (name, module._replace(refcount=max(0, module.refcount - 1)) if name in names else module)
        for name, module in modules.items()
    )


def _with(patches, name, **changes):
    changed = OrderedDict(patches)
    changed[name] = patches[name]._replace(**changes)
    return changed


def _same_code(wanted):
    return wanted.file_code is not None and wanted.file_code == wanted.loaded_code


def _other_code(host, wanted):
    return LivepatchError(
        "other_code",
        "livepatch %s: expected the code of the file (%s), found other code of the same name enabled (%s). The kernel "
        "cannot replace a livepatch by one of its own name: build the new code under a new module name, or accept an "
        "unpatched moment and disable %s first."
        % (wanted.name, wanted.file_code or "unknown", wanted.loaded_code or "unknown", wanted.name),
    )


def _refuse_foreign(host, name):
    if name in host.modules and not host.modules[name].live:
        raise LivepatchError(
            "busy",
            "module %s: expected it loaded or not, found it just being loaded or unloaded: somebody else changes this "
            "host. Run again when they have ended." % name,
        )
    if name in host.modules and name not in host.inert:
        raise LivepatchError(
            "other_code",
            "module %s: expected a livepatch, found an ordinary module of that name in the kernel. "
            "Unload it by its own means, or correct the name." % name,
        )


def _held(host, name):
    users = host.modules[name].users
    return LivepatchError(
        "unload_refused",
        "module %s: expected to unload it, found it no longer enabled but used by %s. %s"
        % (
            name,
            ", ".join(users) or "the kernel",
            (
                "Unload that first, and run again."
                if users
                else "Run again; if it stays so, use a livepatch of another name."
            ),
        ),
    )

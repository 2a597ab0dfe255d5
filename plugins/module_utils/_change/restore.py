# A livepatch that was brought in and must not stay is taken out, after the ones that it replaced were brought back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Imported by a run only when that is needed. The former ones come first, so that no moment is left unpatched.

from ansible_collections.kernel.livepatch.plugins.module_utils._change import checks, copies, source
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs, transitions
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file


def take_out(actions, name, former):
    """Take a livepatch out; return a sentence about how that went.

    actions: actions.Actions. former: what was enabled before it came, name -> build id, oldest first.
    """
    enabled = sysfs.read_host(actions.root).patches
    gone = [other for other in former if other not in enabled]
    try:
        # Nothing is touched before it is clear that all of them can come back.
        files = [file_of(actions, other, former[other]) for other in gone]
        for file in files:
            _bring_in(actions, file)
        if name in sysfs.read_host(actions.root).patches:
            actions.disable(name)
    except LivepatchError as error:
        return _not_brought_back(actions, name, gone, error)
    actions.wait_released([name])
    actions.try_unload(name)
    host = sysfs.read_host(actions.root)
    if list(host.patches) != list(former):
        return "It was taken out again, but this host runs %s now: somebody else changes it." % host.effective_release
    back = " and %s brought back" % ", ".join(gone) if gone else ""
    return "It was taken out again%s: this host runs %s as before." % (back, host.effective_release)


def _not_brought_back(actions, name, gone, error):
    host = sysfs.read_host(actions.root)
    release = host.effective_release
    if all(other in host.enabled for other in gone):
        back = "%s came back, but taking" % ", ".join(gone) if gone else "Taking"
        return "%s it out again failed, and this host runs %s: %s" % (back, release, error.message)
    return "It is in the place of %s, and bringing back failed (%s): this host runs %s." % (
        ", ".join(gone),
        error.message,
        release,
    )


def file_of(actions, name, build_id):
    """Return the ModuleFile of a livepatch that was enabled, and is known to be the code that ran."""
    kernel_release = sysfs.kernel_release(actions.root)
    copy = copies.find(actions.root, kernel_release, name, build_id)
    if copy is not None:
        return copy
    path = source.by_name(actions.root, kernel_release, name)
    file = module_file.read(path)
    if build_id is None or file.build_id != build_id:
        raise LivepatchError(
            "other_code",
            "livepatch %s: expected its code (%s) in %s, found %s" % (name, build_id, path, file.build_id),
        )
    return file


def _bring_in(actions, file):
    refused = actions.try_unload(file.name)
    if refused is not None:
        raise LivepatchError("unload_refused", "module %s: %s" % (file.name, refused.strerror))
    try:
        actions.kernel.load(file.path, file.image, file.packed)
    except OSError as error:
        raise checks.explain_load(error, file, actions.root, actions.log, actions.sequence)
    timeout = actions.params["timeout"]
    if not transitions.wait(lambda: transitions.is_over(actions.root, file.name), timeout, actions.clock):
        raise LivepatchError("stalled", "livepatch %s: its transition has not ended within %s s" % (file.name, timeout))

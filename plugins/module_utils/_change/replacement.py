# What a livepatch replaces, against what the operator allows. Pure: before it is loaded, and by its effect.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError

_KINDS = {True: "one that replaces all others", False: "one that stacks on the others"}


def refusal(params, name, replaces, gone, undo):
    """Return the LivepatchError for a livepatch that replaces what it must not, or None.

    params: the module's options. replaces: whether it replaces the others (bool), None where nobody can tell. gone: names
    of the livepatches that it replaces. undo: called when it is refused; takes it out, returns a sentence about that.
    """
    expected = params["replace"]
    if None not in (replaces, expected) and replaces != expected:
        return LivepatchError(
            "replace_mismatch",
            "livepatch %s: expected %s, found %s. %s Correct the option replace, or the build."
            % (name, _KINDS[expected], _KINDS[replaces], undo()),
        )
    spared = sorted(set(gone) - set(params["replaces"])) if params["replaces"] is not None else []
    if spared:
        return LivepatchError(
            "replaces_others",
            "livepatch %s: expected it to replace nothing%s, found that it replaces %s. %s Name what it may replace in "
            "the option replaces, or take a livepatch that stacks on the others."
            % (name, " but " + ", ".join(params["replaces"]) if params["replaces"] else "", ", ".join(spared), undo()),
        )
    return None


def still_runs(host, former):
    """Return a sentence that says whether a host (sysfs.Host) has the same livepatches as before (names, oldest first)."""
    if list(host.patches) == former:
        return " This host runs %s as before." % host.effective_release
    return " This host runs %s now; before it had %s: somebody else changes it." % (
        host.effective_release,
        ", ".join(former) or "no livepatch",
    )

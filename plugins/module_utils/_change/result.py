# What a run of the module livepatch reports.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs


def build(run, before, after, replaced, unloaded, proven):
    """Return the result (dict) of a livepatch.Run.

    before, after: {"enabled": [oldest first], "inert": [sorted]}. replaced, unloaded: names. proven: bool.
    """
    release = sysfs.kernel_release(run.root)
    actions = run.actions
    return {
        "changed": before != after or bool(unloaded),
        "name": run.name,
        "before": _top(before, release),
        "effective_release": _top(after, release)["effective_release"],
        "diff": {"before": before, "after": after},
        "replaced": replaced,
        "unloaded": unloaded,
        "transition": _transition(actions.seconds, actions.found),
        "remedies": actions.remedies,
        "forced": actions.forced,
        "build_id": run.file.build_id if run.file else None,
        "since": run.since,
        "proven": proven,
    }


def _transition(seconds, found):
    """found: stalls.Found, None where nothing stalled."""
    return {
        "seconds": round(seconds, 2),
        "blockers": found.tasks if found else [],
        "blocking": found.count if found else 0,
        "summary": found.summary if found else None,
        "told_by": found.told_by if found else None,
    }


def _top(view, release):
    topmost = view["enabled"][-1] if view["enabled"] else None
    return {"enabled": topmost, "effective_release": sysfs.effective_release(release, topmost)}

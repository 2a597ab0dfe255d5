# A livepatch that runs while its package or file is gone: said where somebody asks for that file.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import vendors


def explain(error, params, root="/"):
    """Add to a not_found (LivepatchError, changed in place) that the livepatch runs all the same, when it does.

    params: the options of the module livepatch. Its name is known from the name, or from how generic packages are called;
    a vendor's livepatch is looked for under that vendor's name.
    """
    if error.code != "not_found":
        return
    for name in _names(params, root):
        patch = sysfs.read_patch(root, name)
        if patch is not None and patch.enabled:
            error.message += (
                " The livepatch %s runs all the same: its package was removed while it ran. It cannot be proven, and is "
                "gone after the next boot; state absent takes it out by name." % name
            )
            error.details.update(running=name, package_removed=True)
            return


def _names(params, root):
    """Return the names (list of str) that the livepatch asked for may have in the kernel."""
    if params["name"] is not None:
        return [params["name"].replace("-", "_")]
    package = params["package"] or ""
    # A name and version is enough for rpm, and is what the generic pattern gives.
    found = vendors.parse(package) or vendors.parse(package + "-1")
    if found is None:
        return []
    row = next((row for row in vendors.VENDORS if row.name == found.vendor), None)
    values = vendors.placeholders(sysfs.kernel_release(root), "", found.release)
    name = vendors.module_name(row, values) if row is None or row.module else None
    return [name] if name else []

# From a module's options to the package that is wanted: its spec, the livepatch in it, the one for the kernel that boots next.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import (
    drift,
    install,
    package_manager,
    rpm,
    vendors,
)


class Asked(object):
    """spec: as `rpm -q` takes it (str). module_name: of the livepatch by the vendor's rule; None where that is not known.

    params: release, pattern and package of the module's options. Raises LivepatchError: bad_name.
    """

    def __init__(self, params, root="/"):
        self._release = params.get("release")
        self._pattern = params.get("pattern")
        self._root = root
        self._system = os.uname()
        self._os_family_ids = reading.os_family_ids(root)
        self.module_name = None
        if self._release is None:
            self.spec = rpm.package_spec(params["package"])
            return
        vendor, values = self._names(self._system.release)
        self.spec = self._spec(vendor, values)
        self.module_name = vendors.module_name(vendor, values)

    def _names(self, kernel_release):
        release = vendors.release_name(self._release)
        vendor = vendors.vendor(self._os_family_ids, release)
        return vendor, vendors.placeholders(kernel_release, self._system.machine, release)

    def _spec(self, vendor, values):
        pattern = self._pattern or (vendor.package if vendor else vendors.GENERIC)
        return vendors.spec(pattern, values)

    def wanted(self, params, timeout, check_mode):
        """Return what is asked of this host (install.Wanted). timeout: seconds for each command (int)."""
        if timeout < 1:
            raise LivepatchError("bad_name", "timeout: expected at least 1 second, found %d." % timeout)
        return install.Wanted(
            self.spec,
            self._system.release,
            gpg_check=params["gpg_check"],
            allow_downgrade=params["allow_downgrade"],
            timeout=timeout,
            check_mode=check_mode,
            drift=params["drift"],
            other_engines=params["other_engines"],
            os_family_ids=self._os_family_ids,
            root=self._root,
            exact=self._release is None and bool(package_manager.nevras(self.spec)),
            architecture=self._system.machine,
            **self._pending(params)
        )

    def _pending(self, params):
        """The kernel that boots next and the package of the same release for it, as keywords of Wanted."""
        kernel = drift.pending(self._root) if self._release is not None and params["drift"] != "ignore" else None
        if kernel is None:
            return {}
        spec = self._spec(*self._names(kernel.kernel_release))
        # A pattern without the kernel in it has one package for all kernels, which is the one that was asked for.
        return {} if spec == self.spec else {"pending": kernel, "pending_spec": spec}

# From what the RPM database holds to what is wanted: one package present or absent, verified, and said what was done.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# PRIVATE to this collection: anything may change without notice.

from ansible_collections.kernel.livepatch.plugins.module_utils import _package_manager, _packages
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError


class Wanted:
    """What is asked of this host. spec: package as `rpm -q` takes it. timeout: seconds for each command."""

    def __init__(self, spec, kernel_release, gpg_check=True, allow_downgrade=True, timeout=600, check_mode=False):
        self.spec = spec
        self.kernel_release = kernel_release
        self.gpg_check = gpg_check
        self.allow_downgrade = allow_downgrade
        self.timeout = timeout
        self.check_mode = check_mode


def present(run_command, find, wanted):
    """Install wanted.spec unless it is installed, verify it, and return the module's result (dict).

    run_command: AnsibleModule.run_command. find: function from a program's name to its path or None.
    Raises LivepatchError; its details have "changed" when something had been installed by then.
    """
    current, before = find_installed(run_command, wanted.spec)
    if current:
        return _result("already_installed", current, current.nevra, _proven(run_command, current, wanted))
    manager = _package_manager.choose(run_command, find, wanted.timeout)
    _package_manager.require_space(wanted.spec)
    if before and not wanted.allow_downgrade:
        _refuse_downgrade(run_command, manager, before, wanted)
    if wanted.check_mode:
        available = manager.available(wanted.spec)
        return _result("installed" if available else "not_applicable", before, available, [])
    if not manager.install(wanted.spec, wanted.gpg_check):
        return _result("not_applicable", before, None, [])
    try:
        current = find_installed(run_command, wanted.spec)[0]
        if not current:
            raise LivepatchError(
                "package_failed",
                "package %s: expected it in the RPM database after %s had installed it, it is not there. Give the name "
                "and version that `rpm -q` prints, not something that a package provides."
                % (wanted.spec, manager.program),
            )
        return _result("installed", before, current.nevra, _proven(run_command, current, wanted))
    except LivepatchError as error:
        error.details.update(changed=True, before=_nevra(before))
        raise


def absent(run_command, wanted):
    """Remove wanted.spec if it is installed; refuse where others need it. Returns the module's result (dict)."""
    current = find_installed(run_command, wanted.spec)[0]
    if not current:
        return _result("already_absent", None, None, [])
    _packages.erase(run_command, current.nevra, test=wanted.check_mode)
    return _result("removed", current, None, [])


def find_installed(run_command, spec):
    """Return (the installed package that spec means, another version installed under its name); None for neither.

    Where the name ends in a spec cannot be seen: it may be followed by a version, or by version and release.
    """
    name_release, name_version = spec.rpartition("-")[0], spec.rpartition("-")[0].rpartition("-")[0]
    found = _packages.installed(run_command, *[part for part in (spec, name_release, name_version) if part])
    exact = [package for package in found if _means(spec, package)]
    others = [
        package for package in found if not _means(spec, package) and package.name in (name_release, name_version)
    ]
    return (exact[0] if exact else None), (others[0] if others else None)


def _means(spec, package):
    return spec in _packages.forms(package)


def _proven(run_command, package, wanted):
    """Return the module files of an installed package, signed and as shipped, or raise LivepatchError."""
    if wanted.gpg_check and not _packages.signature(run_command, package.nevra):
        raise LivepatchError(
            "bad_signature",
            "package %s: expected it to be signed, found it installed without a signature. Remove it and install a "
            "signed one, or give gpg_check: false." % package.nevra,
        )
    files = _packages.module_files(run_command, package.nevra, wanted.kernel_release)
    differing = _packages.verify(run_command, package.nevra)
    if differing:
        first = differing[0]
        raise LivepatchError(
            "modified_files",
            "package %s: expected its files as they are in the RPM database, found %d that differ, first %s (%s). "
            "Find out who changed it; `dnf reinstall` or removing the package mends it."
            % (package.nevra, len(differing), first["file"], ", ".join(first["differs"])),
            modified_files=differing,
        )
    return files


def _refuse_downgrade(run_command, manager, before, wanted):
    available = manager.available(wanted.spec)
    if not available:
        return
    # name-version-release.arch from dnf, what was asked for from zypper
    version = available[len(before.name) + 1 :]
    if version.endswith("." + before.arch):
        version = version[: -len(before.arch) - 1]
    if _packages.is_newer(run_command, (before.version, before.release), version.split("-")):
        raise LivepatchError(
            "package_failed",
            "package %s: expected nothing newer than it, found %s installed, and allow_downgrade is false. "
            "Allow the downgrade, or name a newer release." % (available, before.nevra),
        )


def _result(outcome, before, package, files):
    return {
        "changed": outcome in ("installed", "removed"),
        "outcome": outcome,
        "before": _nevra(before),
        "package": package,
        "module_files": files,
    }


def _nevra(package):
    return package.nevra if package else None

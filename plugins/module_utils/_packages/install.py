# From what the RPM database holds to what is wanted: one package present or absent, verified, and said what was done.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import collections
import os

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import (
    engines,
    package_facts,
    package_manager,
    rpm,
    vendors,
)


class Wanted:
    """What is asked of this host, and what was worth a warning on the way.

    spec: package as `rpm -q` takes it. timeout: seconds for each command. pending: drift.Pending, the kernel that boots
    next, or None; pending_spec: the package of the same release for it (str), None where that has no name. drift: "warn",
    "fail" or "ignore" where that package is missing. other_engines: "refuse" or "ignore". os_family_ids: of os-release.
    exact: whether it is one package that a repository is known to have had. architecture: `uname -m`, read when None.
    """

    def __init__(
        self,
        spec,
        kernel_release,
        gpg_check=True,
        allow_downgrade=True,
        timeout=600,
        check_mode=False,
        pending=None,
        pending_spec=None,
        drift="warn",
        other_engines="refuse",
        os_family_ids=(),
        root="/",
        exact=False,
        architecture=None,
    ):
        self.spec = spec
        self.exact = exact
        self.kernel_release = kernel_release
        self.architecture = architecture or os.uname().machine
        self.gpg_check = gpg_check
        self.allow_downgrade = allow_downgrade
        self.timeout = timeout
        self.check_mode = check_mode
        self.pending = pending if pending_spec and drift != "ignore" else None
        self.pending_spec = pending_spec
        self.drift = drift
        self.other_engines = other_engines
        self.os_family_ids = os_family_ids
        self.root = root
        self.warnings = []


def present(run_command, find, wanted, found=None):
    """Install wanted.spec unless it is installed, verify it, and return the module's result (dict).

    run_command: AnsibleModule.run_command. find: function from a program's name to its path or None. found: of ask(),
    None to ask now.
    Raises LivepatchError; its details have "changed" when something had been installed by then.
    """
    found = found or ask(run_command, wanted)
    result = _present(run_command, find, wanted, found)
    if result["outcome"] == "not_applicable" and wanted.exact:
        raise LivepatchError(
            "package_gone",
            "package %s: expected it in a repository of this host, found that none has it any more. Nothing was changed. Have "
            "the repository offer it again, or ask for the newest build." % wanted.spec,
        )
    return result


def _present(run_command, find, wanted, found):
    current, before, ready, newer = found
    if newer and not wanted.allow_downgrade:
        result = _result("already", newer, newer.nevra, _proven(run_command, newer, wanted))
        return dict(result, drift=None, msg=_newer_message(newer, wanted))
    if current:
        result = _result("already_installed", current, current.nevra, _proven(run_command, current, wanted))
        manager = _manager(run_command, find, wanted) if wanted.pending and wanted.drift == "fail" else None
        return _with_drift(result, _drift(manager, ready, wanted), wanted)
    _require_place(wanted)
    manager = _manager(run_command, find, wanted)
    package_manager.require_space(wanted.spec)
    if before and not wanted.allow_downgrade and not wanted.exact:
        _refuse_downgrade(run_command, manager, before, wanted)
    drift = _drift(manager, ready, wanted) if wanted.drift == "fail" else None
    if _refused(drift, wanted) and not manager.available(wanted.spec):
        return dict(_result("not_applicable", before, None, []), drift=drift)
    _refuse_drift(drift, wanted)
    if wanted.check_mode:
        available = manager.would_install(wanted.spec)
        result = _result("installed" if available else "not_applicable", before, available, [])
    else:
        result = _install(run_command, manager, before, wanted)
    wanted.warnings.extend(manager.warnings)
    if result["outcome"] == "not_applicable":
        return dict(result, drift=drift)
    return _with_drift(result, drift or _drift(manager, ready, wanted), wanted)


def ask(run_command, wanted):
    """Return what is installed of what is wanted (Found), with the package for the next kernel.

    Raises LivepatchError: other_kernel where an exact package says by its name that it is for another one.
    """
    other = vendors.other_kernel(wanted.spec, wanted.kernel_release, wanted.architecture) if wanted.exact else None
    if other:
        raise LivepatchError(
            "other_kernel",
            "package %s: expected one for the running kernel %s, found that it is for %s. Ask for the build of this kernel."
            % (wanted.spec, wanted.kernel_release, other),
        )
    beside = wanted.pending_spec if wanted.pending else None
    return find_installed(run_command, wanted.spec, beside, lambda package: _running(package, wanted.root))


def _newer_message(newer, wanted):
    return (
        "package %s: %s is installed, which is newer. It stays, as going back was not asked for (allow_downgrade: false)."
        % (wanted.spec, newer.nevra)
    )


def _require_place(wanted):
    """Raise where a package must not be installed: on an image, and beside another engine at work."""
    subject = "package %s" % wanted.spec
    package_facts.require_no_image(subject, wanted.root)
    if wanted.other_engines == "refuse":
        wanted.warnings.extend(engines.require_idle(engines.find(wanted.root), subject))


def _manager(run_command, find, wanted):
    return package_manager.choose(run_command, find, wanted.timeout, wanted.os_family_ids)


def _install(run_command, manager, before, wanted):
    try:
        if not manager.install(wanted.spec, wanted.gpg_check):
            return _result("not_applicable", before, None, [])
    except LivepatchError as error:
        _tell_change(run_command, before, wanted, error)
        raise
    current = find_installed(run_command, wanted.spec)[0]
    # A package manager that is told to overlook what it does not find succeeds without it.
    if not current and not manager.would_install(wanted.spec):
        return _result("not_applicable", before, None, [])
    try:
        if not current:
            raise LivepatchError(
                "package_failed",
                "package %s: expected it in the RPM database after %s had installed it, it is not there. Give the name "
                "and version that `rpm -q` prints, not something that a package provides."
                % (wanted.spec, manager.program),
            )
        return _result("installed", before, current.nevra, _proven(run_command, current, wanted))
    except LivepatchError as error:
        error.details.update(changed=True, before=_nevra(before), package=_nevra(current))
        raise


def _tell_change(run_command, before, wanted, error):
    """Add to a package manager's failure (LivepatchError, changed in place) what it has done all the same: what was ended
    or killed in the middle, or failed in a script, may have installed the package."""
    try:
        current, other = find_installed(run_command, wanted.spec)[:2]
    except LivepatchError:
        return  # nobody can tell
    if current or _nevra(other) != _nevra(before):
        error.details.update(changed=True, before=_nevra(before), package=_nevra(current))


def absent(run_command, wanted):
    """Remove wanted.spec if it is installed; refuse where others need it. Returns the module's result (dict).

    The livepatch in the kernel stays: still_running names those of the package's livepatches that are enabled.
    """
    current = find_installed(run_command, wanted.spec)[0]
    if not current:
        return dict(_result("already_absent", None, None, []), still_running=[])
    package_facts.require_no_image("package %s" % wanted.spec, wanted.root)
    rpm.erase(run_command, current.nevra, wanted.check_mode, wanted.timeout)
    running = _running(current, wanted.root)
    for name in running:
        wanted.warnings.append(
            "The livepatch %s runs on without its package, until it is disabled or, where it is not kept over reboots, the host "
            "boots. Only the host's own copy, where it has one, tells any more what it is." % name
        )
    return dict(_result("removed", current, None, []), still_running=running)


def _running(package, root):
    """Return the livepatches of an installed package that the kernel has (list of str)."""
    names = [rpm.module_of(path) for path in package.files if rpm.MODULE_FILE.search(path)]
    return [name for name in sorted(set(names)) if sysfs.read_patch(root, name)]


def _drift(manager, ready, wanted):
    """Return what the kernel that boots next has of the release (dict), None without such a kernel.

    ready: the installed package for it, or None. manager: asked whether a repository has it, None to leave that open.
    """
    if not wanted.pending:
        return None
    build = "installed" if ready else _available(manager, wanted) if manager else "not_installed"
    return dict(wanted.pending._asdict(), package=wanted.pending_spec, build=build)


def _refused(drift, wanted):
    return drift is not None and wanted.drift == "fail" and drift["build"] in ("missing", "unknown")


def _refuse_drift(drift, wanted):
    if _refused(drift, wanted):
        raise LivepatchError("drift", _drift_message(drift), drift=drift)


def _with_drift(result, drift, wanted):
    _refuse_drift(drift, wanted)
    if drift and drift["build"] != "installed":
        wanted.warnings.append(_drift_message(drift))
    return dict(result, drift=drift)


def _drift_message(drift):
    found, advice = {
        "available": ("not installed", "Install that package too."),
        "not_installed": ("not installed", "Install that package too, where there is one."),
        "missing": (
            "in no repository",
            "Let the running kernel boot again, or have the release built for the other one.",
        ),
        "unknown": ("not installed, and a repository that does not answer", "Make every enabled repository reachable."),
    }[drift["build"]]
    return "kernel %s: expected the release to be ready for it, as it boots next (known by %s), found %s %s. %s" % (
        drift["kernel_release"],
        drift["known_by"],
        drift["package"],
        found,
        advice,
    )


def _available(manager, wanted):
    try:
        return "available" if manager.available(wanted.pending_spec) else "missing"
    except LivepatchError:
        return "unknown"


Found = collections.namedtuple("Found", "exact other ready newer")
Found.__doc__ = """Installed packages (rpm.Installed), None for each that is not there. exact: what a spec means. other: another
version under its name, the one that runs, else the one installed last. ready: what another spec means. newer: the newest version under its name that is
newer than the spec, where the spec is exact; several may be installed at once."""


def find_installed(run_command, spec, beside=None, runs=lambda package: False):
    """Return what is Found of a spec, and of another one, asked for in the same query. runs: whether an Installed does (function).

    Where the name ends in a spec cannot be seen: it may be followed by a version, or by version and release.
    """
    names = [spec.rpartition("-")[0], spec.rpartition("-")[0].rpartition("-")[0]]
    rows = rpm.versions(run_command, *[part for part in [spec, beside] + names if part])
    exact = [package for package in rows if _means(spec, package)]
    others = [package for package in rows if not _means(spec, package) and package.name in names]
    ready = [package for package in rows if beside and _means(beside, package)]
    newer = [package for package in others if _is_exact(spec) and rpm.is_newer(package[1:3], _version(spec))]
    newest = max(newer, key=lambda package: [rpm.version_key(part) for part in package[1:3]]) if newer else None
    others = [package for package in others if runs(package)] or others
    return Found(*[rpm.last_installed(packages) for packages in (exact, others, ready)] + [newest])


def _is_exact(spec):
    return bool(package_manager.nevras(spec))


def _version(nevra):
    """Return (version, release) of a name-version-release.arch."""
    return tuple(nevra.rpartition(".")[0].rsplit("-", 2)[1:])


def _means(spec, package):
    return spec in rpm.forms(package)


def _proven(run_command, package, wanted):
    """Return the module files of an installed package, signed and as shipped, or raise LivepatchError."""
    if wanted.gpg_check and not rpm.signature(run_command, package):
        raise LivepatchError(
            "bad_signature",
            "package %s: expected it to be signed, found it installed without a signature. Remove it and install a "
            "signed one, or give gpg_check: false." % package.nevra,
        )
    files = rpm.modules_among(package.files, package.nevra, wanted.kernel_release)
    differing = rpm.verify(run_command, package.nevra)
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
    if rpm.is_newer((before.version, before.release), tuple(version.split("-"))):
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

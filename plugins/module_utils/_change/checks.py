# Why a livepatch is refused: by the kernel, or for what it replaces; and whether what is wanted is there.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import errno
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError, module_name
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file

LOCKDOWN = "sys/kernel/security/lockdown"
# klp_force_transition(); it says to which state.
_FORCED_LINE = "livepatch: forcing remaining tasks to the "
_LOG_LINES = 100000
_QUOTED_LINES = 5
_READ_LINES = 200
# Words of the lines that the module loader and the livepatch core write about a refusal.
_ABOUT_MODULES = ("livepatch", "module", "Module", "Lockdown", "magic", "symbol")

# For EINVAL, ENOENT and ENOEXEC the errno does not tell cases apart; the kernel's own line does (5.10 to 7.2).
_BY_LOG = (
    (
        "symbol_missing",
        re.compile(r"not found in symbol table|unresolvable ambiguity|Unknown symbol|symbol position \d+ .*not found"),
        "The file was built for other code than this kernel or module: install the build for exactly this kernel.",
    ),
    (
        "incompatible_state",
        re.compile(r"not compatible with the already installed livepatches"),
        "Load a livepatch that knows the state of the enabled ones, or disable those first.",
    ),
    ("not_a_livepatch", re.compile(r"not marked as a livepatch module"), 'Build it with MODULE_INFO(livepatch, "Y").'),
    ("vermagic", re.compile(r"version magic|disagrees about version"), "Install the build for exactly this kernel."),
)

_KINDS = {True: "one that replaces all others", False: "one that stacks on the others"}


def check_file(module, host, machine):
    """Raise LivepatchError where the file cannot be the livepatch for this kernel.

    module: ModuleFile. host: sysfs.Host. machine: what uname -m prints.
    """
    module_name(module.name)
    wanted_machine = module_file.MACHINES.get(machine)
    if wanted_machine is not None and module.machine != wanted_machine:
        raise LivepatchError(
            "bad_module_file",
            "%s: expected a module for %s, found one for another architecture (ELF machine %d). Install the build for "
            "this architecture." % (module.path, machine, module.machine),
        )
    if not module.livepatch:
        raise LivepatchError(
            "not_a_livepatch",
            "%s: expected a livepatch (livepatch=Y in its modinfo), found the ordinary module %s. Nothing was loaded; "
            "give the livepatch's own file." % (module.path, module.name),
        )
    built_for = module.vermagic.split(" ", 1)[0]
    if built_for != host.kernel_release:
        # Kernels with module versions (5.10 to 6.12) would load it all the same.
        raise LivepatchError(
            "vermagic",
            "%s: expected a livepatch for the running kernel %s, found one for %s. Install the build for this kernel."
            % (module.path, host.kernel_release, built_for),
        )


def check_host(module, root):
    """Raise LivepatchError where the settings of this host forbid to load the file (ModuleFile)."""
    if reading.read_number(os.path.join(root, "proc/sys/kernel/modules_disabled")):
        raise _not_permitted(module, "kernel.modules_disabled is 1", "It cannot be taken back before the next boot.")
    if reading.read_number(os.path.join(root, "proc/sys/kernel/ftrace_enabled")) == 0:
        raise _not_permitted(module, "kernel.ftrace_enabled is 0", "Set it to 1 (sysctl kernel.ftrace_enabled=1).")
    if module.signed:
        return
    if reading.read_text(os.path.join(root, "sys/module/module/parameters/sig_enforce")) == "Y":
        raise LivepatchError(
            "key_rejected",
            "livepatch %s: expected a signed module, because this kernel enforces signatures, found none on %s. "
            "Install a build that its vendor has signed." % (module.name, module.path),
        )
    locked = lockdown(root)
    if locked not in (None, "none"):
        raise _not_permitted(
            module, "the module is not signed and the kernel is locked down (%s)" % locked, "Install a signed build."
        )


def explain_load(error, module, root, log, sequence):
    """Return the LivepatchError for the OSError that loading a ModuleFile gave.

    log: the module kernel_log. sequence: the kernel log's position before loading.
    """
    lines = [
        line
        for line in log.lines_since(sequence, _READ_LINES)
        if module.name in line or any(word in line for word in _ABOUT_MODULES)
    ]
    lines = lines[-_QUOTED_LINES:]
    code, found, advice = _meaning(error.errno, "\n".join(lines), root)
    said = " The kernel said: %s." % " | ".join(lines) if lines else " The kernel logged nothing about it."
    return LivepatchError(
        code,
        "livepatch %s (%s): expected the kernel to take it, found %s.%s %s"
        % (module.name, module.path, found, said, advice),
        errno=errno.errorcode.get(error.errno, str(error.errno)),
        kernel_log=lines,
    )


def _meaning(number, said, root):
    # A callback of the livepatch gives whatever errno it likes.
    if "callback failed" in said:
        found = "a callback of the livepatch that refused it (%s)" % os.strerror(number)
        return "load_failed", found, "Ask whoever built it what that callback checks; see the kernel log."
    if number == errno.EKEYREJECTED or number == errno.ENOKEY:
        return "key_rejected", "its signature refused", "Install a build signed with a key that this kernel trusts."
    if number in (errno.EPERM, errno.EACCES):
        locked = lockdown(root)
        found = "it not permitted (lockdown: %s)" % (locked or "not in this kernel")
        return "not_permitted", found, "Check lockdown, SELinux and the capabilities of the user (CAP_SYS_MODULE)."
    if number == errno.EBUSY:
        return _busy(said, root)
    if number == errno.EEXIST:
        return (
            "busy",
            "a module of that name loaded meanwhile",
            "Somebody else is patching this host: run again when they have ended.",
        )
    for code, pattern, advice in _BY_LOG:
        if pattern.search(said):
            return code, os.strerror(number), advice
    if number == errno.ENOEXEC:
        return "bad_module_file", os.strerror(number), "Fetch or build the module anew."
    return "load_failed", os.strerror(number), "Nothing of it stayed in the kernel; see the kernel log."


def _busy(said, root):
    pending = sysfs.read_host(root).pending
    if pending:
        return "busy", "livepatch %s in transition" % pending, "Run again when its transition has ended."
    if "ftrace" in said:
        return (
            "load_failed",
            "a function that it changes already taken",
            "Stop the tracer or probe that holds the function, or set kernel.ftrace_enabled=1.",
        )
    return "busy", "it busy with another livepatch", "Run again."


def _not_permitted(module, found, advice):
    return LivepatchError(
        "not_permitted",
        "livepatch %s: expected to be allowed to load modules, found that %s. %s" % (module.name, found, advice),
    )


def lockdown(root):
    """Return the kernel's lockdown: none, integrity or confidentiality (str); None where that cannot be read."""
    found = re.search(r"\[(\w+)\]", reading.read_text(os.path.join(root, LOCKDOWN)) or "")
    return found.group(1) if found else None


def refusal_to_replace(params, name, replaces, gone, undo):
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


def forced_before(root, log):
    """Return who was forced on this host since its boot (str), None where neither the note nor the kernel's log has it.

    log: the module kernel_log.
    """
    noted = run_files.forced(root)
    if noted:
        return ", ".join(noted)
    said = any(_FORCED_LINE in line for line in log.lines_since(0, _LOG_LINES))
    return "as the kernel's log says" if said else None


def for_good(error, root, log):
    """Return the LivepatchError for a module that did not become free while it was waited for; error: the one so far."""
    forced = forced_before(root, log) if error.code == "unload_refused" else None
    if forced is None:
        return error
    return LivepatchError(
        "already_forced",
        "%s A transition of this host was forced since its boot (%s): such a module stays until the next boot."
        % (error.message, forced),
    )


def file_code(file):
    """Build id, else srcversion, of a ModuleFile; None where it has neither."""
    return file.build_id or file.srcversion


def loaded_code(root, file):
    """The same of the module of that name in the kernel: both sides must be of the kind that the file has."""
    return sysfs.build_id(root, file.name) if file.build_id else sysfs.srcversion(root, file.name)


def against_enabled(root, host, file):
    """What speaks against the livepatch of a file (ModuleFile) being enabled, as a list of words for people."""
    patch = host.patches.get(file.name)
    if patch is None or file.name not in host.enabled:
        return ["%s is not enabled for all tasks" % file.name]
    problems = []
    code, loaded = file_code(file), loaded_code(root, file)
    if code is None or code != loaded:
        problems.append("the code in the kernel is %s, that of the file %s" % (loaded, code))
    for name, parts in patch.objects.items():
        # A module that is just coming or going need not be patched.
        present = name == "vmlinux" or (name in host.modules and host.modules[name].live)
        if parts["patched"] is False and present:
            problems.append("%s is not patched" % name)
    return problems


def against_gone(host, names, unloaded):
    """What speaks against livepatches (names) being disabled, and unloaded (bool) too, as a list of words for people."""
    problems = ["%s is enabled" % name for name in names if name in host.patches]
    return problems + ["%s is loaded" % name for name in names if unloaded and name in host.modules]

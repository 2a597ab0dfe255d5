# What a preflight may find: how bad each finding is, and what helps.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

from collections import namedtuple

# Would fail; may stall, or may not take effect; good to know.
ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)

Kind = namedtuple("Kind", "severity error remedy")
Kind.__doc__ = """severity: see above. error: the code with which the module livepatch would fail, None where it would not.
remedy: what to do next (str)."""

_NEWER_BUILD = "Install the build for exactly this kernel."
_OTHER_FILE = "Fetch or build the module anew."

KINDS = {
    # The file
    "not_found": Kind(ERROR, "not_found", "Install the package of the livepatch, or correct the name or path."),
    "bad_module_file": Kind(ERROR, "bad_module_file", _OTHER_FILE),
    "bad_name": Kind(ERROR, "bad_name", "Give the name that modinfo -F name prints."),
    "package_modified": Kind(ERROR, "package_modified", "Find out who changed the files; reinstall the package."),
    "package_failed": Kind(ERROR, "package_failed", "Mend the RPM database of the host."),
    "no_package_manager": Kind(ERROR, "no_package_manager", "Give name or path: the host has no rpm."),
    "no_module_in_package": Kind(
        ERROR, "no_module_in_package", "Choose another package: this one has no kernel module."
    ),
    "other_kernel": Kind(ERROR, "other_kernel", _NEWER_BUILD),
    "package_not_installed": Kind(INFO, None, "The role install brings it. Run the preflight again after that."),
    "not_a_livepatch": Kind(ERROR, "not_a_livepatch", "Give the livepatch's own file."),
    "architecture": Kind(ERROR, "bad_module_file", "Install the build for this architecture."),
    "vermagic": Kind(ERROR, "vermagic", _NEWER_BUILD),
    "functions_unknown": Kind(INFO, None, "Compare by hand what it changes with what is probed and traced."),
    # The host
    "unsupported": Kind(ERROR, "unsupported", "Boot a kernel built with CONFIG_LIVEPATCH."),
    "not_root": Kind(ERROR, "not_permitted", "Use become."),
    "modules_disabled": Kind(ERROR, "not_permitted", "Boot anew: it cannot be taken back before."),
    "ftrace_disabled": Kind(ERROR, "not_permitted", "Set it to 1: sysctl kernel.ftrace_enabled=1."),
    "signature_enforced": Kind(ERROR, "key_rejected", "Install a build that its vendor has signed."),
    "locked_down": Kind(ERROR, "not_permitted", "Install a build that its vendor has signed."),
    "signature_unproven": Kind(
        WARNING, None, "Only the kernel can judge the key: try one host, and look for its key in /proc/keys."
    ),
    "secure_boot": Kind(INFO, None, "Nothing, as long as the kernel takes unsigned modules."),
    "other_engine": Kind(ERROR, "other_engine", "Take the patches of the other engine out first."),
    "engine_unclear": Kind(WARNING, None, "Make sure that the other engine has not changed this kernel."),
    "patches_itself": Kind(
        WARNING, None, "Hold it back for the time of the rollout (livepatch_hold_automation), or switch it off."
    ),
    "low_memory": Kind(WARNING, None, "Free memory before."),
    "run_full": Kind(WARNING, None, "Free space in /run, where the lock of this host is kept."),
    "forced_before": Kind(WARNING, None, "Plan a reboot before further livepatches."),
    # Other livepatches
    "transition_pending": Kind(ERROR, "busy", "Wait for it to end, or see who blocks it and turn it round."),
    "transition_fresh": Kind(
        WARNING, None, "The module livepatch waits for it to end, as long as its option timeout says."
    ),
    "in_transition": Kind(INFO, None, "The module livepatch waits for it, or turns it round."),
    "other_code": Kind(
        ERROR, "other_code", "Build it under a new module name, or disable and unload the other one first."
    ),
    "already_forced": Kind(ERROR, "already_forced", "Use a livepatch of another name until the next boot."),
    "unload_refused": Kind(ERROR, "unload_refused", "Unload what uses it, or use a livepatch of another name."),
    "busy": Kind(ERROR, "busy", "Run again: somebody else is loading or unloading a module of that name."),
    "replace_mismatch": Kind(ERROR, "replace_mismatch", "Correct the option replace, or the build."),
    "replaces_others": Kind(
        ERROR, "replaces_others", "Name them in the option replaces, or take one that stacks on the others."
    ),
    "already_enabled": Kind(INFO, None, "Nothing: this host has it."),
    "replaced": Kind(INFO, None, "Nothing, if they are older releases of the same."),
    "unloaded": Kind(INFO, None, "Nothing: they are no longer in use."),
    "function_patched_already": Kind(
        WARNING, None, "The newest wins: make sure that it contains what the other one changes there."
    ),
    # What it changes
    "function_missing": Kind(
        ERROR, "symbol_missing", "The file was built for other code: install the build for exactly this kernel."
    ),
    "function_ambiguous": Kind(ERROR, "symbol_missing", "Build it with the position of the symbol (old_sympos)."),
    "function_untraceable": Kind(ERROR, "load_failed", "Build it to change the callers of that function."),
    "symbol_missing": Kind(ERROR, "symbol_missing", _NEWER_BUILD),
    "depends_missing": Kind(ERROR, "object_missing", "Install that module for this kernel, and have depmod record it."),
    "object_not_loaded": Kind(
        INFO, None, "Nothing: it is changed as soon as it is loaded. Its functions could not be checked."
    ),
    "no_object_loaded": Kind(
        WARNING, None, "Load the module if this host needs the fix in effect; else it waits for the module."
    ),
    "function_held": Kind(ERROR, "load_failed", "Stop the probe or tracer that holds the function."),
    "probe_bypassed": Kind(WARNING, None, "Tell the owner of the probe: the code that it is in is no longer run."),
    "function_traced": Kind(INFO, None, "Nothing: the livepatch loads beside it."),
    "task_in_function": Kind(
        WARNING, None, "Have these tasks leave the function: restart their service, or patch when it is idle."
    ),
    "kretprobe_on_stack": Kind(WARNING, None, "Remove the return probe, or give the transition more than 20 seconds."),
    "not_checked": Kind(INFO, None, "Make it readable for root on this host if it matters here."),
}


class Findings(object):
    """The findings of one host, each once for one evidence."""

    def __init__(self):
        self._found = []

    def add(self, name, evidence):
        """Note a finding."""
        kind = KINDS[name]
        finding = {
            "id": name,
            "severity": kind.severity,
            "error": kind.error,
            "evidence": evidence,
            "remedy": kind.remedy,
        }
        if finding not in self._found:
            self._found.append(finding)

    def has(self, severity):
        """Whether there is one of that severity."""
        return any(finding["severity"] == severity for finding in self._found)

    def sorted(self):
        """The findings (list of dict), the worst first."""
        return sorted(self._found, key=lambda finding: SEVERITIES.index(finding["severity"]))

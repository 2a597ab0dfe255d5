# The facts about livepatches: one reading of the kernel's tree, no process.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import os

from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_record
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import package_facts

BLOCKERS = "blockers"
# What costs more than looks at a few files.
CHOICES = package_facts.CHOICES + (BLOCKERS,)


def gather(root="/", asked=(), run_command=None):
    """Return the facts (dict); what this kernel does not have is None, never missing.

    asked: what is to be gathered besides, of CHOICES; run_command (AnsibleModule.run_command) is for that.
    """
    host = sysfs.read_host(root)
    facts = of_kernel(root, host, asked)
    packages = [choice for choice in asked if choice in package_facts.CHOICES]
    package_facts.add(facts, root, host, packages, run_command)
    return facts


def of_kernel(root, host, asked=()):
    """Return those of the facts (dict) that tell what a sysfs.Host runs, and nothing about packages or other engines."""
    forced = run_files.forced(root)
    kept, boot_guard = boot_record.facts(root, host.kernel_release)
    uptime = reading.uptime(root)
    return {
        "supported": host.supported,
        "kernel_release": host.kernel_release,
        "architecture": os.uname().machine,
        "effective_release": host.effective_release,
        "boot_id": reading.boot_id(root),
        "uptime_seconds": None if uptime is None else int(uptime),
        "enabled": host.topmost,
        "patches": {name: _patch(root, host, name, forced, kept) for name in host.patches},
        "inert": host.inert,
        "transition": _transition(root, host, asked),
        "taint": sysfs.taint(root),
        "os_family_ids": reading.os_family_ids(root),
        "boot_guard": boot_guard,
    }


def _patch(root, host, name, forced, kept):
    patch = host.patches[name]
    return dict(
        patch._asdict(),
        objects=dict(patch.objects),
        # The kernel shows it nowhere: what is not noted may have been forced by others.
        forced=True if name in forced else None,
        build_id=sysfs.build_id(root, name),
        srcversion=sysfs.srcversion(root, name),
        taint=host.modules[name].taint if name in host.modules else None,
        persistent=name in kept,
    )


def _transition(root, host, asked):
    name = host.pending
    if name is None:
        return None
    found = {"livepatch": name, "direction": sysfs.patch_state(host.patches[name])}
    if BLOCKERS not in asked:
        return dict(found, blockers=None, summary=None, seconds=None)
    # Imported by a run only when somebody asks.
    from ansible_collections.kernel.livepatch.plugins.module_utils._health import livepatch_log
    from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log, stalls

    blockers, summary = stalls.by_stacks(root, name)
    seconds = livepatch_log.lasts(kernel_log.read().records, name, root)
    return dict(found, blockers=blockers, summary=summary, seconds=seconds)

#!/usr/bin/python
# Bring one kernel livepatch, or all of a host, to a wanted state.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch
short_description: Installs, enables, disables or unloads a kernel livepatch
version_added: 0.1.0
description:
  - Brings a kernel livepatch to a state, waits until every task of the host has switched, and proves that the code in
    the kernel is the code of the file.
  - A livepatch counts as enabled only when its transition has ended and the build id of the running code equals the
    file's. Another livepatch of the same name is never taken for the wanted one.
  - A new livepatch is in before an old one goes. What was begun and cannot be finished is undone, and the result says so.
  - With O(release) one execution does all that a host needs. The package is installed if it is not there; what its scripts
    do to the kernel belongs to the change; and in the end the host is looked at once, see RV(health).
  - Of what is proven a copy is kept, V(/var/lib/livepatch/<kernel release>/<name>.ko), for which an upgrade of the package is
    no end. What is brought back, and what a boot enables, is that copy.
  - Only the interfaces of the kernel are used. No C(kpatch) or other livepatch program is needed, and where one is
    installed it is left alone.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
    details:
      - Everything that can be read is read and checked, also the module file. What only the kernel can judge, for
        example a signature's key or a missing symbol, shows in the real run.
      - Whether a livepatch replaces the others is read from its file. Where the file does not show it, O(replace) is
        believed, and without it a livepatch is expected to be cumulative, that is to replace the others.
  diff_mode:
    support: full
options:
  release:
    description:
      - What to bring, for example V(hotfix3). The package is found for the running kernel as M(kernel.livepatch.livepatch_package)
        finds it, and installed if it is not there.
      - If no repository has a build for this kernel the host stays as it is, and RV(outcome) is V(not_applicable).
      - For O(state=enabled) only.
    type: str
  pattern:
    description: How the package of O(release) is called, as for M(kernel.livepatch.livepatch_package).
    type: str
  name:
    description:
      - Name of the livepatch's module, as C(modinfo -F name) prints it and C(/sys/kernel/livepatch) shows it.
      - For O(state=enabled) its file is looked up for the running kernel, first as C(depmod) recorded it, then in the
        directories C(updates), C(extra) and C(livepatch) of the kernel's modules, then among the host's own copies.
      - Exactly one of O(release), O(name), O(path), O(package) and O(all) is required.
    type: str
  path:
    description: A file on the target, V(.ko), V(.ko.xz), V(.ko.gz) or V(.ko.zst). It says the name of its module itself.
    type: path
  package:
    description:
      - An installed RPM package with exactly one module for the running kernel, as C(rpm -q) takes it. Packages with several
        livepatches that belong together are not supported.
      - With O(state=enabled) the package's files are compared with the RPM database before anything is loaded.
    type: str
  install:
    description:
      - Install O(package) if it is not there, and go on as with O(release).
      - Of a package with name, version, release and architecture, as M(kernel.livepatch.livepatch_builds) tells it, more is
        known. That no repository has it any more is the failure V(package_gone), and that it is for another kernel is
        V(other_kernel) before anything is done.
    type: bool
    default: false
  gpg_check:
    description: For O(release) and O(install), as for M(kernel.livepatch.livepatch_package).
    type: bool
    default: true
  allow_downgrade:
    description:
      - For O(release) and O(install), as for M(kernel.livepatch.livepatch_package).
      - With RV(outcome=already) a livepatch of the newer package that runs is proven; one that does not run is not brought in.
    type: bool
    default: true
  drift:
    description: For O(release), as for M(kernel.livepatch.livepatch_package).
    type: str
    choices: [warn, fail, ignore]
    default: warn
  package_timeout:
    description: For O(release) and O(install), seconds that one command of the package manager may take.
    type: int
    default: 600
  kdump_directories:
    description: For O(release) and O(install), where RV(health) looks, as for M(kernel.livepatch.livepatch_health).
    type: list
    elements: path
    default: [/var/crash]
  coredump_directories:
    description: For O(release) and O(install), where RV(health) looks, as for M(kernel.livepatch.livepatch_health).
    type: list
    elements: path
    default: [/var/lib/systemd/coredump]
  all:
    description:
      - Every livepatch of the host, the newest first.
      - For O(state=disabled) and O(state=absent) only.
    type: bool
    default: false
  state:
    description:
      - V(enabled) loads the livepatch, if it is not enabled, and waits for its transition.
      - V(disabled) takes it out of use; its module may stay loaded, inert.
      - V(absent) also unloads the module.
      - Disabling a livepatch that has replaced others does not bring those back. To go back to an older livepatch,
        enable that one.
    type: str
    choices: [enabled, disabled, absent]
    default: enabled
  replace:
    description:
      - What is expected of the livepatch, that it replaces all others (V(true)) or stacks on them (V(false)).
      - It changes nothing about the livepatch. If the livepatch is of the other kind the task fails with the error
        V(replace_mismatch), and it is taken out again where that leaves the host as it was.
      - When unset, the livepatch may be of either kind.
    type: bool
  replaces:
    description:
      - For O(state=enabled), the only livepatches that may be replaced. If another one is enabled that would be replaced,
        the task fails with the error V(replaces_others) before anything is touched.
      - An empty list allows none. When unset, every livepatch may be replaced.
      - Where it shows only afterwards what was replaced, the livepatch is taken out again and the former ones are brought
        back, from the files that O(name) would find for them.
    type: list
    elements: str
  unload_inert:
    description:
      - Also unload livepatch modules that are loaded but no longer enabled, after O(state=enabled) is reached.
      - Modules that the kernel still holds, as after a forced transition, stay, with a warning.
    type: bool
    default: true
  timeout:
    description:
      - Seconds that one transition may take before it counts as stalled. It is kept to the second.
      - The kernel itself signals the tasks that hold up a transition after 15 seconds, and again every 15 seconds. What
        that achieves shows within three more seconds, so less than 20 gives up before the kernel's own remedy.
      - Finding out why tasks block may take two seconds more, see RV(transition.blockers[].reason_code).
    type: int
    default: 60
  on_stall:
    description:
      - What to do when a transition takes longer than O(timeout). RV(remedies) tells what each remedy achieved.
      - V(revert) turns it round, waits for that at least a minute, unloads a livepatch that was being loaded, and fails.
      - V(wait) waits for O(timeout) once more, and long enough for the kernel's first signals; then it fails and leaves
        the transition pending.
      - V(fail) fails at once and leaves the transition pending. Until it ends the kernel refuses every other livepatch.
    type: str
    choices: [revert, wait, fail]
    default: revert
  stall_restart_units:
    description:
      - Units of systemd that may be restarted when a transition has stalled, for example V(app.service) or V(app).
      - Only those of them are restarted whose tasks hold it up, each within 100 seconds, before O(on_stall) reverts.
    type: list
    elements: str
    default: []
  other_engines:
    description:
      - What to do where another livepatch engine has changed the kernel, such as Ksplice, KernelCare, Canonical Livepatch,
        SysCare or the module C(kpatch.ko), and a livepatch is to be installed or loaded. V(refuse) fails with V(other_engine). An idle
        engine is no reason to refuse.
    type: str
    choices: [refuse, ignore]
    default: refuse
  force:
    description:
      - When nothing else has ended a stalled transition, let the kernel force it, instead of reverting.
      - This gives up the kernel's guarantee that no task runs old and new code at once. Modules that take part can then
        not be unloaded before the next boot, and RV(forced) is V(true). Plan a reboot, and no further livepatch before it.
      - It is done once in a boot. After that, a stalled transition is dealt with as O(on_stall) says, and the task fails
        with the error V(already_forced).
      - It needs a livepatch that is named, and does not go with O(all).
    type: bool
    default: false
  from_variables:
    description:
      - Take each option that the task does not give from the variable of the host that is called as it with C(livepatch_) before
        it, where there is one. What the livepatch is says C(livepatch_path), else C(livepatch_package), else C(livepatch_release).
        They are the variables of role P(kernel.livepatch.apply#role), which uses this.
      - It is done on the controller, and costs it less than a template for each option. What takes longer than these options allow for
        is given up, unless the task has a C(timeout).
    type: bool
    default: false
  lock_timeout:
    description:
      - Seconds to wait while another run of this module changes the same host.
      - After that the task fails with the error V(locked) and RV(holder). The lock of a process that has died is gone
        with it. Nothing is locked in check mode, and where there is nothing to do.
    type: int
    default: 0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
requirements:
  - Linux 5.10 or later with CONFIG_LIVEPATCH
  - Python 3.6 or later on the target
  - C(rpm) for O(package), C(zstd) for files compressed with it
seealso:
  - module: kernel.livepatch.livepatch_facts
  - module: kernel.livepatch.livepatch_package
  - module: kernel.livepatch.livepatch_health
notes:
  - On failure RV(error) is one of V(stalled), V(busy), V(key_rejected), V(not_permitted), V(vermagic), V(not_a_livepatch),
    V(bad_module_file), V(object_missing), V(symbol_missing), V(incompatible_state), V(already_forced), V(other_code),
    V(unsupported), V(not_found), V(bad_name), V(bad_option), V(package_modified), V(package_failed),
    V(no_module_in_package), V(no_package_manager), V(other_kernel), V(unload_refused), V(replace_mismatch), V(replaces_others),
    V(locked), V(load_failed), V(not_proven), V(other_engine), V(unreadable), V(disk_full), V(write_failed). The last two are
    about the copy, without which nothing is loaded. With O(release) and O(install) the errors of
    M(kernel.livepatch.livepatch_package) come on top.
  - A transition that is already pending is waited for first, for up to O(timeout). If it is the wanted livepatch's own
    and goes the wrong way it is turned round instead; and so is one that is to replace the wanted livepatch, which is
    still enabled.
"""

EXAMPLES = r"""
- name: Bring a release, package and all, and look what has happened
  kernel.livepatch.livepatch:
    release: hotfix3
  become: true
  register: applied

- name: Go on only if nothing has happened that did not happen before
  ansible.builtin.assert:
    that: applied.outcome == 'not_applicable' or applied.health.events | selectattr('new') | length == 0

- name: Enable the livepatch of an installed package
  kernel.livepatch.livepatch:
    package: klp-6.1.0-56-amd64-hotfix3
  become: true

- name: Enable a livepatch by file, and give it two minutes
  kernel.livepatch.livepatch:
    path: /root/hotfix3.ko
    timeout: 120
  become: true

- name: Stack a livepatch that must not replace the others
  kernel.livepatch.livepatch:
    name: addon_a
    replace: false
  become: true

- name: Replace nothing but the last release, and restart the application if it holds the transition up
  kernel.livepatch.livepatch:
    name: hotfix3
    replaces: [hotfix2]
    stall_restart_units: [app.service]
    lock_timeout: 120
  become: true

- name: Take one livepatch out and unload its module
  kernel.livepatch.livepatch:
    name: addon_a
    state: absent
  become: true

- name: Go back to the kernel as it was booted
  kernel.livepatch.livepatch:
    all: true
    state: absent
  become: true
"""

RETURN = r"""
name:
  description: Name of the livepatch, V(null) with O(all).
  returned: always
  type: str
  sample: hotfix3
before:
  description: What the host ran before.
  returned: always
  type: dict
  contains:
    enabled:
      description: The topmost enabled livepatch, or V(null).
      type: str
    effective_release:
      description: The kernel release with that livepatch.
      type: str
effective_release:
  description: Kernel release plus the topmost enabled livepatch, afterwards; in check mode as predicted.
  returned: always
  type: str
  sample: 6.1.0-56-amd64-hotfix3
diff:
  description:
    - C(before) and C(after), each with the livepatches that are C(enabled), oldest first, and the modules that are C(inert).
    - If a transition was pending, C(before) is what was there when it had ended.
    - With O(release) and O(install) also the C(package).
  returned: always
  type: dict
outcome:
  description:
    - What became of the package. V(not_applicable), no repository has one for this kernel. V(already), a newer one is installed,
      see O(allow_downgrade); then RV(name) is V(null) where none of its livepatches runs.
  returned: with O(release) and O(install)
  type: str
  choices: [installed, already_installed, already, not_applicable]
package:
  description: Name, version, release and architecture of the package that is installed now, or V(null); predicted in check mode.
  returned: with O(release) and O(install)
  type: str
  sample: klp-6.1.0-56-amd64-hotfix3-1.x86_64
package_before:
  description: The package that was installed under that name before, or V(null).
  returned: with O(release) and O(install)
  type: str
  sample: klp-6.1.0-56-amd64-hotfix2-1.x86_64
drift:
  description: What the kernel that boots next has of the release, as M(kernel.livepatch.livepatch_package) returns it.
  returned: with O(release) and O(install)
  type: dict
health:
  description:
    - What has happened since RV(since), as M(kernel.livepatch.livepatch_health) returns it, read after everything else.
    - V(null) in check mode, with RV(outcome=not_applicable) unless a run that was killed had begun to change the host, where a
      failed run had not begun to change it, and where it could not be read, which a warning says.
  returned: with O(release) and O(install)
  type: dict
replaced:
  description: Livepatches that are no longer enabled because this one has replaced them, newest first.
  returned: always
  type: list
  elements: str
unloaded:
  description: Modules that were unloaded.
  returned: always
  type: list
  elements: str
transition:
  description: The transitions of this run.
  returned: always
  type: dict
  contains:
    seconds:
      description: How long they took, with all that was done about a stalled one.
      type: float
    blocking:
      description: How many tasks had not switched when the timeout was over.
      type: int
    summary:
      description: One line about the tasks below, V(null) where nothing stalled.
      type: str
      sample: 12 tasks sleeping in tcp_recvmsg; 3 always running
    blockers:
      description: Up to 50 of these tasks.
      type: list
      elements: dict
      contains:
        pid:
          description: The task's id.
          type: int
        comm:
          description: The task's name.
          type: str
        kthread:
          description: Whether it is a thread of the kernel.
          type: bool
        state:
          description: The letter that C(ps) shows, for example V(D) for an uninterruptible sleep.
          type: str
        unit:
          description: Its systemd unit, or V(null).
          type: str
        cgroup:
          description: Its control group, or V(null).
          type: str
        reason:
          description: Why it has not switched, as its stack tells.
          type: str
          sample: sleeping on patched function tcp_recvmsg of object vmlinux
        reason_code:
          description:
            - V(sleeping) in a patched function, or in a function of a livepatch.
            - V(running) when it was looked at.
            - V(unreliable_stack) where it was neither at two looks, between which the kernel has tried to switch it.
            - V(unknown) where its stack could not be read.
          type: str
        function:
          description: The function that it sleeps in, or V(null).
          type: str
        object:
          description: Whose function that is, V(vmlinux), a module or a livepatch, or V(null).
          type: str
        stack:
          description: Its stack in the kernel, the innermost function first.
          type: list
          elements: str
remedies:
  description: What was done about a stalled transition, in that order.
  returned: always
  type: list
  elements: dict
  contains:
    remedy:
      description:
        - V(signal), the kernel's own signals, while they were waited for; V(wait); V(restart); V(force); V(revert).
      type: str
    seconds:
      description: How long it took.
      type: float
    achieved:
      description: V(ended) the transition, V(reverted) it, V(fewer) tasks block, or V(nothing).
      type: str
    blockers_before:
      description: How many tasks blocked before.
      type: int
    blockers_after:
      description: How many tasks blocked afterwards.
      type: int
    units:
      description: For V(restart), each unit and what became of it.
      type: dict
forced:
  description: Whether the transition was forced.
  returned: always
  type: bool
build_id:
  description: Build id of the file, V(null) where no file was needed.
  returned: always
  type: str
since:
  description: The position of the kernel's log before anything was done. M(kernel.livepatch.livepatch_health) takes it.
  returned: always
  type: dict
  contains:
    boot_id:
      description: The kernel's name for this boot.
      type: str
    sequence:
      description: Number of the next record, V(null) where the log cannot be read.
      type: int
    time:
      description: When that was, in UTC, by the clock of the host.
      type: str
      sample: "2026-05-04T08:15:00Z"
    taint:
      description: What tainted the kernel, as a number.
      type: int
      sample: 4096
    counters:
      description: The kernel's own counts of oopses (C(oops_count)) and warnings (C(warn_count)) since this boot.
      type: dict
proven:
  description:
    - Whether the wanted state was read back from the kernel.
    - For O(state=enabled) that means enabled, no transition, the build id of the code in the kernel equal to the file's,
      and every present object patched. V(false) when check mode predicts a change.
  returned: always
  type: bool
msg:
  description: What was expected, what was found, what to do next.
  returned: on failure, and when RV(outcome) is V(already)
  type: str
error:
  description: A code for the reason, see the notes.
  returned: on failure
  type: str
  sample: stalled
errno:
  description: Name of the kernel's error when it refused the module.
  returned: when loading fails
  type: str
  sample: EINVAL
holder:
  description: The process that has the lock of this host, with C(pid), C(since) and what it C(does).
  returned: when RV(error) is V(locked)
  type: dict
running:
  description: The livepatch asked for, which runs though its package or file is gone.
  returned: when RV(error) is V(not_found) and it runs
  type: str
package_removed:
  description: V(true), its package was removed while it ran.
  returned: with RV(running)
  type: bool
engines:
  description: The other livepatch engines on the host, as in the facts.
  returned: when RV(error) is V(other_engine)
  type: list
  elements: dict
files:
  description: The files that differ from the RPM database, each with C(file) and what C(differs).
  returned: when RV(error) is V(package_modified)
  type: list
  elements: dict
kernel_log:
  description: What the kernel logged about the refusal, at most five lines.
  returned: when loading fails
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_record, hold
from ansible_collections.kernel.livepatch.plugins.module_utils._change.livepatch import Run
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility.publish import update


def main():
    module = AnsibleModule(
        argument_spec=dict(
            release=dict(type="str"),
            pattern=dict(type="str"),
            name=dict(type="str"),
            path=dict(type="path"),
            package=dict(type="str"),
            install=dict(type="bool", default=False),
            gpg_check=dict(type="bool", default=True),
            allow_downgrade=dict(type="bool", default=True),
            drift=dict(type="str", choices=["warn", "fail", "ignore"], default="warn"),
            package_timeout=dict(type="int", default=600),
            kdump_directories=dict(type="list", elements="path", default=["/var/crash"]),
            coredump_directories=dict(type="list", elements="path", default=["/var/lib/systemd/coredump"]),
            all=dict(type="bool", default=False),
            state=dict(type="str", choices=["enabled", "disabled", "absent"], default="enabled"),
            replace=dict(type="bool"),
            replaces=dict(type="list", elements="str"),
            unload_inert=dict(type="bool", default=True),
            timeout=dict(type="int", default=60),
            on_stall=dict(type="str", choices=["revert", "wait", "fail"], default="revert"),
            stall_restart_units=dict(type="list", elements="str", default=[]),
            other_engines=dict(type="str", choices=["refuse", "ignore"], default="refuse"),
            force=dict(type="bool", default=False),
            from_variables=dict(type="bool", default=False),  # The action plugin has resolved it.
            lock_timeout=dict(type="int", default=0),
        ),
        mutually_exclusive=[("release", "name", "path", "package")],
        required_by={"pattern": "release"},
        supports_check_mode=True,
    )
    given = [option for option in ("release", "name", "path", "package", "all") if module.params[option]]
    if len(given) != 1:
        module.fail_json(
            error="bad_option",
            msg="Expected exactly one of release, name, path, package and all, found %s."
            % (", ".join(given) or "none of them"),
        )
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    run = Run(
        module.params,
        module.run_command,
        module.check_mode,
        lambda *told: _tell(module, *told),
        module.get_bin_path,
        hold=lambda *about: hold.Hold(module.run_command, *about),
    )
    try:
        result = run.execute()
    except LivepatchError as error:
        _warn(module, run)
        module.fail_json(msg=error.message, error=error.code, **error.details)
    _warn_of_unloading(module, result)
    _warn(module, run)
    module.exit_json(**result)


def _tell(module, root, warnings):
    update(root, warnings)
    if module.params["state"] != "enabled":
        warnings.extend(
            "The next boot of this kernel enables livepatch %s again, by %s. The module livepatch_persistence with state: absent "
            "sees to it that no boot does." % returning
            for returning in boot_record.returning(root)
        )


def _warn_of_unloading(module, result):
    """Red Hat: "unloading a kernel livepatch is not supported" (RHEL's documentation of livepatches)."""
    if module.params["state"] == "enabled" or not {"rhel", "centos"} & set(reading.os_family_ids("/")):
        return
    before, after = (result["diff"][when]["enabled"] for when in ("before", "after"))
    for name in before:
        if name.startswith("kpatch_") and name not in after:
            module.warn(
                "Red Hat does not support taking a livepatch (%s) out of the kernel that runs: to be within its support, let it "
                "stay until the next boot (role rollback with livepatch_rollback_unload: false)." % name
            )


def _warn(module, run):
    for warning in run.warnings:
        module.warn(warning)


if __name__ == "__main__":
    main()

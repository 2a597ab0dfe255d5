#!/usr/bin/python
#
# Installs the livepatch package for the running kernel, or removes one.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_package
short_description: Install the livepatch package that was built for the running kernel
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Finds the package that brings a release to the kernel that runs on this host, installs it with the package manager
    of the host (C(dnf), C(yum), C(tdnf) or C(zypper)), and compares what was installed with the RPM database.
  - Nothing is loaded into the kernel. M(kernel.livepatch.livepatch) does that.
  - That no repository has a build for this kernel is not a failure but the outcome V(not_applicable). A repository that
    cannot be reached is a failure, and is never taken for one that does not have the package.
  - A package that is installed already costs no run of the package manager, only questions to the RPM database.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
    details:
      - The package is looked up in the repositories. The package manager may refresh its metadata for that.
      - Signatures and the files of a package that is not installed yet can only be checked by the real run.
  diff_mode:
    support: full
options:
  release:
    description:
      - The release to bring to this host, for example V(hotfix3), or what the vendor numbers its livepatch packages
        with, for example V(1-5) for RHEL and V(6-150400.2.2) for SUSE, without the tag of the distribution.
      - Exactly one of O(release) and O(package) is needed.
    type: str
  pattern:
    description:
      - How the package of a release is called. The result must be something that both C(dnf install) and C(rpm -q)
        understand, a name, or a name with version or with version and release.
      - V({release}) is O(release), V({kernel}) what C(uname -r) prints, V({arch}) what C(uname -m) prints.
      - V({kernel_base}) is V({kernel}) without the architecture and without the tag of the distribution,
        V({kernel_base_underscored}) the same with C(_) for C(.), V({dist}) is that tag with its dot, or nothing,
        V({kernel_build}) what follows the version of the kernel. Of C(5.14.0-427.40.1.el9_4.x86_64) they are
        C(5.14.0-427.40.1), C(5_14_0-427_40_1), C(.el9_4) and C(427.40.1.el9_4).
      - Without this option the name pattern of the vendor is used where O(release) is numbered as the vendor does, by
        C(ID) and C(ID_LIKE) in C(os-release)
      - V(kpatch-patch-{kernel_base_underscored}-{release}{dist}) for the RHEL family,
        V(kernel-livepatch-{kernel_base_underscored}-{release}) for SUSE,
        V(kernel-livepatch-{kernel_base}-{release}{dist}) for Amazon Linux,
        V(patch-kernel-{kernel_base}{dist}-{release}) for openEuler,
        V(livepatch-{kernel}-{release}{dist}) for Azure Linux,
        V(kernel-hotfix-{release}-{kernel_build}) for Anolis and Alibaba Cloud Linux.
      - For every other release and host it is V(klp-{kernel}-{release}).
    type: str
  package:
    description:
      - The package itself, as C(rpm -q) knows it, instead of O(release).
      - With name, version, release and architecture it is one that a repository is known to have had. That none has it any more is the
        failure V(package_gone), never V(not_applicable).
    type: str
  state:
    description:
      - V(present) installs the package. Another version under the same name is replaced.
      - V(absent) removes it. Where other packages need it, that is refused. The livepatch in the kernel stays, see
        RV(still_running).
    type: str
    choices: [present, absent]
    default: present
  allow_downgrade:
    description:
      - Whether a newer version under the same name may be replaced, which is what going back to an older release is.
      - With V(false) a newer one is a failure for O(release), and for an exact O(package) RV(outcome=already).
    type: bool
    default: true
  gpg_check:
    description:
      - Force signature checks for this transaction, also where the configuration of C(dnf) or of a repository has them
        off, and refuse an installed package that has no signature.
      - C(zypper) and C(tdnf) cannot force them. There the package is downloaded and checked with C(rpmkeys) before it is
        installed, and refused where it cannot be downloaded. With C(zypper) an enabled repository that has them off is
        refused too.
      - With V(false) the configuration of the host decides.
    type: bool
    default: true
  timeout:
    description:
      - Seconds that one command of the package manager may take, and the removal of a package, waiting for locks included.
    type: int
    default: 600
  drift:
    description:
      - What to do where another kernel than the running one boots next and has no build of O(release). After that boot
        the host would run without the livepatch.
      - V(warn) says so. V(fail) refuses before anything is done, with RV(error=drift), unless a repository has the build;
        it asks the package manager for that on every run. V(ignore) does not look.
      - Which kernel boots next is read from files, see RV(drift.known_by). Nothing is pinned.
    type: str
    choices: [warn, fail, ignore]
    default: warn
  other_engines:
    description:
      - What to do where another livepatch engine has changed the kernel, such as Ksplice, KernelCare, Canonical Livepatch,
        SysCare or the module C(kpatch.ko). V(refuse) fails with RV(error=other_engine). An idle one is no reason to refuse.
    type: str
    choices: [refuse, ignore]
    default: refuse
requirements:
  - rpm, timeout of coreutils, and dnf, a yum that is dnf, tdnf or zypper, on the host
  - root
seealso:
  - module: kernel.livepatch.livepatch
"""

EXAMPLES = r"""
- name: Install release hotfix3 for the running kernel
  kernel.livepatch.livepatch_package:
    release: hotfix3
  become: true
  register: package

- name: Load it where there is a build for the kernel
  kernel.livepatch.livepatch:
    package: "{{ package.package }}"
  become: true
  when: package.outcome != 'not_applicable'

- name: Install a livepatch that is named in the house's own way
  kernel.livepatch.livepatch_package:
    release: "7"
    pattern: "acme-livepatch-{kernel_base_underscored}-{release}"
  become: true

- name: Remove the files of a release
  kernel.livepatch.livepatch_package:
    release: hotfix2
    state: absent
  become: true
"""

RETURN = r"""
outcome:
  description: What became of the package on this host.
  returned: success
  type: str
  sample: installed
  choices: [installed, already_installed, already, not_applicable, removed, already_absent]
spec:
  description: The package that was asked for.
  returned: once the name is known
  type: str
  sample: klp-6.1.0-56-amd64-hotfix3
package:
  description:
    - Name, version, release and architecture of the package that was asked for, when it is installed now; else V(null). With
      RV(outcome=already) those of the newer one that is installed.
  returned: success
  type: str
  sample: klp-6.1.0-56-amd64-hotfix3-1.x86_64
before:
  description: The package that was installed under this name before, or V(null).
  returned: success, and on failure when something had been installed
  type: str
  sample: klp-6.1.0-56-amd64-hotfix2-1.x86_64
module_files:
  description: Files of the package that are kernel modules for the running kernel. Empty when it is only predicted.
  returned: success
  type: list
  elements: str
  sample: [/usr/lib/modules/6.1.0-56-amd64/livepatch/hotfix3.ko]
module_name:
  description: What the kernel calls the livepatch of this release, or V(null) where the rule of the vendor is unknown.
  returned: when O(release) is given
  type: str
  sample: hotfix3
kernel_release:
  description: What C(uname -r) prints.
  returned: always
  type: str
  sample: 6.1.0-56-amd64
drift:
  description: The kernel that boots next, when it is not the running one; else V(null).
  returned: success with O(state=present), and when RV(error=drift)
  type: dict
  contains:
    kernel_release:
      description: Its release.
      type: str
    known_by:
      description: The saved entry of the boot loader, the link C(vmlinuz), or only that no installed kernel is newer.
      type: str
      choices: [boot_loader, link, version]
    package:
      description: The package of O(release) for that kernel.
      type: str
    build:
      description:
        - Whether that package is installed, available in a repository, missing in all of them, or unknown because a
          repository does not answer. V(not_installed) when the repositories were not asked, as O(release) was installed.
      type: str
      choices: [installed, available, missing, unknown, not_installed]
still_running:
  description: The livepatches of the removed package that the kernel goes on running.
  returned: success with O(state=absent)
  type: list
  elements: str
  sample: [hotfix1]
engines:
  description: The other livepatch engines on the host, as in the facts.
  returned: when RV(error=other_engine)
  type: list
  elements: dict
image_based:
  description: What kind of image the system is, as in the facts.
  returned: when RV(error=image_based)
  type: str
  sample: ostree
modified_files:
  description: The files that are not as shipped, and in what.
  returned: when RV(error=modified_files)
  type: list
  elements: dict
  sample: [{file: /usr/lib/modules/6.1.0-56-amd64/livepatch/hotfix3.ko, differs: [size, digest]}]
stderr:
  description: The end of what the package manager wrote, at most 2000 characters.
  returned: when a command failed
  type: str
  sample: "Error: GPG check FAILED"
error:
  description:
    - Why it failed.
    - V(repository_unavailable), a repository or a package in it cannot be fetched. V(bad_signature), a package or the
      metadata of a repository is not signed, or with a key that is not trusted. V(disk_full). V(modified_files), a file
      of the installed package is missing, has other content than was shipped, or can be changed by others than root.
    - V(no_package_manager), the host has no C(rpm), or none of C(dnf), C(tdnf), C(zypper) and a C(yum) that is dnf (yum 3 of
      Amazon Linux 2 is not). V(no_module_in_package), the package
      has no kernel module. V(other_kernel), its modules are for other kernels. V(bad_name), the release, pattern or
      package cannot be a name. V(package_failed), everything else, explained in RV(msg) and RV(stderr).
    - V(package_gone), no repository has the exact O(package) any more.
    - V(image_based), the system is an image (ostree, bootc, transactional-update, a read-only C(/usr)) to which no package
      can be added. V(other_engine), see O(other_engines). V(drift), see O(drift).
    - V(not_permitted), V(write_failed), V(insecure_path), what keeps the package's scripts from changing the next boot
      (C(docs/persistence.md) of the collection) could not be written to C(/etc). Nothing was installed.
  returned: failure
  type: str
  sample: repository_unavailable
  choices:
    - repository_unavailable
    - bad_signature
    - disk_full
    - modified_files
    - no_package_manager
    - no_module_in_package
    - other_kernel
    - bad_name
    - package_failed
    - image_based
    - other_engine
    - drift
    - package_gone
    - not_permitted
    - write_failed
    - insecure_path
msg:
  description: What was expected, what was found, what to do next.
  returned: failure, and when RV(outcome) is V(already)
  type: str
  sample: "package klp-6.1.0-56-amd64-hotfix3: expected dnf install to succeed, found: GPG check FAILED."
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._boot import hold
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import asked, install

ARGUMENTS = dict(
    release=dict(type="str"),
    pattern=dict(type="str"),
    package=dict(type="str"),
    state=dict(type="str", choices=["present", "absent"], default="present"),
    allow_downgrade=dict(type="bool", default=True),
    gpg_check=dict(type="bool", default=True),
    timeout=dict(type="int", default=600),
    drift=dict(type="str", choices=["warn", "fail", "ignore"], default="warn"),
    other_engines=dict(type="str", choices=["refuse", "ignore"], default="refuse"),
)


def act(module, wanted):
    """Bring the package to its state and return the result (dict)."""
    try:
        if module.params["state"] == "absent":
            result = install.absent(module.run_command, wanted)
            if result["changed"] and not module.check_mode:
                hold.forget_removed(module.run_command)
            return result
        found = install.ask(module.run_command, wanted)
        if found[0] or module.check_mode:
            return install.present(module.run_command, module.get_bin_path, wanted, found)
        held = hold.Hold(module.run_command, wanted.warnings)
        held.begin()
        try:
            return install.present(module.run_command, module.get_bin_path, wanted, found)
        finally:
            held.end()
    finally:
        for warning in wanted.warnings:
            module.warn(warning)


def main():
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        mutually_exclusive=[("release", "package"), ("pattern", "package")],
        required_one_of=[("release", "package")],
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    result = {"changed": False, "kernel_release": os.uname().release}
    try:
        package = asked.Asked(module.params)
        result["spec"] = package.spec
        if module.params["release"] is not None:
            result["module_name"] = package.module_name
        result.update(act(module, package.wanted(module.params, module.params["timeout"], module.check_mode)))
    except LivepatchError as error:
        result.update(error.details)
        module.fail_json(msg=error.message, error=error.code, **result)
    if module._diff:
        result["diff"] = {
            "before": "%s\n" % (result["before"] or "absent"),
            "after": "%s\n" % ((result["package"] if result["changed"] else result["before"]) or "absent"),
        }
    module.exit_json(failed=False, **result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
#
# Tells which livepatch packages the repositories have for the running kernel, and what they mend.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_builds
short_description: Tell which livepatch the repositories have for the running kernel
version_added: 0.1.0
author:
  - kernel.livepatch contributors (@kernel-livepatch)
description:
  - Vendors number the livepatches of each kernel by themselves. This module says which package is the newest for the kernel
    that runs on this host, or which one an advisory brings to it, and which CVEs it mends.
  - The repositories are asked as the package manager of the host sees them (C(dnf), C(yum), C(tdnf) or C(zypper)), with
    fresh metadata of every enabled one. A repository that is down is a failure, and never taken for one without a build.
  - Nothing is installed and nothing is loaded. M(kernel.livepatch.livepatch) does that with the RV(build.package) that is found.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
    details:
      - It does the same as in a real run. The package manager refreshes its metadata.
  diff_mode:
    support: N/A
    details:
      - Nothing is changed.
options:
  cves:
    description:
      - CVEs that are to be mended. The newest build has them or no build has, as livepatches are cumulative; RV(missing) tells
        which of them it is not known to mend.
      - At most 200.
    type: list
    elements: str
    default: []
  advisory:
    description:
      - The advisory whose package is wanted, for example V(RHSA-2026:1234), V(SUSE-SU-2026:1234-1) or
        V(ALAS2023LIVEPATCH-2026-001). Without O(advisory) the newest build is wanted.
      - Not together with O(cves).
    type: str
  pattern:
    description:
      - How packages are called, as for M(kernel.livepatch.livepatch_package); what stands for V({release}) is left open. It is once
        in the pattern, behind a name.
      - Without this option it is the pattern of the vendor, and where that finds nothing V(klp-{kernel}-{release}), whose release
        is the version of the package.
    type: str
  timeout:
    description:
      - Seconds that one command of the package manager may take.
    type: int
    default: 600
requirements:
  - rpm, timeout of coreutils, and dnf, a yum that is dnf, tdnf or zypper, on the host
  - C(zstd), where a repository packs its advisories with it
  - root
seealso:
  - module: kernel.livepatch.livepatch_package
  - module: kernel.livepatch.livepatch
"""

EXAMPLES = r"""
- name: Ask for the newest livepatch of this host's kernel
  kernel.livepatch.livepatch_builds:
  become: true
  register: builds

- name: Bring it
  kernel.livepatch.livepatch:
    package: "{{ builds.build.package }}"
    install: true
  become: true
  when: builds.build is not none

- name: Ask whether two CVEs can be mended
  kernel.livepatch.livepatch_builds:
    cves: [CVE-2026-40001, CVE-2026-40002]
  become: true
  register: wanted
  failed_when: wanted.failed or wanted.missing

- name: Ask what an advisory brings to this host's kernel
  kernel.livepatch.livepatch_builds:
    advisory: RHSA-2026:1234
  become: true
"""

RETURN = r"""
kernel_release:
  description: What C(uname -r) prints.
  returned: always
  type: str
  sample: 5.14.0-427.40.1.el9_4.x86_64
architecture:
  description: What C(uname -m) prints.
  returned: always
  type: str
  sample: x86_64
vendor:
  description: Whose package names were asked for, a row of the table in C(docs/vendors.md), or V(generic).
  returned: success
  type: str
  sample: rhel
build:
  description:
    - The build that every host with this kernel is to get, or V(null). Of several it is the newest that has a livepatch and that the
      configuration of this host lets in.
  returned: success
  type: dict
  contains:
    package:
      description: Name, version, release and architecture, as M(kernel.livepatch.livepatch) takes them.
      type: str
      sample: kpatch-patch-5_14_0-427_40_1-1-5.el9_4.x86_64
    version:
      description: What stands for V({release}) in the pattern.
      type: str
      sample: 1-5
    livepatch:
      description: The name that the kernel will show, or V(null) where the rule of the vendor is not known.
      type: str
      sample: kpatch_5_14_0_427_40_1_1_5
    built:
      description: When the package was built, in UTC; V(null) where the package manager does not tell (C(zypper), C(tdnf)).
      type: str
      sample: "2026-05-04T08:15:00Z"
    cves:
      description:
        - The CVEs that it is known to mend, those of all advisories that bring it or an older package of its name, at most 200.
        - Where these do not have all of O(cves), or none is told, those of its changelog too, see RV(sources.changelog).
      type: list
      elements: str
      sample: [CVE-2026-40001]
    advisories:
      description: The advisories that bring it or an older package of its name, as the repository calls them, the last 20.
      type: list
      elements: str
      sample: [RHSA-2026:1234]
reason:
  description:
    - Why there is no build, or V(null). V(no_build), no repository has one for this kernel. V(empty), there is only a first package
      without a livepatch. V(not_in_advisory), O(advisory) brings nothing for this kernel. V(excluded), the configuration of the
      package manager on this host keeps it out (an exclude or a lock), see RV(held_back).
  returned: success
  type: str
  choices: [no_build, empty, not_in_advisory, excluded]
  sample: no_build
held_back:
  description: The newest package that the configuration of this host keeps out, where it is newer than RV(build); else V(null).
  returned: success
  type: str
  sample: kpatch-patch-5_14_0-427_40_1-1-6.el9_4.x86_64
missing:
  description: Those of O(cves) that RV(build) is not known to mend; all of them where there is no build.
  returned: success
  type: list
  elements: str
unknown_cves:
  description: Those of O(cves) that neither an advisory of any enabled repository names, nor the changelog if it was read.
  returned: success
  type: list
  elements: str
advisory_known:
  description: Whether a repository has O(advisory). V(null) without one, and where it may be among what could not be read.
  returned: success
  type: bool
sources:
  description: What was read of them.
  returned: success
  type: dict
  contains:
    changelog:
      description: V(read), or V(absent) where it was not needed or the package manager cannot tell it (C(zypper)).
      type: str
    advisories:
      description: V(read), V(absent) where no repository has any, V(truncated) where a limit was met, V(unreadable) where one is damaged
        or cannot be unpacked.
      type: str
newer_installed:
  description: The installed package of the same name that is newer than RV(build), or V(null).
  returned: success
  type: str
  sample: kpatch-patch-5_14_0-427_40_1-1-7.el9_4.x86_64
supported_until:
  description:
    - Until when the vendor makes livepatches for this kernel (YYYY-MM-DD), counted from when the package of the kernel was built, as
      C(docs/vendors.md) tells; V(null) where that is not known.
  returned: success
  type: str
  sample: "2027-05-04"
stderr:
  description: The end of what the package manager wrote, at most 2000 characters.
  returned: when a command failed
  type: str
error:
  description:
    - Why it failed. V(repository_unavailable), an enabled repository cannot be read. V(bad_signature), the signature of one cannot be
      checked. V(disk_full). V(no_package_manager), as for M(kernel.livepatch.livepatch_package). V(bad_name), a CVE, an advisory or
      the pattern cannot be one. V(unsupported), the livepatches of this vendor are not cumulative. V(package_failed),
      everything else, explained in RV(msg) and RV(stderr).
  returned: failure
  type: str
  sample: repository_unavailable
  choices:
    - repository_unavailable
    - bad_signature
    - disk_full
    - no_package_manager
    - bad_name
    - unsupported
    - package_failed
msg:
  description: What was expected, what was found, what to do next.
  returned: failure
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import builds

ARGUMENTS = dict(
    cves=dict(type="list", elements="str", default=[]),
    advisory=dict(type="str"),
    pattern=dict(type="str"),
    timeout=dict(type="int", default=600),
)


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    system = os.uname()
    try:
        result = builds.ask(module.run_command, module.get_bin_path, system=system, **module.params)
    except LivepatchError as error:
        module.fail_json(
            msg=error.message,
            error=error.code,
            kernel_release=system.release,
            architecture=system.machine,
            **error.details
        )
    if result["held_back"]:
        module.warn(
            "package %s: this host's package manager is configured to keep it out. Remove the exclude or the version lock "
            "where it is not meant." % result["held_back"]
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Would this livepatch load, transition and take effect on this host? Nothing is changed to find out.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: livepatch_preflight
short_description: Tells whether a kernel livepatch would load and take effect
version_added: 0.1.0
description:
  - Looks at a livepatch and at a host, and lists every reason known why the kernel would refuse the livepatch, why its
    transition may stall, and why it may not take effect.
  - Nothing is loaded, written, mounted or switched on. Check mode does the same as a real run.
  - Which functions a livepatch changes is read from its file. Files of livepatches written in C, of C(kpatch-build) and
    of C(klp-build) are understood. Of others RV(functions) is V(null), and nothing is claimed about their functions.
  - What only the kernel can judge is not foreseen, for example whether it trusts the key of a signature, what a
    callback of the livepatch says, and whether its C(klp_state) goes with that of the enabled livepatches.
extends_documentation_fragment:
  - kernel.livepatch.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is changed.
options:
  name:
    description:
      - Name of the livepatch's module. Its file is looked up as M(kernel.livepatch.livepatch) does.
      - Exactly one of O(name), O(path), O(package) and O(release) is required.
    type: str
  path:
    description: A file on the target, V(.ko), V(.ko.xz), V(.ko.gz) or V(.ko.zst).
    type: path
  package:
    description: An installed RPM package with exactly one module for the running kernel, as C(rpm -q) takes it.
    type: str
  release:
    description:
      - The release, whose package for the running kernel is looked up as M(kernel.livepatch.livepatch_package) does.
      - Where that package is not installed, this is the finding V(package_not_installed), and only the host is looked at.
      - With V(newest) no package is looked up, as only a plan asks the repositories which one that is.
    type: str
  pattern:
    description: How the package of O(release) is called, see M(kernel.livepatch.livepatch_package).
    type: str
  replace:
    description: What is expected of the livepatch, that it replaces all others (V(true)) or stacks on them (V(false)).
    type: bool
  replaces:
    description: The only livepatches that may be replaced. An empty list allows none, unset allows all.
    type: list
    elements: str
author:
  - kernel.livepatch contributors (@kernel-livepatch)
requirements:
  - Linux 5.10 or later
  - Python 3.6 or later on the target
  - C(rpm) for O(package) and O(release), C(zstd) for files compressed with it
seealso:
  - module: kernel.livepatch.livepatch
  - module: kernel.livepatch.livepatch_package
notes:
  - Run it as root. Others cannot read the stacks of tasks and what tracers hold.
  - What cannot be read is the finding V(not_checked). C(tracefs) and C(debugfs) are only read where they are mounted.
  - The kernel is another one in the next moment. A task may enter a function, and a tracer may start.
"""

EXAMPLES = r"""
- name: Would hotfix3 go in here?
  kernel.livepatch.livepatch_preflight:
    release: hotfix3
  become: true
  register: preflight

- name: Say why not
  ansible.builtin.debug:
    msg: "{{ preflight.findings | selectattr('severity', 'eq', 'error') | map(attribute='evidence') }}"
  when: not preflight.ready

- name: A file, which may replace nothing but hotfix2
  kernel.livepatch.livepatch_preflight:
    path: /root/hotfix3.ko
    replaces: [hotfix2]
  become: true
"""

RETURN = r"""
ready:
  description: Whether there is no finding of severity V(error).
  returned: always
  type: bool
verdict:
  description: V(ready), V(ready_with_warnings) or V(not_ready).
  returned: always
  type: str
  sample: ready
findings:
  description: What was found, errors first.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description:
        - What it is. B(Errors) V(not_found), V(bad_module_file), V(bad_name), V(package_modified), V(package_failed),
          V(no_package_manager), V(no_module_in_package), V(other_kernel), V(not_a_livepatch), V(architecture),
          V(vermagic), V(unsupported), V(not_root), V(modules_disabled), V(ftrace_disabled), V(signature_enforced),
          V(locked_down), V(transition_pending), V(other_code), V(already_forced), V(unload_refused), V(busy), V(replace_mismatch),
          V(replaces_others), V(function_missing), V(function_ambiguous), V(function_untraceable), V(symbol_missing),
          V(depends_missing), V(function_held),
          V(other_engine).
        - B(Warnings) V(signature_unproven), V(engine_unclear), V(patches_itself), V(low_memory), V(run_full), V(forced_before), V(transition_fresh),
          V(function_patched_already), V(no_object_loaded), V(probe_bypassed), V(task_in_function),
          V(kretprobe_on_stack).
        - B(Information) V(package_not_installed), V(functions_unknown), V(secure_boot), V(in_transition),
          V(already_enabled), V(replaced), V(unloaded), V(object_not_loaded), V(function_traced), V(not_checked).
        - The collection's C(docs/preflight.md) explains each.
      type: str
      sample: function_held
    severity:
      description: V(error), it would fail. V(warning), it may stall or not take effect. V(info), good to know.
      type: str
    error:
      description: The code with which M(kernel.livepatch.livepatch) would fail, or V(null).
      type: str
      sample: load_failed
    evidence:
      description: What was seen.
      type: str
    remedy:
      description: What to do next.
      type: str
name:
  description: The name of the livepatch's module, or V(null) where no file could be used.
  returned: always
  type: str
path:
  description: The file that was read, or V(null).
  returned: always
  type: str
build_id:
  description: Build id of the file, or V(null).
  returned: always
  type: str
replace:
  description: Whether it replaces the others, V(null) where its file does not show it.
  returned: always
  type: bool
replaced:
  description:
    - The livepatches that it would replace, the newest first. V(null) where that cannot be told.
    - Where the file does not show whether it replaces, and O(replace) is unset, it is taken to replace all.
  returned: always
  type: list
  elements: str
functions:
  description: The functions that it changes, or V(null) where its file is not understood.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: The kernel (V(vmlinux)), or a module.
      type: str
    name:
      description: The function.
      type: str
    sympos:
      description: Which of several of that name, V(0) where it must be the only one.
      type: int
kernel_release:
  description: What C(uname -r) prints.
  returned: always
  type: str
effective_release:
  description: Kernel release plus the topmost enabled livepatch.
  returned: always
  type: str
error:
  description: V(bad_option) or V(bad_name), for options that cannot be. Whatever is wrong with the host is a finding.
  returned: on failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._preflight.preflight import Preflight


def main():
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str"),
            path=dict(type="path"),
            package=dict(type="str"),
            release=dict(type="str"),
            pattern=dict(type="str"),
            replace=dict(type="bool"),
            replaces=dict(type="list", elements="str"),
        ),
        mutually_exclusive=[("name", "path", "package", "release")],
        supports_check_mode=True,
    )
    given = [option for option in ("name", "path", "package", "release") if module.params[option] is not None]
    if len(given) != 1:
        module.fail_json(
            error="bad_option",
            msg="Expected exactly one of name, path, package and release, found none of them. Name one livepatch.",
        )
    module.run_command_environ_update = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "C"}
    try:
        result = Preflight(module.params, module.run_command).execute()
    except LivepatchError as error:
        module.fail_json(msg=error.message, error=error.code, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

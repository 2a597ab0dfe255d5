# Makes the collection importable for plain pytest, and runs modules the way Ansible does on a target.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Python 3.6 syntax: the tests of the target side run there too.

import contextlib
import importlib
import json
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COLLECTIONS = os.path.join(ROOT, ".work", "collections")

sys.path.insert(0, os.path.join(ROOT, "tests", "tools"))
from collection import link  # noqa: E402

sys.path.remove(os.path.join(ROOT, "tests", "tools"))
link()
for directory in (COLLECTIONS, ROOT):
    if directory not in sys.path:
        sys.path.insert(0, directory)

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # Python 3.6, whose tests draw nothing
    pass
else:
    # How fast examples are drawn says how busy the machine is, and nothing about the code.
    settings.register_profile("unhurried", suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")

# pytest 7.0 puts an empty module in the place of each package that is not imported yet.
importlib.import_module("tests.unit.fakes")


@contextlib.contextmanager
def arguments(options):
    """Hand options to the next AnsibleModule of this process."""
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core before 2.19
        from ansible.module_utils import basic

        before = basic._ANSIBLE_ARGS
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = before
    else:
        with patch_module_args(options):
            yield


@pytest.fixture
def module_args():
    """Context manager: `with module_args({"name": "hotfix1", "_ansible_check_mode": True}): AnsibleModule(...)`."""
    return arguments


@pytest.fixture
def run_module(capsys):
    """Run a module's main() with options and return its result (dict), as Ansible would read it from stdout.

    Keywords: check_mode, diff (bool). A module that does not end through exit_json or fail_json fails the test.
    """

    def run(module, options=None, check_mode=False, diff=False):
        values = dict(options or {}, _ansible_check_mode=check_mode, _ansible_diff=diff)
        capsys.readouterr()
        with arguments(values), pytest.raises(SystemExit) as ended:
            module.main()
        result = json.loads(capsys.readouterr().out)
        assert bool(ended.value.code) == bool(result.get("failed")), "exit status and result disagree"
        return result

    return run

# The module livepatch_builds from its options to its result.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re

import pytest

from ansible_collections.kernel.livepatch.plugins.modules import livepatch_builds
from tests.unit.fakes.build_host import BuildHost

KERNEL = "5.14.0-427.40.1.el9_4.x86_64"
PACKAGE = ("kpatch-patch-5_14_0-427_40_1", "1", "5.el9_4")
SYSTEM = type("Uname", (), {"release": KERNEL, "machine": "x86_64"})


@pytest.fixture
def host(monkeypatch, tmp_path):
    fake = BuildHost("dnf", [PACKAGE], tmp_path)
    fake.advise(("RHSA-2026:5", ["CVE-2026-40001"], [PACKAGE], []))
    module = livepatch_builds.AnsibleModule
    monkeypatch.setattr(livepatch_builds.os, "uname", lambda: SYSTEM)
    monkeypatch.setattr(module, "run_command", lambda module, command, **keywords: fake.run(command, **keywords))
    monkeypatch.setattr(module, "get_bin_path", lambda module, name: fake.find(name))
    ask = livepatch_builds.builds.ask
    monkeypatch.setattr(livepatch_builds.builds, "ask", lambda *given, **named: ask(*given, root=str(tmp_path), **named))
    return fake


@pytest.mark.parametrize("options", [{}, {"cves": ["CVE-2026-40001"]}, {"advisory": "RHSA-2026:5", "cves": []}])
def test_it_says_the_same_in_check_mode_and_again_and_changes_nothing(host, run_module, options):
    answers = [run_module(livepatch_builds, options, check_mode=mode) for mode in (True, False, False, True)]
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert (answers[0]["changed"], answers[0]["build"]["version"]) == (False, "1-5")
    assert not [call for call in host.calls if "install" in call and "--assumeno" not in call]


def test_a_failure_has_a_code_a_message_and_the_tools_own_words(host, run_module):
    host.down = True
    result = run_module(livepatch_builds)
    assert (result["failed"], result["error"], result["kernel_release"]) == (True, "repository_unavailable", KERNEL)
    assert "Cannot download repomd.xml" in result["stderr"] and "rc" not in result


def test_what_a_host_keeps_out_is_a_warning(host, run_module):
    host.excluded = ["kpatch-patch-*"]
    assert PACKAGE[0] in str(run_module(livepatch_builds)["warnings"])


@pytest.mark.parametrize("options", [{"cves": ["x"]}, {"cves": ["CVE-2026-40001"], "advisory": "RHSA-2026:5"}, {"release": "1-5"}])
def test_what_cannot_be_asked_is_refused(host, run_module, options):
    assert run_module(livepatch_builds, options)["failed"] and not host.calls


def test_every_error_that_the_code_can_raise_is_documented():
    documented = set(re.findall(r"^    - ([a-z_]+)$", livepatch_builds.RETURN, re.MULTILINE))
    raised = {"disk_full", "repository_unavailable", "bad_signature"}
    builds = livepatch_builds.builds
    for source in (builds, builds.package_manager, builds.vendors, builds.rpm):
        with open(source.__file__) as handle:
            raised |= set(re.findall(r'LivepatchError\(\s*"([a-z_]+)"', handle.read()))
    assert raised - {"not_found", "no_module_in_package", "other_kernel"} == documented


def test_every_key_of_a_result_is_documented(host, run_module):
    documented = set(re.findall(r"^([a-z_]+):$", livepatch_builds.RETURN, re.MULTILINE))
    assert set(run_module(livepatch_builds)) - documented <= {"changed", "warnings", "invocation"}

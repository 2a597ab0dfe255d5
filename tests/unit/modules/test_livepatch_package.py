# The module livepatch_package from its options to its result.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import re

import pytest

from ansible_collections.kernel.livepatch.plugins.modules import livepatch_package
from tests.unit.fakes.rpm_host import KERNEL, NAME, RpmHost

SYSTEM = type("Uname", (), {"release": KERNEL, "machine": "x86_64"})


@pytest.fixture
def host(monkeypatch):
    fake = RpmHost()
    monkeypatch.setattr(livepatch_package.os, "uname", lambda: SYSTEM)
    monkeypatch.setattr(
        livepatch_package.AnsibleModule,
        "run_command",
        lambda module, command, **keywords: fake.run(command, **keywords),
    )
    monkeypatch.setattr(livepatch_package.AnsibleModule, "get_bin_path", lambda module, name: fake.find(name))
    monkeypatch.setattr(livepatch_package.asked.reading, "os_family_ids", lambda root: ["debian"])
    monkeypatch.setattr(livepatch_package.asked.drift, "pending", lambda root: None)
    return fake


def test_a_release_is_installed_and_told_with_what_was_there_before(host, run_module):
    host.installed = "hotfix1"
    result = run_module(livepatch_package, {"release": "hotfix2"}, diff=True)
    assert (result["changed"], result["failed"], result["outcome"], result["module_name"]) == (
        True,
        False,
        "installed",
        "hotfix2",
    )
    assert (result["spec"], result["kernel_release"]) == (NAME + "-hotfix2", KERNEL)
    assert result["diff"] == {"before": NAME + "-hotfix1-1.x86_64\n", "after": NAME + "-hotfix2-1.x86_64\n"}


def test_check_mode_tells_the_same_difference_as_the_real_run(host, run_module):
    host.installed = "hotfix1"
    predicted = run_module(livepatch_package, {"release": "hotfix2"}, check_mode=True, diff=True)
    done = run_module(livepatch_package, {"release": "hotfix2"}, diff=True)
    for key in ("changed", "outcome", "diff", "before", "package", "spec", "module_name"):
        assert predicted[key] == done[key], key


def test_nothing_differs_where_there_is_no_build(host, run_module):
    host.installed = "hotfix1"
    result = run_module(livepatch_package, {"release": "hotfix9"}, diff=True)
    assert (result["failed"], result["changed"], result["outcome"]) == (False, False, "not_applicable")
    assert result["diff"]["before"] == result["diff"]["after"] == NAME + "-hotfix1-1.x86_64\n"


def test_a_package_can_be_named_instead_of_a_release(host, run_module):
    result = run_module(livepatch_package, {"package": NAME + "-hotfix3"})
    assert (result["outcome"], "module_name" in result) == ("installed", False)


def test_a_package_is_removed_and_the_difference_says_so(host, run_module):
    host.installed = "hotfix1"
    result = run_module(livepatch_package, {"release": "hotfix1", "state": "absent"}, diff=True)
    assert (result["outcome"], result["diff"]["after"], host.installed) == ("removed", "absent\n", None)


def test_a_failure_has_a_code_a_message_and_the_tools_own_words(host, run_module):
    host.down = True
    result = run_module(livepatch_package, {"release": "hotfix1"})
    assert (result["failed"], result["changed"], result["error"]) == (True, False, "repository_unavailable")
    assert "Cannot download repomd.xml" in result["stderr"] and "rc" not in result


def test_a_failure_after_the_installation_says_that_something_changed(host, run_module):
    host.files = ["/usr/share/doc/klp/README"]
    result = run_module(livepatch_package, {"release": "hotfix1"})
    assert (result["failed"], result["changed"], result["error"]) == (True, True, "no_module_in_package")


@pytest.fixture
def next_kernel(monkeypatch):
    found = livepatch_package.asked.drift.Pending("6.1.0-57-amd64", "boot_loader")
    monkeypatch.setattr(livepatch_package.asked.drift, "pending", lambda root: found)


def test_the_kernel_that_boots_next_is_told_with_the_package_that_it_needs(host, next_kernel, run_module):
    result = run_module(livepatch_package, {"release": "hotfix1"})
    assert result["drift"] == {
        "kernel_release": "6.1.0-57-amd64",
        "known_by": "boot_loader",
        "package": "klp-6.1.0-57-amd64-hotfix1",
        "build": "missing",
    }
    assert "6.1.0-57-amd64" in str(result["warnings"])


def test_a_drift_that_is_not_tolerated_fails_with_its_own_code(host, next_kernel, run_module):
    result = run_module(livepatch_package, {"release": "hotfix1", "drift": "fail"})
    assert (result["failed"], result["changed"], result["error"]) == (True, False, "drift")
    assert result["drift"]["build"] == "missing" and host.installed is None


@pytest.mark.parametrize(
    "options",
    [
        {"package": NAME + "-hotfix1"},
        {"release": "hotfix1", "drift": "ignore"},
        {"release": "hotfix1", "pattern": NAME + "-{release}"},
    ],
)
def test_where_the_next_kernels_package_has_no_name_of_its_own_there_is_no_drift(
    host, next_kernel, run_module, options
):
    assert run_module(livepatch_package, options)["drift"] is None


@pytest.mark.parametrize("name", ["a/b", "a b", "-y", "--root=/", "a*", "$(id)", "a;b", "../../etc", ""])
def test_a_name_that_is_none_never_reaches_a_command(host, run_module, name):
    for options in ({"release": name}, {"package": name}, {"release": "hotfix1", "pattern": name or " "}):
        result = run_module(livepatch_package, options)
        assert (result["failed"], result["error"]) == (True, "bad_name")
    assert host.calls == []


@pytest.mark.parametrize(
    "options",
    [{}, {"release": "a", "package": "b"}, {"package": "b", "pattern": "c"}, {"release": "a", "state": "latest"}],
)
def test_options_that_do_not_go_together_are_refused(host, run_module, options):
    assert run_module(livepatch_package, options)["failed"]


def test_every_error_that_the_code_can_raise_is_documented():
    documented = set(re.findall(r"^    - ([a-z_]+)$", livepatch_package.RETURN, re.MULTILINE))
    state = livepatch_package.install
    sources = (state, state.rpm, state.engines, state.package_facts, livepatch_package.asked.vendors)
    # Of the package manager, and of what holds kpatch.service back (_files/etc.py).
    raised = {"disk_full", "repository_unavailable", "bad_signature", "not_permitted", "write_failed", "insecure_path"}
    for source in sources:
        with open(source.__file__) as handle:
            raised |= set(re.findall(r'LivepatchError\(\s*"([a-z_]+)"', handle.read()))
    assert raised - {"not_found"} == documented

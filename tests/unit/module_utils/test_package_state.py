# A package brought to its state: every outcome, every failure, and what check mode says before.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import collections

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils import _package_manager, _package_state
from ansible_collections.kernel.livepatch.plugins.module_utils._errors import LivepatchError
from tests.unit.fakes import rpm_host
from tests.unit.fakes.rpm_host import KERNEL, NAME, RpmHost

Space = collections.namedtuple("Space", "f_bavail f_frsize")


@pytest.fixture(params=["dnf", "zypper"])
def host(request):
    return RpmHost(request.param)


@pytest.fixture
def dnf():
    return RpmHost("dnf")


def present(host, release="hotfix1", **options):
    return _package_state.present(
        host.run, host.find, _package_state.Wanted("%s-%s" % (NAME, release), KERNEL, **options)
    )


def absent(host, release="hotfix1", **options):
    return _package_state.absent(host.run, _package_state.Wanted("%s-%s" % (NAME, release), KERNEL, **options))


def failing(host, **options):
    with pytest.raises(LivepatchError) as caught:
        present(host, **options)
    return caught.value


def nevra(release):
    return "%s-%s-1.x86_64" % (NAME, release)


def test_a_missing_package_is_installed_and_verified(host):
    result = present(host)
    assert (result["changed"], result["outcome"], result["before"]) == (True, "installed", None)
    assert result["package"] == nevra("hotfix1")
    assert result["module_files"] == ["/usr/lib/modules/%s/livepatch/hotfix1.ko" % KERNEL]


def test_an_installed_package_costs_no_run_of_the_package_manager(host):
    host.installed = "hotfix1"
    result = present(host)
    assert (result["changed"], result["outcome"], result["package"]) == (False, "already_installed", nevra("hotfix1"))
    assert host.ran(host.program) == []


def test_an_installation_runs_the_package_manager_once(dnf):
    present(dnf)
    assert len(dnf.ran("dnf")) == 1


def test_check_mode_predicts_an_installation_and_changes_nothing(host):
    host.installed = "hotfix2"
    result = present(host, check_mode=True)
    assert (result["changed"], result["outcome"], result["before"]) == (True, "installed", nevra("hotfix2"))
    assert host.installed == "hotfix2"
    assert not [call for call in host.calls if "install" in call and "--dry-run" not in call]


@pytest.mark.parametrize("check_mode", [False, True])
def test_no_build_for_this_kernel_is_an_outcome(host, check_mode):
    result = present(host, "hotfix9", check_mode=check_mode)
    assert (result["changed"], result["outcome"], result["package"]) == (False, "not_applicable", None)


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_unreachable_repository_is_never_taken_for_one_without_the_package(host, check_mode):
    host.down = True
    error = failing(host, check_mode=check_mode)
    assert error.code == "repository_unavailable"
    assert error.details["stderr"]


def test_a_repository_whose_package_cannot_be_fetched_is_unavailable(dnf):
    dnf.trouble = rpm_host.PACKAGE_GONE
    assert failing(dnf).code == "repository_unavailable"


@pytest.mark.parametrize("check_mode", [False, True])
def test_old_metadata_is_refreshed_before_a_package_is_said_not_to_exist(dnf, check_mode):
    dnf.stale = {"hotfix4"}
    assert present(dnf, "hotfix4", check_mode=check_mode)["outcome"] == "installed"


def test_a_package_that_moved_since_the_metadata_was_read_is_installed_at_the_second_try(dnf):
    dnf.trouble, dnf.refreshing_helps = rpm_host.PACKAGE_GONE, True
    assert present(dnf)["outcome"] == "installed"


def test_going_back_to_an_older_release_is_allowed_by_default(host):
    host.installed = "hotfix3"
    result = present(host, "hotfix1")
    assert (result["outcome"], result["before"], host.installed) == ("installed", nevra("hotfix3"), "hotfix1")


def test_a_downgrade_that_is_not_allowed_is_refused_before_anything_is_done(host):
    host.installed = "hotfix3"
    error = failing(host, allow_downgrade=False)
    assert error.code == "package_failed"
    assert "hotfix3-1.x86_64 installed, and allow_downgrade is false" in error.message
    assert host.installed == "hotfix3"


def test_an_upgrade_needs_no_permission_to_downgrade(host):
    host.installed = "hotfix1"
    assert present(host, "hotfix3", allow_downgrade=False)["outcome"] == "installed"


@pytest.mark.parametrize("text", [rpm_host.UNSIGNED, rpm_host.OTHER_KEY])
def test_a_package_without_a_trusted_signature_is_a_failure_of_its_own(host, text):
    host.trouble = text
    error = failing(host)
    assert error.code == "bad_signature"
    assert "GPG check FAILED" in error.details["stderr"]


def test_signature_checks_are_forced_whatever_the_repositories_say(dnf):
    present(dnf)
    assert {"--setopt=gpgcheck=1", "--setopt=*.gpgcheck=1"} <= set(dnf.ran("dnf")[0])


def test_signature_checks_are_left_to_the_host_when_not_asked_for(dnf):
    present(dnf, gpg_check=False)
    assert not [word for word in dnf.ran("dnf")[0] if "gpgcheck" in word]


def test_zypper_is_not_run_with_a_repository_whose_signature_checks_are_off():
    host = RpmHost("zypper")
    host.gpg_off = True
    error = failing(host)
    assert (error.code, host.installed) == ("bad_signature", None)
    assert "found them off in lab" in error.message


def test_an_installed_package_without_a_signature_is_refused(host):
    host.installed, host.signature = "hotfix1", "(none)"
    assert failing(host).code == "bad_signature"
    assert present(host, gpg_check=False)["outcome"] == "already_installed"


def test_a_full_disk_is_said_with_the_path_and_what_is_free(host, monkeypatch):
    host.trouble = rpm_host.FULL
    monkeypatch.setattr(_package_manager, "fullest", lambda: ("/usr/lib/modules", 5000000))
    error = failing(host)
    assert error.code == "disk_full"
    assert "/usr/lib/modules with 5000000 bytes free" in error.message


def test_on_a_full_disk_nothing_is_begun(host, monkeypatch):
    monkeypatch.setattr(_package_manager, "fullest", lambda: ("/var/cache", 4096))
    error = failing(host)
    assert (error.code, host.ran(host.program)) == ("disk_full", [])
    assert "at /var/cache, found 4096" in error.message


def test_the_fullest_file_system_is_found_and_missing_directories_are_passed_over():
    def statvfs(path):
        if path == "/gone":
            raise OSError(2, "No such file or directory")
        return Space({"/a": 10, "/b": 3}[path], 4096)

    assert _package_manager.fullest(("/a", "/gone", "/b"), statvfs) == ("/b", 12288)


def test_an_excluded_package_is_neither_missing_nor_unexplained(dnf):
    dnf.trouble = rpm_host.EXCLUDED
    error = failing(dnf)
    assert error.code == "package_failed"
    assert "excluded by the configuration" in error.message


def test_a_failure_that_is_not_recognised_shows_what_the_tool_wrote(dnf):
    dnf.trouble = rpm_host.SCRIPTLET
    error = failing(dnf)
    assert error.code == "package_failed"
    assert "Transaction failed" in error.message and "Transaction failed" in error.details["stderr"]


def test_a_package_manager_that_takes_too_long_is_ended(host):
    host.slow = True
    error = failing(host, timeout=7)
    assert error.code == "package_failed"
    assert "within 7 seconds" in error.message
    assert host.calls[-1][:2] == ["/usr/bin/timeout", "7"]


def test_a_host_without_a_package_manager_is_told_so():
    host = RpmHost("apt")
    assert failing(host).code == "no_package_manager"


def test_a_host_without_rpm_is_told_so():
    host = RpmHost(None)
    assert failing(host).code == "no_package_manager"


def test_what_is_wrong_with_a_package_after_it_was_installed_is_said_with_the_change(dnf):
    dnf.files = ["/usr/lib/modules/5.10.0-1-amd64/livepatch/{release}.ko"]
    dnf.installed = "hotfix2"
    error = failing(dnf)
    assert (error.code, error.details["changed"], error.details["before"]) == ("other_kernel", True, nevra("hotfix2"))


def test_a_changed_file_is_a_failure_that_names_it(host):
    host.installed = "hotfix1"
    host.verification = "S.5....T.    /usr/lib/modules/%s/livepatch/hotfix1.ko\n" % KERNEL
    error = failing(host)
    assert error.code == "modified_files"
    assert error.details["modified_files"][0]["differs"] == ["size", "digest", "mtime"]


def test_a_package_is_removed_once(host):
    host.installed = "hotfix1"
    assert [absent(host)["outcome"], absent(host)["outcome"]] == ["removed", "already_absent"]


def test_removing_one_release_leaves_another_alone(host):
    host.installed = "hotfix2"
    assert absent(host)["outcome"] == "already_absent"
    assert host.installed == "hotfix2"


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_package_that_others_need_is_not_removed(host, check_mode):
    host.installed, host.needed_by = "hotfix1", "agent-1-1.noarch"
    with pytest.raises(LivepatchError, match="is needed by .installed. agent") as caught:
        absent(host, check_mode=check_mode)
    assert caught.value.code == "package_failed"
    assert host.installed == "hotfix1"


def test_check_mode_predicts_a_removal_and_changes_nothing(host):
    host.installed = "hotfix1"
    assert absent(host, check_mode=True)["outcome"] == "removed"
    assert host.installed == "hotfix1"


def test_every_error_code_that_a_text_can_give_is_documented():
    documented = {"disk_full", "bad_signature", "repository_unavailable", "package_failed"}
    assert {code for code, dummy in _package_manager.REASONS} - {"excluded", "not_found"} <= documented

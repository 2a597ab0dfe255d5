# A package brought to its state: every outcome, every failure, and what check mode says before.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import collections
import functools

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import drift, install, package_manager, rpm
from tests.unit.fakes import rpm_host
from tests.unit.fakes.rpm_host import KERNEL, NAME, RpmHost

Space = collections.namedtuple("Space", "f_bavail f_frsize")


@pytest.fixture(params=["dnf", "zypper", "tdnf"])
def host(request, cache):
    fake = RpmHost(request.param)
    fake.cache = cache
    return fake


@pytest.fixture
def zypper(cache):
    fake = RpmHost("zypper")
    fake.cache = cache
    return fake


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where zypper downloads to, in a directory of its repository."""
    directory = tmp_path / "packages" / "lab"
    directory.mkdir(parents=True)
    monkeypatch.setattr(package_manager.Zypper, "PACKAGES", str(tmp_path / "packages"))
    return directory


@pytest.fixture
def dnf():
    return RpmHost("dnf")


@pytest.fixture
def tdnf():
    return RpmHost("tdnf")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """The file system of the host: empty, where a test puts nothing there."""
    monkeypatch.setattr(install.Wanted, "__init__", functools.partialmethod(WANTED, root=str(tmp_path)))
    return tmp_path


WANTED = install.Wanted.__init__


def present(host, release="hotfix1", **options):
    return present_and_warnings(host, release, **options)[0]


def present_and_warnings(host, release="hotfix1", **options):
    wanted = install.Wanted("%s-%s" % (NAME, release), KERNEL, **options)
    return install.present(host.run, host.find, wanted), wanted.warnings


def absent(host, release="hotfix1", **options):
    return absent_and_warnings(host, release, **options)[0]


def absent_and_warnings(host, release="hotfix1", **options):
    wanted = install.Wanted("%s-%s" % (NAME, release), KERNEL, **options)
    return install.absent(host.run, wanted), wanted.warnings


def put(root, path, text=""):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def failing(host, **options):
    with pytest.raises(LivepatchError) as caught:
        present(host, **options)
    return caught.value


def test_of_versions_beside_each_other_the_one_that_runs_was_there_before_and_not_the_one_installed_last(monkeypatch):
    name = "kernel-livepatch-5_14_21-150400_24_33-default"
    rows = [rpm.Installed(name, str(number), "1", "x86_64", str(number), signature=None, files=[]) for number in (1, 2, 3)]
    monkeypatch.setattr(rpm, "versions", lambda run_command, *specs: rows)
    for runs, before in (("2", "2"), (None, "3")):
        found = install.find_installed(None, name + "-4-1", runs=lambda package: package.version == runs)
        assert found.exact is None and found.other.version == before


def nevra(release):
    return "%s-%s-1.x86_64" % (NAME, release)


def exactly(host, release="hotfix2", **options):
    wanted = install.Wanted(nevra(release), KERNEL, exact=True, architecture="x86_64", **options)
    return install.present(host.run, host.find, wanted)


def test_an_exact_package_is_brought_as_a_release_is(host):
    predicted, done = exactly(host, check_mode=True), exactly(host)
    assert predicted["package"] == done["package"] == nevra("hotfix2") and host.installed == "hotfix2"
    assert [result["outcome"] for result in (predicted, done, exactly(host))] == ["installed", "installed", "already_installed"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_exact_package_that_no_repository_has_any_more_is_gone_and_never_not_applicable(host, check_mode):
    host.installed = "hotfix1"
    with pytest.raises(LivepatchError, match="none has it any more. Nothing was changed") as caught:
        exactly(host, "hotfix9", check_mode=check_mode)
    assert (caught.value.code, host.installed) == ("package_gone", "hotfix1")


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_exact_package_behind_a_repository_that_is_down_is_not_gone(host, check_mode):
    host.down = True
    with pytest.raises(LivepatchError) as caught:
        exactly(host, "hotfix9", check_mode=check_mode)
    assert caught.value.code == "repository_unavailable"


@pytest.mark.parametrize(
    "kernel, package, code",
    [
        ("6.1.0-57-amd64", nevra("hotfix1"), "other_kernel"),
        ("5.14.0-427.40.1.el9_4.x86_64", "kpatch-patch-5_14_0-427_40_10-1-5.el9_4.x86_64", "other_kernel"),
        ("5.14.0-427.40.1.el9_4.x86_64", "kpatch-patch-5_14_0-427_40_1-1-5.el9_4.x86_64", None),
        ("6.12.0-160000.5-default", "kernel-livepatch-6_12_0-160000_5-rt-2-160000.2.2.x86_64", "other_kernel"),
        ("6.12.0-160000.5-default", "kernel-livepatch-6_12_0-160000_5-default-2-160000.2.2.x86_64", None),
        ("6.1.186-228.376.amzn2023.x86_64", "kernel-livepatch-6.1.176-223.369-1.0-1.amzn2023.x86_64", "other_kernel"),
        ("5.15.94.1-1.cm2", "livepatch-5.15.94.1-1.cm2-1.0.0-2.cm2.x86_64", None),
        ("5.10.0-60.91.0.115.oe2203.x86_64", "patch-kernel-5.10.0-60.91.0.115.oe2203-ACC-1-1.x86_64", None),
        ("6.1.0-56-amd64", "acme-klp-7-1.x86_64", None),
    ],
)
def test_an_exact_package_for_another_kernel_is_refused_before_any_command(kernel, package, code):
    host = RpmHost()
    wanted = install.Wanted(package, kernel, exact=True, architecture="x86_64")
    if code is None:
        assert install.ask(host.run, wanted).exact is None
        return
    with pytest.raises(LivepatchError, match="running kernel") as caught:
        install.ask(host.run, wanted)
    assert (caught.value.code, host.calls) == (code, [])


def test_a_newer_package_stays_where_an_exact_one_is_asked_for_and_going_back_is_not(host):
    host.installed = "hotfix3"
    result = exactly(host, allow_downgrade=False)
    assert (result["outcome"], result["changed"], result["package"]) == ("already", False, nevra("hotfix3"))
    assert nevra("hotfix3") in result["msg"] and host.installed == "hotfix3" and host.ran(host.program) == []
    assert exactly(host)["outcome"] == "installed" and host.installed == "hotfix2"


def test_a_newer_package_beside_the_exact_one_counts_too(dnf):
    dnf.installed = "hotfix2"
    rows = dnf._rpm_q
    other = "installed\t%s\thotfix3\t1\tx86_64\t50\tRSA\nfile\t%s\n" % (NAME, dnf.files[0].format(release="hotfix3"))
    dnf._rpm_q = lambda words: (rows(words)[0], rows(words)[1] + other, "")
    result = exactly(dnf, allow_downgrade=False)
    assert (result["outcome"], result["package"]) == ("already", nevra("hotfix3"))
    assert exactly(dnf)["outcome"] == "already_installed"


def test_an_older_package_is_no_reason_to_leave_an_exact_one(host):
    host.installed = "hotfix1"
    assert exactly(host, allow_downgrade=False)["outcome"] == "installed"


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


def test_an_installation_asks_rpm_three_times_and_an_installed_package_twice(host):
    present(host)
    assert len(host.ran("rpm")) == 3
    present(host)
    assert len(host.ran("rpm")) == 5


def test_check_mode_predicts_an_installation_and_changes_nothing(host):
    host.installed = "hotfix2"
    result = present(host, check_mode=True)
    assert (result["changed"], result["outcome"], result["before"]) == (True, "installed", nevra("hotfix2"))
    assert host.installed == "hotfix2"
    assert not [call for call in host.calls if "install" in call and not {"--dry-run", "--assumeno"} & set(call)]


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


def test_a_package_that_a_stranger_has_signed_is_refused_though_zypper_would_install_it(zypper):
    zypper.untrusted = True
    error = failing(zypper)
    assert (error.code, zypper.installed) == ("bad_signature", None)
    assert "SIGNATURES NOT OK" in error.message and "rpmkeys" in error.message
    assert present(zypper, gpg_check=False)["outcome"] == "installed"


def test_a_package_that_was_not_downloaded_cannot_be_checked_and_is_refused(zypper):
    zypper.cache = None
    error = failing(zypper)
    assert (error.code, zypper.installed) == ("bad_signature", None)
    assert "found no file of it" in error.message
    assert present(zypper, gpg_check=False)["outcome"] == "installed"


def test_zypper_downloads_to_where_the_signature_is_looked_for_whatever_its_configuration_says(zypper):
    present(zypper)
    installs = [call for call in zypper.ran("zypper") if "install" in call]
    directory = package_manager.Zypper.PACKAGES
    assert all(call[call.index("--pkg-cache-dir") + 1] == directory for call in installs)


def test_tdnf_forces_no_signature_so_the_downloaded_package_is_checked_before_it_is_installed(tdnf):
    tdnf.untrusted = True
    error = failing(tdnf)
    assert (error.code, tdnf.installed) == ("bad_signature", None)
    assert "SIGNATURES NOT OK" in error.message
    assert present(tdnf, gpg_check=False)["outcome"] == "installed"


def test_the_repository_that_tdnf_leaves_out_may_be_the_one_that_has_the_package(tdnf):
    for skips in (True, False):
        tdnf.down, tdnf.skips = True, skips
        assert failing(tdnf).code == "repository_unavailable"


def test_tdnf_failing_in_a_way_of_its_own_is_a_failed_package_and_no_missing_one(tdnf):
    tdnf.trouble = "Error(1525) : rpm transaction failed\n"
    error = failing(tdnf, gpg_check=False)
    assert error.code == "package_failed" and "1525" in error.details["stderr"]


@pytest.mark.parametrize(
    "number, code", [(1510, "bad_signature"), (1036, "disk_full"), (1012, "repository_unavailable")]
)
def test_the_number_of_an_error_of_tdnf_says_what_it_is(tdnf, number, code):
    tdnf.trouble = "Error(%d) : in words that may change\n" % number
    assert failing(tdnf, gpg_check=False).code == code


def test_zypper_reads_the_metadata_anew_once_only(zypper):
    assert present(zypper, "hotfix9")["outcome"] == "not_applicable"
    assert len([call for call in zypper.ran("zypper") if "refresh" in call]) == 1


def test_an_installed_package_without_a_signature_is_refused(host):
    host.installed, host.signature = "hotfix1", "(none)"
    assert failing(host).code == "bad_signature"
    assert present(host, gpg_check=False)["outcome"] == "already_installed"


def test_a_full_disk_is_said_with_the_path_and_what_is_free(host, monkeypatch):
    host.trouble = rpm_host.FULL
    monkeypatch.setattr(package_manager, "fullest", lambda: ("/usr/lib/modules", 5000000))
    error = failing(host)
    assert error.code == "disk_full"
    assert "/usr/lib/modules with 5000000 bytes free" in error.message


def test_on_a_full_disk_nothing_is_begun(host, monkeypatch):
    monkeypatch.setattr(package_manager, "fullest", lambda: ("/var/cache", 4096))
    error = failing(host)
    assert (error.code, host.ran(host.program)) == ("disk_full", [])
    assert "at /var/cache, found 4096" in error.message


def test_the_fullest_file_system_is_found_and_missing_directories_are_passed_over():
    def statvfs(path):
        if path == "/gone":
            raise OSError(2, "No such file or directory")
        return Space({"/a": 10, "/b": 3}[path], 4096)

    assert package_manager.fullest(("/a", "/gone", "/b"), statvfs) == ("/b", 12288)


@pytest.mark.parametrize("text", [rpm_host.EXCLUDED, rpm_host.EXCLUDED_5, rpm_host.LOCKED_5])
@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("lenient", [False, True])
def test_an_excluded_package_is_neither_missing_nor_unexplained(dnf, text, check_mode, lenient):
    dnf.excluded, dnf.lenient = text, lenient
    error = failing(dnf, check_mode=check_mode)
    assert (error.code, dnf.installed) == ("package_failed", None)
    assert "excluded by the configuration" in error.message


def test_a_dnf_that_overlooks_what_it_does_not_find_has_installed_nothing(dnf):
    dnf.lenient = True
    result = present(dnf, "hotfix9")
    assert (result["changed"], result["outcome"]) == (False, "not_applicable")


def test_what_a_plugin_of_dnf_prints_is_no_package(dnf):
    dnf.noise = rpm_host.SUBSCRIPTION
    assert present(dnf, "hotfix9", check_mode=True)["outcome"] == "not_applicable"
    assert present(dnf, check_mode=True)["package"] == nevra("hotfix1")


@pytest.mark.parametrize(
    "line",
    [
        "Updating Subscription Management repositories.",
        "loaded-plugins.conf",
        "a-1-1.x86_64 a-2-1.x86_64",
        "-a-1-1.noarch",
    ],
)
def test_only_what_can_be_a_package_counts_as_one(line):
    assert package_manager.nevras("%s\n%s\n" % (line, nevra("a"))) == [nevra("a")]


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
    ended = [call[:3] for call in host.calls if call[0] == "/usr/bin/timeout"]
    assert ended[-1] == ["/usr/bin/timeout", "--kill-after=60", "7"], "also where it does not listen"


def test_a_host_without_a_package_manager_is_told_so():
    host = RpmHost("apt")
    assert failing(host).code == "no_package_manager"


@pytest.mark.parametrize(
    "version, code", [("3.4.3\n  Installed: rpm-4.11.3\n", "no_package_manager"), ("4.14.0\n", None)]
)
def test_a_yum_that_is_no_dnf_is_refused_by_name(version, code):
    host = RpmHost("yum")
    host.version = version
    if code is None:
        assert package_manager.choose(host.run, host.find, 60).program == "dnf"
        return
    with pytest.raises(LivepatchError, match="found yum 3") as caught:
        package_manager.choose(host.run, host.find, 60)
    assert caught.value.code == code


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
    assert error.details["modified_files"][0]["differs"] == ["size", "digest"]


def test_files_with_other_times_are_as_shipped(host):
    host.installed = "hotfix1"
    host.verification = ".......T.    /usr/lib/modules/%s/livepatch/hotfix1.ko\n" % KERNEL
    assert present(host)["outcome"] == "already_installed"


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


def test_a_removal_waits_for_the_program_that_holds_rpms_lock(host, monkeypatch):
    waited = []
    monkeypatch.setattr(install.rpm.erase, "__defaults__", install.rpm.erase.__defaults__[:2] + (waited.append,))
    host.installed, host.locked = "hotfix1", 3
    assert (absent(host)["outcome"], waited) == ("removed", [1, 1, 1])


def test_an_installation_waits_for_the_program_that_holds_rpms_lock_which_dnf_does_not(dnf, monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    dnf.locked = 3
    assert (present(dnf)["outcome"], waited) == ("installed", [1, 1, 1])


def test_an_installation_does_not_wait_longer_than_it_may(dnf, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    dnf.locked = 1000000
    monkeypatch.setattr(package_manager.Manager.__init__, "__defaults__", (iter(range(100)).__next__,))
    error = failing(dnf, timeout=5)
    assert error.code == "package_failed" and "transaction lock" in error.message and dnf.locked > 1000000 - 20


def test_a_lock_that_is_never_released_is_no_package_that_others_need():
    host = RpmHost()
    host.installed, host.locked = "hotfix1", 100
    times = iter(range(100))
    with pytest.raises(LivepatchError, match="another program changing packages") as caught:
        install.rpm.erase(host.run, nevra("hotfix1"), False, 5, lambda: next(times), lambda seconds: None)
    assert (caught.value.code, host.installed) == ("package_failed", "hotfix1")
    assert "Remove what needs it" not in caught.value.message


def test_every_call_of_rpm_has_a_limit(host):
    present(host)
    absent(host)
    calls = [call for call in host.calls if "rpm" in call]
    assert len(calls) >= 5 and all(call[0] == "timeout" and int(call[1]) > 0 for call in calls)


def test_rpm_not_answering_in_time_is_said_in_its_own_words():
    with pytest.raises(LivepatchError, match="expected it to end within 120 seconds") as caught:
        install.rpm.installed(lambda command, **unused: (124, "", ""), NAME)
    assert caught.value.code == "package_failed"


def test_check_mode_predicts_a_removal_and_changes_nothing(host):
    host.installed = "hotfix1"
    assert absent(host, check_mode=True)["outcome"] == "removed"
    assert host.installed == "hotfix1"


def test_every_error_code_that_a_text_can_give_is_documented():
    documented = {"disk_full", "bad_signature", "repository_unavailable", "package_failed"}
    assert {code for code, dummy in package_manager.REASONS} - {"excluded", "not_found"} <= documented


# --- zypper's exit codes


@pytest.mark.parametrize("code", [102, 103, 106])
def test_what_zypper_did_with_a_remark_is_done(code, zypper):
    host = zypper
    run = host.run

    def remarking(command, **keywords):
        answer = run(command, **keywords)
        return (code,) + answer[1:] if "install" in command else answer

    host.run = remarking
    assert present(host)["outcome"] == "installed"


@pytest.mark.parametrize(
    "code, error",
    [(6, "repository_unavailable"), (7, "package_failed"), (4, "package_failed"), (105, "package_failed")],
)
def test_an_exit_code_of_zypper_that_is_a_failure_says_what_zypper_says(code, error):
    host = RpmHost("zypper")
    host.zypper_code = code
    found = failing(host)
    assert found.code == error
    assert "zypper says why" in found.message and "zypper says why" in found.details["stderr"]


def test_a_script_that_fails_after_zypper_has_installed_the_package_is_a_warning(zypper):
    host = zypper
    run = host.run

    def failing_script(command, **keywords):
        answer = run(command, **keywords)
        text = "<stream><message type='error'>%post failed</message></stream>"
        return (107, text, "") if "install" in command else answer

    host.run = failing_script
    result, warnings = present_and_warnings(host)
    assert result["outcome"] == "installed"
    assert "A script of the package" in warnings[0] and "%post failed" in warnings[0]


def test_a_repository_that_zypper_skips_is_not_taken_for_one_without_the_package():
    host = RpmHost("zypper")
    run = host.run
    host.run = lambda command, **keywords: (106, "<stream/>", "") if "refresh" in command else run(command, **keywords)
    with pytest.raises(LivepatchError) as caught:
        present(host, "hotfix9")
    assert caught.value.code == "repository_unavailable"


def test_zypper_without_any_repository_is_no_zypper_with_signed_ones():
    host = RpmHost("zypper")
    run = host.run
    host.run = lambda command, **keywords: (6, "<stream/>", "") if "repos" in command else run(command, **keywords)
    with pytest.raises(LivepatchError) as caught:
        present(host)
    assert caught.value.code == "repository_unavailable"


@pytest.mark.parametrize("ids, program", [(["opensuse-leap", "suse", "opensuse"], "zypper"), (["fedora"], "dnf")])
def test_a_host_of_the_suse_family_is_served_with_zypper_though_dnf_is_there_too(ids, program):
    found = package_manager.choose(None, lambda name: "/usr/bin/" + name, 60, ids)
    assert found.program == program


@pytest.mark.parametrize("held, tries", [(0, 2), (2, 4)])
def test_dnf_5_that_does_not_say_why_a_transaction_failed_is_tried_again_while_rpms_lock_is_held(
    dnf, monkeypatch, held, tries
):
    left, waited, calls = [True] * held + [False], [], []

    def run(command, **keywords):
        if "install" in command:
            calls.append(command)
            return 1, "Transaction Summary:\n", "Running transaction\nTransaction failed: Rpm transaction failed.\n"
        return dnf.run(command, **keywords)

    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setattr(install.rpm, "is_locked", lambda run_command: left.pop(0))
    with pytest.raises(LivepatchError) as caught:
        install.present(run, dnf.find, install.Wanted(NAME + "-hotfix1", KERNEL))
    assert (caught.value.code, len(calls)) == ("package_failed", tries)


# What dnf 4.14, 4.23 and 5.4, zypper 1.14.42 to 1.14.101 and tdnf 3.6 wrote on real hosts.
WORDS = [
    # A proxy that is not there, or wants a password.
    ("Error: Failed to download metadata for repo 'try': Cannot download repomd.xml: All mirrors were tried", "repository_unavailable"),
    ('Failed to download metadata (baseurl: "http://r/") for repository "try": Usable URL not found', "repository_unavailable"),
    ("[try|http://r/] Valid metadata not found at specified URL", "repository_unavailable"),
    # A host whose clock is behind the key.
    ("repomd.xml GPG signature verification error: Bad GPG signature", "bad_signature"),
    ("repomd.xml GPG signature verification error: Signing key not found", "bad_signature"),
    ("History:\n - Signature verification failed for repomd.xml", "bad_signature"),
    ("History:\n - File /var/tmp/zypp.tmp/TmpFile.x doesn't contain public key data", "bad_signature"),
    # A package without a signature.
    ("Package klp-1-1.x86_64.rpm is not signed\nError: GPG check FAILED", "bad_signature"),
    ('Transaction failed: Signature verification failed.\nOpenPGP check for package "klp-1-1.x86_64"', "bad_signature"),
    # A stream of a module that is not enabled, an exclude, a version lock, a lock.
    ("All matches were filtered out by modular filtering for argument: klp", "excluded"),
    ("All matches were filtered out by exclude filtering for argument: klp", "excluded"),
    ("Argument 'klp' matches only excluded packages.", "excluded"),
    ("Argument 'klp' matches only packages excluded by versionlock.", "excluded"),
    ("Problem: conflicting requests\n Solution 1: remove lock to allow installation of klp-1-1.x86_64[try]", "excluded"),
    # strict=0, skip_unavailable=1: it ends well.
    ("No match for argument: klp\nNothing to do.\nComplete!", "not_found"),
    ("Failed loading plugin \"system_upgrade\": No module named 'systemd'", "package_failed"),
]


@pytest.mark.parametrize("text, code", WORDS)
def test_the_words_of_real_package_managers_are_understood(text, code):
    assert package_manager.reason(text) == code


def test_who_is_refused_for_a_signature_is_told_of_the_clock(dnf):
    dnf.trouble = rpm_host.OTHER_KEY
    assert "clock that is behind" in failing(dnf).message


@pytest.mark.parametrize("check_mode", [False, True])
def test_zypper_says_that_a_package_is_locked(zypper, check_mode):
    text = "<stream><prompt><description>Solution 1: remove lock to allow installation of x[lab]</description></prompt></stream>"
    zypper._zypper = lambda words: (4, text, "") if "install" in words else RpmHost._zypper(zypper, words)
    error = failing(zypper, check_mode=check_mode)
    assert (error.code, zypper.installed) == ("package_failed", None) and "excluded by the configuration" in error.message


def test_a_version_lock_of_dnf_4_that_a_query_does_not_see_is_seen_in_check_mode(dnf):
    lock = "All matches were filtered out by exclude filtering for argument: %s\n" + rpm_host.NO_MATCH
    known = RpmHost._dnf_command
    dnf._dnf_command = lambda words: (1, "", lock.replace("%s", words[-1])) if "install" in words else known(dnf, words)
    assert "excluded by the configuration" in failing(dnf, check_mode=True).message


@pytest.mark.parametrize("check_mode", [False, True])
def test_tdnf_that_ends_well_without_what_is_excluded_has_not_installed_it(tdnf, check_mode):
    text = "Warning: The following packages are excluded from tdnf.conf:\n  klp*\nNothing to do.\n"
    tdnf._tdnf = lambda words: (0, text, "") if "install" in words else RpmHost._tdnf(tdnf, words)
    for gpg_check in (True, False):
        error = failing(tdnf, check_mode=check_mode, gpg_check=gpg_check)
        assert (error.code, tdnf.installed) == ("package_failed", None) and "excluded" in error.message


# --- images and other engines


def test_nothing_is_installed_on_or_removed_from_an_image(host, root):
    put(root, "run/ostree-booted")
    assert failing(host).code == "image_based"
    assert host.ran(host.program) == []
    host.installed = "hotfix1"
    with pytest.raises(LivepatchError, match="Nothing was touched") as caught:
        absent(host)
    assert (caught.value.code, host.installed) == ("image_based", "hotfix1")


def test_what_an_image_brought_along_is_found_there(host, root):
    put(root, "run/ostree-booted")
    host.installed = "hotfix1"
    assert present(host)["outcome"] == "already_installed"


def test_no_package_is_installed_beside_an_engine_at_work_unless_it_is_known_to_agree(host, root):
    put(root, "sys/kernel/kpatch/old_fix/enabled", "1\n")
    assert failing(host).code == "other_engine"
    assert host.ran(host.program) == []
    assert present(host, other_engines="ignore")["outcome"] == "installed"


def test_an_idle_engine_is_no_reason_to_refuse_a_package(host, root):
    put(root, "sys/kernel/kpatch/old_fix/enabled", "0\n")
    assert present_and_warnings(host)[1] == []


# --- the kernel that boots next

NEXT = drift.Pending("6.1.0-57-amd64", "version")


def drifting(release="hotfix1"):
    return {"pending": NEXT, "pending_spec": "klp-%s-%s" % (NEXT.kernel_release, release)}


def test_a_release_that_is_ready_for_the_next_kernel_too_needs_no_word(host):
    host.others = ["klp-6.1.0-57-amd64-hotfix1"]
    result, warnings = present_and_warnings(host, **drifting())
    assert result["drift"]["build"] == "installed" and warnings == []


def test_a_next_kernel_without_a_build_is_warned_about_and_the_release_installed(host):
    result, warnings = present_and_warnings(host, **drifting())
    assert result["outcome"] == "installed"
    assert result["drift"] == {
        "kernel_release": "6.1.0-57-amd64",
        "known_by": "version",
        "package": "klp-6.1.0-57-amd64-hotfix1",
        "build": "missing",
    }
    assert len(warnings) == 1 and "klp-6.1.0-57-amd64-hotfix1 in no repository" in warnings[0]


def test_an_installed_release_costs_no_run_of_the_package_manager_for_the_next_kernel_either(host):
    host.installed = "hotfix1"
    result, warnings = present_and_warnings(host, **drifting())
    assert result["drift"]["build"] == "not_installed" and "Install that package too" in warnings[0]
    assert host.ran(host.program) == [] and len(host.ran("rpm")) == 2


@pytest.mark.parametrize("installed", [None, "hotfix1"])
def test_a_drift_that_must_not_be_is_refused_before_anything_is_touched(host, installed):
    host.installed = installed
    error = failing(host, drift="fail", **drifting())
    assert (error.code, error.details["drift"]["build"], host.installed) == ("drift", "missing", installed)
    assert "6.1.0-57-amd64" in error.message and "Let the running kernel boot again" in error.message


def test_a_build_that_only_has_to_be_installed_is_no_reason_to_refuse(dnf):
    dnf.available.add("next")
    options = dict(drifting(), drift="fail")
    options["pending_spec"] = NAME + "-next"
    result, warnings = present_and_warnings(dnf, **options)
    assert (result["outcome"], result["drift"]["build"]) == ("installed", "available")
    assert "not installed. Install that package too." in warnings[0]


def test_a_release_for_no_kernel_at_all_is_not_applicable_and_no_drift(host):
    for policy in ("fail", "warn"):
        result, warnings = present_and_warnings(host, "hotfix9", drift=policy, **drifting("hotfix9"))
        assert (result["outcome"], warnings) == ("not_applicable", [])


def test_repositories_that_do_not_answer_leave_the_next_kernel_unknown(dnf):
    dnf.installed, dnf.down = "hotfix1", True
    assert failing(dnf, drift="fail", **drifting()).details["drift"]["build"] == "unknown"


def test_drift_is_not_looked_for_where_it_is_to_be_ignored(host):
    result, warnings = present_and_warnings(host, drift="ignore", **drifting())
    assert (result["drift"], warnings) == (None, [])
    assert NEXT.kernel_release not in str(host.calls)


# --- a package that goes while its livepatch runs


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_livepatch_that_outlives_its_package_is_named(host, root, check_mode):
    host.installed = "hotfix1"
    put(root, "sys/kernel/livepatch/hotfix1/enabled", "1\n")
    put(root, "sys/kernel/livepatch/hotfix1/transition", "0\n")
    result, warnings = absent_and_warnings(host, check_mode=check_mode)
    assert (result["outcome"], result["still_running"]) == ("removed", ["hotfix1"])
    assert "hotfix1 runs on without its package" in warnings[0]


def test_a_package_whose_livepatch_does_not_run_goes_without_a_word(host):
    host.installed = "hotfix1"
    result, warnings = absent_and_warnings(host)
    assert (result["still_running"], warnings) == ([], [])

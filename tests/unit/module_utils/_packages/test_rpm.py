# The RPM database: installed packages, their modules, and files that are not as shipped.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import shutil
import subprocess
import sys

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import rpm
from tests.unit.fakes.rpm_host import KERNEL, NAME, RpmHost

KO = "/usr/lib/modules/%s/livepatch/hotfix1.ko" % KERNEL


@pytest.fixture
def host():
    fake = RpmHost()
    fake.installed = "hotfix1"
    return fake


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz", ".zst"])
def test_the_modules_for_the_running_kernel_are_found_compressed_or_not(host, suffix):
    host.files = [KO + suffix, "/usr/share/doc/klp/README", "/usr/lib/modules/5.10.0-1-amd64/livepatch/hotfix1.ko"]
    assert rpm.module_files(host.run, NAME, KERNEL) == [KO + suffix]


def test_a_module_outside_any_kernels_directory_counts_for_every_kernel(host):
    host.files = ["/usr/lib/syscare/patches/0c1a/hotfix1.ko"]
    assert rpm.module_files(host.run, NAME, KERNEL) == host.files


def test_a_package_for_another_kernel_is_refused_and_that_kernel_is_named(host):
    host.files = ["/usr/lib/modules/5.10.0-1-amd64/livepatch/hotfix1.ko"]
    with pytest.raises(LivepatchError, match="6.1.0-56-amd64, found modules for 5.10.0-1-amd64") as caught:
        rpm.module_files(host.run, NAME, KERNEL)
    assert caught.value.code == "other_kernel"


def test_a_package_without_a_module_is_refused(host):
    host.files = ["/usr/share/doc/klp/README"]
    with pytest.raises(LivepatchError) as caught:
        rpm.module_files(host.run, NAME, KERNEL)
    assert caught.value.code == "no_module_in_package"


def test_the_files_of_a_package_that_is_not_installed_cannot_be_found(host):
    with pytest.raises(LivepatchError, match="is not installed") as caught:
        rpm.module_files(host.run, "other", KERNEL)
    assert caught.value.code == "not_found"


def test_files_as_shipped_give_no_differences(host):
    assert rpm.verify(host.run, NAME) == []


def test_each_file_that_differs_is_named_with_what_differs(host):
    host.verification = (
        "S.5....T.    %s\nmissing     /usr/share/doc/klp/README\n.......T.  d /usr/share/klp\n"
        "S.5....T.  c /etc/klp.conf\n..?......    /usr/lib/secret\n" % KO
    )
    assert rpm.verify(host.run, NAME) == [
        {"file": KO, "differs": ["size", "digest"]},
        {"file": "/usr/share/doc/klp/README", "differs": ["missing"]},
        {"file": "/usr/lib/secret", "differs": ["unreadable"]},
    ]


@pytest.mark.parametrize(
    "columns, mode, owner, group, differs",
    [
        (".M.......", 0o100755, 0, 0, []),
        (".M.......", 0o100664, 0, 0, []),
        (".M.......", 0o100664, 0, 100, ["mode"]),
        (".M.......", 0o100646, 0, 0, ["mode"]),
        (".....U...", 0o100644, 1000, 0, ["user"]),
        ("......G..", 0o100644, 0, 100, []),
        ("......G..", 0o100664, 0, 100, ["group"]),
        (".M....G..", 0o120777, 0, 100, []),
    ],
)
def test_a_mode_or_an_owner_counts_where_others_than_root_could_change_the_file(
    host, columns, mode, owner, group, differs
):
    host.verification = "%s    %s\n" % (columns, KO)
    status = type("Status", (), {"st_mode": mode, "st_uid": owner, "st_gid": group})
    found = rpm.verify(host.run, NAME, lambda path: status)
    assert found == ([{"file": KO, "differs": differs}] if differs else [])


def test_rpm_failing_to_verify_is_not_taken_for_unchanged_files():
    def run(command, **dummy):
        return 1, "", "error: cannot open Packages database in /var/lib/rpm\n"

    with pytest.raises(LivepatchError, match="cannot open Packages database") as caught:
        rpm.verify(run, NAME)
    assert caught.value.code == "package_failed"


def test_a_host_without_rpm_is_told_so_by_what_limits_its_time():
    def run(command, **dummy):
        return 127, "", "timeout: failed to run command 'rpm': No such file or directory\n"

    with pytest.raises(LivepatchError, match="failed to run command 'rpm'") as caught:
        rpm.installed(run, NAME)
    assert caught.value.code == "no_package_manager"


def test_a_broken_rpm_database_is_not_taken_for_a_missing_package():
    def run(command, **dummy):
        return 1, "", "error: cannot open Packages database in /var/lib/rpm\n"

    with pytest.raises(LivepatchError) as caught:
        rpm.installed(run, NAME)
    assert caught.value.code == "package_failed"


def test_of_two_installed_versions_the_one_installed_last_counts():
    def run(command, **dummy):
        rows = "installed\tk\t1\t1\tx86_64\t200\t(none)\nfile\t/a\ninstalled\tk\t2\t1\tx86_64\t100\t(none)\nfile\t/b\n"
        return 0, rows, ""

    assert [(package.version, package.files) for package in rpm.installed(run, "k")] == [("1", ["/a"])]


@pytest.mark.parametrize("signatures, calls", [("(none)\tDSA/SHA1, Key ID 9a16\t(none)", 1), ("(none)\t(none)", 2)])
def test_only_a_package_without_a_signature_of_rpm_4_costs_a_second_query(signatures, calls):
    commands = []

    def run(command, **dummy):
        commands.append(command)
        if "OPENPGP" in command[5]:
            return 0, "OpenPGP V6, Key ID 9a16\n", ""
        return 0, "installed\tk\t1\t1\tx86_64\t200\t%s\n" % signatures, ""

    package = rpm.installed(run, "k")[0]
    assert "Key ID 9a16" in rpm.signature(run, package)
    assert len(commands) == calls


@pytest.mark.parametrize(
    "package", ["", "-e", "--root=/", "a/b", "a b", "a*", "$HOME", "~root", "a;b", "/etc/passwd", "a" * 251]
)
def test_what_cannot_be_a_package_never_reaches_a_command(host, package):
    for function in (rpm.verify, rpm.module_files, rpm.installed):
        with pytest.raises(LivepatchError) as caught:
            function(host.run, package)
        assert caught.value.code == "bad_name"
    assert host.calls == []


# As rpm's own tests have them: older first.
ORDERED = ["1.0~~", "1.0~rc1", "1.0~rc1^git1", "1.0", "1.0^", "1.0^git1~pre", "1.0^git1", "1.0^git2", "1.0a", "1.0.1", "1.2", "1.10"]


def test_versions_are_in_the_order_of_rpm():
    assert sorted(reversed(ORDERED), key=rpm.version_key) == ORDERED
    assert rpm.version_key("1.0") == rpm.version_key("1_0.") == rpm.version_key("01.00")
    assert rpm.is_newer(("1", "10.el9_4"), ("1", "9.el9_4")) and not rpm.is_newer(("1", "1"), ("1", "1"))
    assert not rpm.is_newer(("0", "9"), ("1", "1"))


@pytest.mark.skipif(not shutil.which("rpm"), reason="no rpm on this machine to compare with")
def test_versions_compare_as_rpm_says_they_do():
    pairs = [(one, other) for one in ORDERED for other in ORDERED]
    lua = "".join('print(rpm.vercmp("%s", "%s"), " ")' % pair for pair in pairs)
    printed = subprocess.run(["rpm", "--eval", "%{lua:" + lua + "}"], stdout=subprocess.PIPE, check=True).stdout.split()
    for (one, other), order in zip(pairs, printed):
        first, second = rpm.version_key(one), rpm.version_key(other)
        assert (first > second) - (first < second) == int(order), (one, other)


def test_a_number_that_is_too_long_for_python_is_compared_all_the_same():
    assert rpm.version_key("9" * 9000) < rpm.version_key("1" + "0" * 9000)


def test_rpms_lock_is_seen_while_another_program_has_it_and_is_not_taken(tmp_path):
    lock = tmp_path / "lock"
    lock.write_text("")

    def run_command(command, **unused):
        return 0, "%s\n" % lock, ""

    assert not rpm.is_locked(run_command)
    hold = "import fcntl,sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"1\n"
        assert rpm.is_locked(run_command)
    finally:
        holder.communicate()
    assert not rpm.is_locked(run_command)
    lock.unlink()
    assert not rpm.is_locked(run_command)

# Facts beyond the kernel's tree: packages and CVEs, where they are asked for.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._change import interface
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import package_facts
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts
from tests.unit.fakes import elf
from tests.unit.fakes.elf import KERNEL
from tests.unit.fakes.kernel import FakeKernel

NEVRA = "klp-%s-hotfix2-1.x86_64" % KERNEL
FILE = "usr/lib/modules/%s/livepatch/hotfix2.ko" % KERNEL
CHANGELOG = "- CVE-2026-40001 kernel: mended\n- CVE-2026-40002 kernel: mended\n"


@pytest.fixture
def kernel(tmp_path):
    fake = FakeKernel(tmp_path)
    fake.insert("hotfix2", transition=0)
    return fake


@pytest.fixture
def root(kernel):
    return str(kernel.root)


class Rpm(object):
    """rpm -qf: says that every file belongs to a package, or to none."""

    def __init__(self, *packages):
        self.packages = packages
        self.calls = []

    def __call__(self, command, **_options):
        self.calls.append(command)
        assert command[0] == "timeout" and command[2:4] == ["rpm", "-qf"]
        if not self.packages:
            return 1, "file %s is not owned by any package\n" % command[-1], ""
        return 0, "".join("owner\t%s\t%s\n%s" % package for package in self.packages), ""


def put(root, path, data):
    place = os.path.join(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "wb") as stream:
        stream.write(data)
    return place


def gather(root, run_command=None, *asked):
    return kernel_facts.gather(root, asked, run_command)


def test_without_being_asked_for_packages_no_process_is_started(root):
    put(root, FILE, b"")
    patch = gather(root)["patches"]["hotfix2"]
    assert patch["file"] == os.path.join(root, FILE)
    assert (patch["package"], patch["packaged"], patch["cves"]) == (None, None, None)


def test_the_package_of_the_running_code_is_named(root):
    place = put(root, FILE, elf.module("hotfix2"))
    rpm = Rpm((100, "klp-old-1-1.x86_64", ""), (200, NEVRA, CHANGELOG))
    facts = gather(root, rpm, "packages")
    patch = facts["patches"]["hotfix2"]
    assert (patch["package"], patch["packaged"], patch["cves"], facts["cves"]) == (NEVRA, True, None, None)
    assert rpm.calls[0][-1] == place and len(rpm.calls) == 1
    assert "changelog" not in patch


def test_a_livepatch_without_a_file_has_lost_its_package(root):
    patch = gather(root, Rpm(), "packages")["patches"]["hotfix2"]
    assert (patch["file"], patch["package"], patch["packaged"]) == (None, None, False)


def test_a_file_that_no_package_has_is_not_packaged(root):
    put(root, FILE, elf.module("hotfix2"))
    assert gather(root, Rpm(), "packages")["patches"]["hotfix2"]["packaged"] is False


def test_a_package_with_other_code_is_not_that_of_the_livepatch_that_runs(root):
    put(root, FILE, elf.module("hotfix2", build_id="99" * 20))
    patch = gather(root, Rpm((200, NEVRA, CHANGELOG)), "cves")["patches"]["hotfix2"]
    assert (patch["package"], patch["packaged"], patch["cves"]) == (None, False, None)


def test_a_file_that_is_no_module_any_more_proves_nothing(root):
    put(root, FILE, b"overwritten")
    assert gather(root, Rpm((200, NEVRA, "")), "packages")["patches"]["hotfix2"]["packaged"] is False


def test_a_host_without_rpm_does_not_know_and_is_no_failure(root):
    def run(command, **options):
        raise OSError(2, "No such file or directory")

    put(root, FILE, elf.module("hotfix2"))
    patch = gather(root, run, "packages")["patches"]["hotfix2"]
    assert (patch["package"], patch["packaged"]) == (None, None)


def test_a_broken_rpm_database_is_not_taken_for_a_file_of_nobody(root):
    put(root, FILE, elf.module("hotfix2"))
    broken = "error: cannot open Packages database in /var/lib/rpm\n"
    patch = gather(root, lambda command, **options: (1, "", broken), "packages")["patches"]["hotfix2"]
    assert patch["packaged"] is None


def test_what_the_changelog_names_is_covered(root):
    put(root, FILE, elf.module("hotfix2"))
    facts = gather(root, Rpm((200, NEVRA, CHANGELOG)), "cves")
    assert facts["patches"]["hotfix2"]["cves"] == ["CVE-2026-40001", "CVE-2026-40002"]
    assert facts["cves"] == {
        "covered": ["CVE-2026-40001", "CVE-2026-40002"],
        "sources": {"changelog": "read", "advisories": None},
    }


def test_what_the_advisories_name_is_covered_besides(root):
    put(root, FILE, elf.module("hotfix2"))
    advisory = "<update>CVE-2026-40009 <filename>%s.rpm</filename></update>" % NEVRA
    put(root, "var/cache/dnf/lab-1/repodata/1-updateinfo.xml", advisory.encode())
    facts = gather(root, Rpm((200, NEVRA, CHANGELOG)), "cves", "advisories")
    assert facts["cves"]["covered"] == ["CVE-2026-40001", "CVE-2026-40002", "CVE-2026-40009"]
    assert facts["cves"]["sources"] == {"changelog": "read", "advisories": "read"}


def test_a_livepatch_in_transition_covers_nothing_yet(kernel, root):
    kernel.insert("hotfix3", transition=1)
    put(root, FILE.replace("hotfix2", "hotfix3"), elf.module("hotfix3"))
    facts = gather(root, Rpm((200, NEVRA, CHANGELOG)), "cves")
    assert facts["patches"]["hotfix3"]["cves"] == ["CVE-2026-40001", "CVE-2026-40002"]
    assert facts["cves"]["covered"] == []


def test_a_host_without_a_livepatch_covers_nothing_and_asks_nobody(kernel, root):
    for name in ("sys/kernel/livepatch/hotfix2/enabled", "sys/kernel/livepatch/hotfix2/transition"):
        kernel.text(name, "0")
    facts = gather(root, None, "cves", "advisories")
    assert facts["cves"] == {"covered": [], "sources": {"changelog": "absent", "advisories": "absent"}}


def test_engines_images_and_the_pending_kernel_are_always_told(kernel, root):
    put(root, "run/ostree-booted", b"")
    put(root, "sys/kernel/kpatch/old/enabled", b"1\n")
    put(root, "usr/lib/modules/9.9.9-1/vmlinuz", b"")
    put(root, "usr/lib/modules/9.9.9-1/livepatch/hotfix9.ko", b"")
    facts = gather(root)
    assert facts["image_based"] == "ostree"
    assert facts["engines"] == [{"name": "kpatch_core", "active": True, "effective_release": KERNEL + "-old"}]
    assert facts["pending_kernel"] == {"kernel_release": "9.9.9-1", "known_by": "version", "livepatches": ["hotfix9"]}


def test_an_ordinary_host_has_the_same_keys(root):
    facts = gather(root)
    assert (facts["image_based"], facts["engines"], facts["pending_kernel"], facts["cves"]) == (None, [], None, None)


@pytest.mark.parametrize(
    "options, name",
    [
        ({"name": "hot-fix2", "package": None}, "hot_fix2"),
        ({"name": None, "package": "klp-%s-hotfix2" % KERNEL}, "hotfix2"),
        ({"name": None, "package": NEVRA}, "hotfix2"),
        ({"name": None, "package": "kernel-livepatch-6_4_0-150600_1-default-6-150600.2.2"}, "livepatch_6_150600_2_2"),
    ],
)
def test_a_livepatch_that_runs_without_its_package_is_told_to_whoever_asks_for_it(kernel, root, options, name):
    kernel.insert(name, transition=0)
    error = LivepatchError("not_found", "package: not installed.")
    interface.explain_gone(error, options, root)
    assert "livepatch %s runs all the same: its package was removed" % name in error.message
    assert error.details == {"running": name, "package_removed": True}


@pytest.mark.parametrize(
    "code, options",
    [
        ("not_found", {"name": "hotfix9", "package": None}),
        ("not_found", {"name": None, "package": "klp-%s-hotfix9" % KERNEL}),
        ("not_found", {"name": None, "package": "kernel-livepatch-6.1.186-228.376-1.0-2.amzn2023"}),
        ("not_found", {"name": None, "package": "somethingelse"}),
        ("other_kernel", {"name": "hotfix2", "package": None}),
    ],
)
def test_another_error_and_another_livepatch_are_left_as_they_are(root, code, options):
    error = LivepatchError(code, "as it was")
    interface.explain_gone(error, options, root)
    assert (error.message, error.details) == ("as it was", {})


def test_what_can_be_gathered_is_what_the_module_offers():
    from ansible_collections.kernel.livepatch.plugins.modules import livepatch_facts

    for choice in package_facts.CHOICES:
        assert "V(%s)" % choice in livepatch_facts.DOCUMENTATION

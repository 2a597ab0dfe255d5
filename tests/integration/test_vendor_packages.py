# Packages that act as those of vendors do: what they load, what they tell kpatch.service, and what becomes of it at boots.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# One guest with systemd and kpatch. CI goes the way of RHEL's packages; `make test-vendor-packages` those of the others, too.

import shutil

import pytest

from tests.integration.test_reboot import KEEP, Machine
from tests.lab import kernels, vendor_packages
from tests.lab.fleet import Fleet

LIVEPATCH = "kernel.livepatch.livepatch"
PACKAGE = "kernel.livepatch.livepatch_package"
KERNEL = "6.1"
OTHERS = pytest.mark.vendor_packages

# A host of the vendor by its os-release; zypper is chosen for the word suse, and takes versions beside each other.
OF_VENDOR = """test -e /etc/os-release.lab || cp /etc/os-release /etc/os-release.lab
printf 'ID=%s\\n' > /etc/os-release.new && mv /etc/os-release.new /etc/os-release
mkdir -p /etc/zypp/repos.d && cp /etc/yum.repos.d/lab.repo /etc/zypp/repos.d/lab.repo
grep -q '^multiversion' /etc/zypp/zypp.conf 2>/dev/null || echo 'multiversion = provides:multiversion(kernel)' >> /etc/zypp/zypp.conf
"""
# Nothing of a livepatch is left; what kpatch has is gone with its package.
CLEAN = """rpm -qa 'kpatch-patch-*' 'kernel-livepatch-*' 'klp-*' 'livepatch-*' | xargs -r rpm -e --nodeps
rm -rf /var/lib/kpatch /etc/livepatch/held.d /etc/systemd/system/kpatch.service.d
systemctl --quiet disable kpatch.service
"""


def packages_of(release):
    """All that the tests need, for a kernel release."""
    rhel, suse, azure = vendor_packages.rhel, vendor_packages.suse, vendor_packages.azure
    amazon, meta = vendor_packages.amazon, vendor_packages.meta
    two = {"addon_a": "livepatch_CVE_2026_40001", "addon_b": "livepatch_CVE_2026_40002"}
    return [
        rhel(release, "0", "0", None),
        rhel(release, "1", "1", "hotfix1"),
        rhel(release, "1", "5", "hotfix2"),
        rhel(release, "1", "6", "stalls"),
        rhel(release, "1", "7", "panics"),
        suse(release, "1", "150400.1.1", "hotfix1"),
        suse(release, "2", "150400.2.2", "hotfix2"),
        azure(release, "1.0.0", "1", "hotfix1"),
        azure(release, "1.0.0", "2", "hotfix2"),
        amazon(release, "1.0", "1", {"addon_a": "livepatch_CVE_2026_40001"}),
        amazon(release, "1.0", "2", two),
        meta(release, "hf1", "hotfix1", loads=False),
        meta(release, "hf2", "hotfix2", loads=True),
    ]


class Vendor(Machine):
    """The guest as a host of a vendor."""

    def be(self, vendor):
        """Become a host of this vendor (word of os-release) without any livepatch."""
        self.succeed(keep("forget", state="absent"), take_out("clean"))
        self.shell(CLEAN + OF_VENDOR % vendor)

    def release(self, number):
        """The name in the kernel of a release of RHEL."""
        return "kpatch_%s_%s" % (identifier(self.guest.kernel_release), identifier(number))

    def persistent(self):
        """(livepatch that runs, whether it comes at the next boot)."""
        facts = self.facts()
        return facts["enabled"], facts["enabled"] and facts["patches"][facts["enabled"]]["persistent"]

    def kpatch_said(self):
        return self.shell("journalctl -b -u kpatch.service -o cat --no-pager")

    def left(self):
        """What is there of the hold."""
        return self.shell("find /etc/livepatch /etc/systemd/system/kpatch.service.d -type f 2>/dev/null; true").split()


def identifier(text):
    return "".join(letter if letter.isalnum() else "_" for letter in text)


def bring(release, name="bring", check_mode=False, **options):
    options = dict({"timeout": 240}, release=release, **options)
    return {"name": name, LIVEPATCH: options, "check_mode": check_mode}


def keep(name="keep", **options):
    return {"name": name, KEEP: options}


def take_out(name="take out"):
    return {"name": name, LIVEPATCH: {"all": True, "state": "absent", "timeout": 240}}


def remove(release):
    return {"name": "remove", PACKAGE: {"release": release, "state": "absent"}}


@pytest.fixture(scope="module")
def host(tmp_path_factory, put_python, tasks_in):
    """One guest with systemd, and a repository of vendors' packages."""
    built = kernels.get(KERNEL)
    found = vendor_packages.build(built, packages_of(built.release))
    with Fleet(tmp_path_factory.mktemp("vendor"), hosts=1, kernels=[KERNEL], processors=1, init="systemd") as fleet:
        for path in found.glob("*.rpm"):
            shutil.copy(path, fleet.repository.directory)
        fleet.repository.refresh()
        made = Vendor(fleet, tasks_in)
        put_python(made.guest)
        yield made


def test_a_package_of_rhel_is_on_probation_kept_upgraded_taken_back_and_removed(host):
    host.be("rhel")
    first, fifth = host.release("1-1"), host.release("1-5")

    # The subscription, and then the first one with a livepatch: its script loads it, and gives it to kpatch.service.
    empty, predicted, brought, again = host.run(
        bring("0-0"), bring("1-1", check_mode=True), bring("1-1"), bring("1-1", "again")
    )
    assert empty["failed"] and empty["error"] == "no_module_in_package", empty
    assert brought["proven"] and brought["name"] == first and brought["changed"], brought
    assert (predicted["package"], predicted["name"]) == (brought["package"], brought["name"])
    assert brought["package_before"].endswith("-0-0.x86_64") and not again["changed"]
    assert host.shell("systemctl is-enabled kpatch.service; ls /var/lib/kpatch/*").startswith("enabled")
    assert host.persistent() == (first, False), "its tier has not passed"

    host.reboot()
    assert host.persistent() == (None, None), "a reboot within the soak"
    assert "%s: not loaded: it is on probation" % first in host.kpatch_said()

    # Its tier has passed: from now on it comes, and boots are counted.
    brought, kept, again = host.succeed(bring("1-1"), keep(), keep("again"))
    assert brought["outcome"] == "already_installed" and kept["changed"] and not again["changed"]
    assert (kept["name"], kept["by"]) == (first, "livepatch-boot.service")
    assert host.persistent() == (first, True)

    # Upgraded in one transition, and back: the script of the older one loads nothing, and asks for a reboot.
    upgraded, back = host.succeed(bring("1-5"), bring("1-1", "back"))
    assert upgraded["replaced"] == [first] and upgraded["name"] == fifth and upgraded["proven"]
    assert back["replaced"] == [fifth] and back["name"] == first and back["proven"], back
    assert back["package_before"].endswith("-1-5.x86_64") and back["diff"]["after"]["inert"] == []
    assert host.persistent() == (first, True)

    # One that ends its host in or after its script: the host comes up with what it kept, once.
    boot = host.boot_id()
    with pytest.raises(AssertionError):
        host.run(bring("1-7"), {"name": "wait", "ansible.builtin.raw": "sleep 60"})
    host.until(lambda: host.boot_id() not in (None, boot))
    facts = host.facts()
    assert facts["enabled"] == first and facts["boot_guard"]["state"] == "enabled" and facts["boot_guard"]["boots"] == 1
    assert host.release("1-7") not in host.shell("ls /sys/kernel/livepatch")

    # To none: nothing of it comes any more, and kpatch.service is as it would be without us.
    host.run(bring("1-5"))
    kept, out, removed = host.run(keep(state="absent"), take_out(), remove("1-5"))
    assert not kept["failed"] and kept["by"] is None and out["proven"], (kept, out)
    assert "Red Hat does not support" in str(out["warnings"])
    assert removed["outcome"] == "removed" and host.left() == [], removed
    assert host.shell("systemctl is-enabled kpatch.service; systemctl cat kpatch.service").count("ExecStart=") == 1


@OTHERS
def test_a_stall_within_the_script_of_a_package_is_a_stall_and_nothing_comes_at_the_next_boot(host):
    host.be("rhel")
    host.succeed(bring("1-1"), keep())
    (stalled,) = host.run(bring("1-6", timeout=20))
    assert stalled["failed"] and stalled["error"] == "stalled" and stalled["transition"]["blockers"], stalled
    assert stalled["diff"]["after"]["enabled"] == [host.release("1-1")] and stalled["package"].endswith("-1-6.x86_64")
    (back,) = host.succeed(bring("1-1", "back"))
    assert back["proven"] and back["package_before"].endswith("-1-6.x86_64")
    assert host.persistent() == (host.release("1-1"), True)


@OTHERS
def test_what_kpatch_service_kept_before_comes_back_until_the_tier_of_the_new_one_has_passed(host):
    host.be("rhel")
    first, fifth = host.release("1-1"), host.release("1-5")
    # By hand, as it was before this collection came.
    host.shell("dnf -q -y install kpatch-patch-$(uname -r | tr . _)-1-1")
    assert host.persistent() == (first, True)
    host.succeed(bring("1-5"))
    assert host.persistent() == (fifth, False)
    host.reboot()
    assert host.persistent() == (first, True), "a reboot within the soak"
    host.succeed(bring("1-5"), keep())
    host.reboot()
    assert host.persistent() == (fifth, True), "a reboot after it"


@OTHERS
def test_a_loop_of_crashes_of_what_was_kept_is_broken_though_kpatch_service_has_it_too(host):
    host.be("rhel")
    release = host.guest.kernel_release
    path = "/usr/lib/kpatch/%s/kpatch-%s-1-7.ko" % (release, release.replace(".", "_"))
    (package,) = host.fleet.repository.directory.glob("kpatch-patch-*-1-7.x86_64.rpm")
    host.guest.copy(package, "/root/")
    # An hour now, eight seconds at boot.
    host.shell("rpm -i --noscripts --nodeps /root/" + package.name)
    host.shell("insmod %s delay_ms=3600000; kpatch install %s" % (path, path))
    host.until(lambda: host.shell("cat /sys/kernel/livepatch/%s/transition" % host.release("1-7")) == "0")
    (kept,) = host.succeed(keep(path=path))
    assert kept["by"] == "livepatch-boot.service"
    panics = host.guest.console().count("ends this machine")
    host.fleet.boot_again(host.name, cmdline="")
    host.until(lambda: host.guest.console().count("ends this machine") >= panics + 2)
    host.guest.wait_for_ssh()
    facts = host.facts()
    assert facts["enabled"] is None and facts["boot_guard"]["state"] == "tripped", facts["boot_guard"]
    assert "not loaded" in host.kpatch_said() and host.guest.console().count("ends this machine") == panics + 2


@OTHERS
def test_a_rollback_to_none_at_the_next_boot_leaves_the_kernel_as_it_is(host):
    host.be("rhel")
    first = host.release("1-1")
    host.succeed(bring("1-1"), keep())
    gone, removed = host.succeed(keep(state="absent"), remove("1-1"))
    assert gone["name"] is None and gone["by"] is None and removed["still_running"] == [first]
    assert host.persistent() == (first, False)
    host.reboot()
    assert host.persistent() == (None, None)


@OTHERS
def test_versions_of_suse_lie_beside_each_other_and_one_at_a_time_runs(host):
    host.be("sles\\nID_LIKE=suse")
    first, second = bring("1-150400.1.1"), bring("2-150400.2.2", "second")
    one, two, back, forth = host.succeed(first, second, dict(first, name="back"), dict(second, name="forth"))
    assert one["name"] == "livepatch_1_150400_1_1" and one["proven"], one
    assert two["replaced"] == ["livepatch_1_150400_1_1"] and two["package_before"].endswith("-1-150400.1.1.x86_64")
    assert len(host.shell("rpm -qa 'kernel-livepatch-*'").split()) == 2
    assert back["outcome"] == "already_installed" and back["replaced"] == ["livepatch_2_150400_2_2"]
    assert forth["name"] == "livepatch_2_150400_2_2" and forth["proven"]
    (removed,) = host.succeed(remove("2-150400.2.2"))
    assert removed["outcome"] == "removed" and len(host.shell("rpm -qa 'kernel-livepatch-*'").split()) == 1
    host.succeed(keep())
    host.reboot()
    assert host.persistent() == ("livepatch_2_150400_2_2", True), "from the host's own copy"


@OTHERS
def test_a_package_of_azure_linux_loads_keeps_to_probation_and_takes_itself_out(host):
    host.be("azurelinux")
    one, two, back = host.succeed(bring("1.0.0-1"), bring("1.0.0-2", "upgrade"), bring("1.0.0-1", "back"))
    assert one["proven"] and two["replaced"] == [one["name"]] and back["replaced"] == [two["name"]], back
    assert back["proven"] and host.persistent() == (one["name"], False)
    (removed,) = host.succeed(remove("1.0.0-1"))
    assert removed["still_running"] == [] and host.facts()["enabled"] is None and host.left() == []


@OTHERS
def test_a_package_of_metas_lies_in_kpatchs_own_directory_and_is_on_probation_all_the_same(host):
    host.be("centos")
    host.shell("systemctl --quiet enable kpatch.service")
    one, two = host.succeed(bring("hf1"), bring("hf2", "upgrade"))
    assert one["proven"] and two["replaced"] == ["klp_hf1"], two
    assert host.persistent() == ("klp_hf2", False)
    (back,) = host.succeed(bring("hf1", "back"))
    assert back["proven"] and back["name"] == "klp_hf1" and host.persistent() == ("klp_hf1", False)
    host.reboot()
    assert host.persistent() == (None, None)


@OTHERS
def test_a_package_of_amazon_with_two_livepatches_is_refused_by_name_and_leaves_the_host_as_it_was(host):
    host.be("amzn")
    (one,) = host.succeed(bring("1.0-1"))
    assert one["name"] == "livepatch_CVE_2026_40001" and host.persistent() == (one["name"], False)
    (two,) = host.run(bring("1.0-2"))
    assert two["failed"] and two["error"] == "unsupported" and two["changed"], two
    assert two["diff"]["after"]["enabled"] == [one["name"]] and host.persistent() == (one["name"], False)

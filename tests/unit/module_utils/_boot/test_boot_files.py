# The program that runs at boot, run by the shells that distributions have as /bin/sh, with a kernel of its own.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import hashlib
import os
import shutil
import stat
import subprocess

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_record

KERNEL = "6.1.0-56-amd64"
SHELLS = [["sh"]] + ([["bash", "--posix"]] if shutil.which("bash") else [])

# What stands for kmod: it does what the kernel does with a livepatch, or what the file `refuses` says.
INSMOD = """#!/bin/sh
echo "insmod $*" >> "$ROOT/calls"
if [ -e "$ROOT/refuses" ]; then cat "$ROOT/refuses" >&2; exit 1; fi
mkdir -p "$ROOT/sys/kernel/livepatch/hotfix3"
"""
MODPROBE = """#!/bin/sh
echo "modprobe $*" >> "$ROOT/calls"
[ ! -e "$ROOT/no-such-module" ]
"""


class Host(object):
    """A host that boots: its files outlive a boot, /run and /sys do not."""

    def __init__(self, root, shell):
        self.root = str(root)
        self.shell = shell
        self.release(KERNEL)
        self.cmdline("root=/dev/vda ro")
        self.tool("insmod", INSMOD)
        self.tool("modprobe", MODPROBE)
        text = boot_record.contents(10)[boot_record.PROGRAM]
        assert text.count("\nroot=\n") == text.count("\nPATH=") == 1
        text = text.replace("\nroot=\n", "\nroot=%s\n" % root).replace("\nPATH=", "\nPATH=%s/tools:" % root)
        self.write("boot.sh", text)

    def path(self, *names):
        return os.path.join(self.root, *names)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as stream:
            stream.write(text)

    def read(self, name):
        with open(self.path(name)) as stream:
            return stream.read()

    def tool(self, name, text):
        self.write("tools/" + name, text)
        os.chmod(self.path("tools", name), 0o755)

    def release(self, kernel):
        self.kernel = kernel
        self.tool("uname", "#!/bin/sh\necho '%s'\n" % kernel)

    def cmdline(self, text):
        self.write("proc/cmdline", text + "\n")

    def module(self, content="the livepatch"):
        self.write("usr/lib/modules/hotfix3.ko", content)

    def record(self, content="the livepatch", depends=""):
        digest = hashlib.sha256(content.encode()).hexdigest()
        lines = [
            "# a comment",
            "name=hotfix3",
            "path=/usr/lib/modules/hotfix3.ko",
            "sha256=" + digest,
            "depends=" + depends,
        ]
        self.write("etc/livepatch/boot.d/" + self.kernel, "\n".join(lines) + "\n")

    def run(self, action):
        environment = dict(os.environ, ROOT=self.root)
        return subprocess.run(
            self.shell + [self.path("boot.sh"), action],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            env=environment,
            check=False,
        )

    def boot(self):
        """What the former boot had in memory is gone; return the exit status of the start."""
        for name in ("run", "sys"):
            shutil.rmtree(self.path(name), ignore_errors=True)
        return self.run("start").returncode

    @property
    def enabled(self):
        return os.path.isdir(self.path("sys/kernel/livepatch/hotfix3"))

    @property
    def guard(self):
        return boot_record.facts(self.root, self.kernel)[1]


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def host(request, tmp_path):
    made = Host(tmp_path, request.param)
    made.module()
    made.record()
    return made


def test_a_recorded_livepatch_is_enabled_at_boot(host):
    assert host.boot() == 0 and host.enabled
    assert host.guard == {"state": "enabled", "boots": 1, "reason": "enabled at boot"}
    assert "insmod %s/usr/lib/modules/hotfix3.ko" % host.root in host.read("calls")


def test_a_boot_that_survives_is_forgotten_by_the_guard(host):
    host.boot()
    assert host.run("survived").returncode == 0
    assert host.guard == {"state": "survived", "boots": 0, "reason": "the kernel lived with it"}
    for dummy in range(3):
        assert host.boot() == 0
        host.run("survived")


def test_after_two_boots_that_died_the_third_stays_out_and_says_why(host):
    assert host.boot() == 0
    assert host.boot() == 0 and host.guard["boots"] == 2
    assert host.boot() == 1 and not host.enabled
    assert host.guard["state"] == "tripped" and host.guard["boots"] == 2
    assert "died early" in host.guard["reason"] and "boot.sh clear" in host.guard["reason"]
    assert host.boot() == 1, "it stays out until somebody clears the guard"


def test_only_deaths_in_a_row_count(host):
    host.boot()
    host.boot()
    host.run("survived")
    assert host.boot() == 0 and host.boot() == 0


def test_an_orderly_shutdown_is_no_death_and_no_proof_of_life(host):
    for dummy in range(3):
        assert host.boot() == 0
        assert host.run("stop").returncode == 0
        assert host.guard == {"state": "stopped", "boots": 0, "reason": "the host was shut down in order"}
    host.boot()
    assert host.boot() == 0 and host.run("stop").returncode == 0
    assert host.guard["boots"] == 1, "the death before it still counts"


def test_a_boot_on_which_it_was_disabled_proves_nothing(host):
    host.boot()
    assert host.boot() == 0
    shutil.rmtree(host.path("sys"))
    host.run("survived")
    assert host.guard["boots"] == 1


def test_an_operator_clears_the_guard(host):
    for dummy in range(3):
        host.boot()
    assert not host.enabled
    cleared = host.run("clear")
    assert cleared.returncode == 0 and "systemctl restart livepatch-boot.service" in cleared.stdout
    assert host.guard["state"] == "waiting"
    assert host.boot() == 0 and host.enabled


def test_another_livepatch_begins_with_a_count_of_its_own(host):
    for dummy in range(3):
        host.boot()
    host.module("another livepatch")
    host.record("another livepatch")
    assert host.boot() == 0 and host.guard["boots"] == 1


def test_a_kernel_without_a_record_boots_without_a_livepatch_and_says_so(host):
    host.release("6.12.107+deb13-amd64")
    assert host.boot() == 0 and not host.enabled
    assert host.guard["state"] == "other_kernel" and "6.12.107+deb13-amd64" in host.guard["reason"]


@pytest.mark.parametrize("word", ["livepatch.boot=0", "kpatch.enable=0"])
def test_a_word_on_the_kernel_command_line_keeps_it_out(host, word):
    host.cmdline("ro %s quiet" % word)
    assert host.boot() == 0 and not host.enabled
    assert host.guard == {"state": "switched_off", "boots": 0, "reason": word + " is on the kernel command line"}
    assert not os.path.exists(host.path("var")), "nothing is counted"


def test_a_word_that_only_resembles_the_switch_is_none(host):
    host.cmdline("ro xlivepatch.boot=0 livepatch.boot=01 * quiet")
    assert host.boot() == 0 and host.enabled


def test_a_file_that_is_gone_or_has_changed_is_not_loaded(host):
    host.module("somebody else's")
    assert host.boot() == 1 and host.guard["state"] == "changed" and "hotfix3.ko" in host.guard["reason"]
    os.remove(host.path("usr/lib/modules/hotfix3.ko"))
    assert host.boot() == 1 and host.guard["state"] == "missing" and "install its package" in host.guard["reason"]
    assert not os.path.exists(host.path("calls"))


def test_what_the_kernel_refuses_is_quoted_and_not_counted_as_a_death(host):
    host.write("refuses", "insmod: ERROR: could not insert module:\nKey was rejected by service\n")
    for dummy in range(3):
        assert host.boot() == 1
        assert host.guard["state"] == "refused" and host.guard["boots"] == 0
    assert "Key was rejected by service" in host.guard["reason"]


def test_a_module_that_becomes_no_livepatch_is_a_refusal(host):
    host.tool("insmod", "#!/bin/sh\n")
    assert host.boot() == 1 and host.guard["state"] == "refused"


def test_modules_that_it_depends_on_are_loaded_first(host):
    host.record(depends="one_module other")
    assert host.boot() == 0
    assert [line.split()[0:3] for line in host.read("calls").splitlines()][:2] == [
        ["modprobe", "--", "one_module"],
        ["modprobe", "--", "other"],
    ]
    host.write("no-such-module", "")
    assert host.boot() == 1 and host.guard["state"] == "refused"


def test_without_a_place_for_the_count_it_stays_out(host):
    host.write("var/lib/livepatch", "a file where the directory should be")
    assert host.boot() == 1 and not host.enabled
    assert host.guard["state"] == "unguarded" and "crash loop" in host.guard["reason"]


def mounted_over(host):
    """A file system comes over /var after the boot has begun; what lies below it is not seen any more."""
    os.rename(host.path("var"), host.path("below"))
    os.makedirs(host.path("var/lib/livepatch/boot"))


def unmounted(host):
    shutil.rmtree(host.path("var"))
    os.rename(host.path("below"), host.path("var"))


def test_a_place_of_the_counts_that_is_mounted_over_is_no_death_and_keeps_it_out_with_the_reason(host):
    assert host.boot() == 0
    mounted_over(host)
    host.run("survived")
    assert host.guard["state"] == "unguarded" and "was mounted after" in host.guard["reason"]
    unmounted(host)
    for dummy in range(3):
        assert host.boot() == 1 and not host.enabled
        assert host.guard["state"] == "unguarded", "and never tripped, as no boot has died"
    assert host.run("clear").returncode == 0 and host.boot() == 0


def test_an_orderly_end_below_a_mount_is_seen_too(host):
    host.boot()
    mounted_over(host)
    host.run("stop")
    assert host.guard["state"] == "unguarded"


def test_the_unit_waits_for_the_file_system_that_the_counts_are_on():
    unit = boot_record.contents(10)["etc/systemd/system/livepatch-boot.service"]
    assert "RequiresMountsFor=/%s\n" % os.path.dirname(boot_record.GUARDS) in unit


def test_a_guard_that_is_cleared_while_the_host_runs_is_no_other_place(host):
    host.boot()
    host.run("clear")
    host.run("survived")
    assert host.guard["state"] == "survived"


def test_a_damaged_count_trips_the_guard(host):
    host.boot()
    host.write(
        "var/lib/livepatch/boot/" + KERNEL, host.read("var/lib/livepatch/boot/" + KERNEL).replace("boots=1", "boots=")
    )
    assert host.boot() == 1 and host.guard["state"] == "tripped"


def test_the_count_is_on_the_disk_before_the_module_is_loaded(host):
    host.tool(
        "insmod", INSMOD.replace("mkdir", 'cat "$ROOT/var/lib/livepatch/boot/%s" >> "$ROOT/calls"\nmkdir' % KERNEL)
    )
    host.tool("sync", '#!/bin/sh\necho "sync $*" >> "$ROOT/calls"\n')
    host.boot()
    calls = host.read("calls").splitlines()
    loading = [number for number, line in enumerate(calls) if line.startswith("insmod")][0]
    assert "boots=1" in calls
    directory = host.path("var/lib/livepatch/boot")
    assert calls[:loading] == ["sync %s/.%s.new" % (directory, KERNEL), "sync %s" % directory]


def test_what_is_enabled_already_is_left_alone(host):
    host.boot()
    host.run("stop")
    assert host.run("start").returncode == 0
    assert host.guard["state"] == "already" and host.guard["boots"] == 0
    host.run("survived")
    assert host.guard["state"] == "already"
    assert host.read("calls").count("insmod") == 1


def kpatch_has(host, name):
    host.write("var/lib/kpatch/%s/%s" % (KERNEL, name), "")


def kpatch(host, name="hotfix3.ko"):
    kpatch_has(host, name)
    os.makedirs(host.path("etc/systemd/system/multi-user.target.wants"), exist_ok=True)
    os.symlink(
        "/lib/systemd/system/kpatch.service", host.path("etc/systemd/system/multi-user.target.wants/kpatch.service")
    )


KPATCH = """#!/bin/sh
echo "kpatch $1 ${2##*/}" >> "$ROOT/calls"
[ ! -e "$ROOT/kpatch-refuses" ]
"""


def loaded_by_kpatch(host, held=""):
    """Return what kpatch.service has kpatch load (names of files); held: what its file for this kernel says."""
    host.tool("kpatch", KPATCH)
    host.write("calls", "")
    if held:
        host.write("etc/livepatch/held.d/" + KERNEL, held)
    ended = host.run("kpatch")
    assert ended.returncode == 0, ended.stdout
    return [line.split()[2] for line in host.read("calls").splitlines() if line.startswith("kpatch load ")]


def test_a_recorded_livepatch_is_enabled_with_the_guard_and_not_by_kpatch_where_it_lies_in_its_directory_too(host):
    kpatch(host)
    kpatch_has(host, "kpatch-6_1_0-1-2.ko")
    assert host.boot() == 0 and host.enabled and host.guard["boots"] == 1
    assert loaded_by_kpatch(host) == ["kpatch-6_1_0-1-2.ko"]
    for dummy in range(2):
        host.boot()
    assert host.guard["state"] == "tripped" and "hotfix3.ko" not in loaded_by_kpatch(host), "the guard holds for kpatch too"


def test_what_is_on_probation_is_not_loaded_by_kpatch_and_all_else_is(host):
    for name in ("kpatch-6_1_0-1-1.ko", "kpatch-6_1_0-1-2.ko", "other.ko"):
        kpatch_has(host, name)
    assert loaded_by_kpatch(host) == ["kpatch-6_1_0-1-1.ko", "kpatch-6_1_0-1-2.ko", "other.ko"]
    assert loaded_by_kpatch(host, "held=kpatch_6_1_0_1_2\n") == ["kpatch-6_1_0-1-1.ko", "other.ko"]
    assert loaded_by_kpatch(host, "held=kpatch_6_1_0_1_2 other\n") == ["kpatch-6_1_0-1-1.ko"]
    # A host that has died while a package was being installed.
    assert loaded_by_kpatch(host, "held=\nonly=- kpatch_6_1_0_1_1\n") == ["kpatch-6_1_0-1-1.ko"]
    assert loaded_by_kpatch(host, "held=kpatch_6_1_0_1_1\nonly=- kpatch_6_1_0_1_1\n") == []
    assert loaded_by_kpatch(host, "held=\nonly=-\n") == []


def test_the_first_that_kpatch_cannot_load_ends_its_service_with_a_failure_as_its_own_command_does(host):
    kpatch_has(host, "a.ko")
    host.tool("kpatch", KPATCH)
    host.write("kpatch-refuses", "")
    assert host.run("kpatch").returncode == 1


def test_only_root_may_write_what_it_leaves(host):
    before = os.umask(0o077)
    try:
        host.boot()
    finally:
        os.umask(before)
    for name, mode in (("var/lib/livepatch/boot", 0o755), ("run/livepatch", 0o755), ("run/livepatch/boot", 0o644)):
        assert stat.S_IMODE(os.stat(host.path(name)).st_mode) == mode


def test_words_of_a_record_are_never_evaluated(host):
    evil = "x$(touch %s/evil)`touch %s/evil`;touch %s/evil" % (host.root, host.root, host.root)
    host.write("etc/livepatch/boot.d/" + KERNEL, "name=%s\npath=%s\nsha256=%s\ndepends=\n" % (evil, evil, evil))
    assert host.boot() == 1
    assert not os.path.exists(host.path("evil"))


def test_an_unknown_word_is_answered_with_the_known_ones(host):
    ended = host.run("stat")
    assert ended.returncode == 2 and "start|survived|stop|clear|kpatch" in ended.stdout

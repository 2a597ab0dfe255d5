# What happens to a livepatch when machines with systemd reboot, crash, and boot another kernel.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import subprocess
import time

import pytest

from tests.lab import packages
from tests.lab.fleet import Fleet

# Two of the kernels; LAB_REBOOT_KERNELS names others.
KERNELS = os.environ.get("LAB_REBOOT_KERNELS", "6.12 6.1").split()
KEEP = "kernel.livepatch.livepatch_persistence"
SHOW = "kernel.livepatch.livepatch_visibility"
FACTS = {"name": "facts", "kernel.livepatch.livepatch_facts": {}}
LIMIT = 900

# The order in which cloud-init and a network service start on cloud images. A unit that is After=sysinit.target, as
# every ordinary one is, and Before=network-pre.target closes a cycle with them, which systemd breaks by dropping a job.
CLOUD = {
    "cloud-init-local": (
        "After=systemd-remount-fs.service",
        "Before=network-pre.target sysinit.target shutdown.target",
    ),
    "cloud-network": ("After=network-pre.target", "Before=network.target shutdown.target"),
    "cloud-init": (
        "After=cloud-init-local.service cloud-network.service",
        "Before=network-online.target sysinit.target shutdown.target",
    ),
}
CLOUD_UNIT = """[Unit]
DefaultDependencies=no
Conflicts=shutdown.target
Wants=network-pre.target
%s
%s
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
[Install]
WantedBy=sysinit.target
"""
# The one that real hosts have lost to such a cycle.
DOCKER_SOCKET = """[Socket]
ListenStream=/run/docker-like.sock
[Install]
WantedBy=sockets.target
"""
DOCKER_SERVICE = """[Service]
ExecStart=/bin/true
"""


# A package that ends its host when it is installed for the first time, and a /var/lib/livepatch that is mounted late.
PANICS = """
%post -p <lua>
os.execute([[
test -e /var/tmp/has-panicked || {{ touch /var/tmp/has-panicked; sync; echo c > /proc/sysrq-trigger; }}
]])
"""
LATE = """mkdir /srv/late
mount --bind /srv/late /mnt && cp -a /var/lib/livepatch/. /mnt/ && umount /mnt
echo '/srv/late /var/lib/livepatch none bind,nofail%s 0 0' >> /etc/fstab
systemctl daemon-reload && mount /var/lib/livepatch
"""
NOT_LATE = """umount /var/lib/livepatch
sed -i '\\,^/srv/late,d' /etc/fstab
systemctl daemon-reload && cp -a /srv/late/. /var/lib/livepatch/ && rm -r /srv/late
"""

# One look at a booted guest, as JSON: a connection costs more than what it asks.
LOOK = """python3 - << 'EOF'
import json, subprocess
def ask(command):
    return subprocess.run(command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
show = "systemctl show --value -p "
print(json.dumps({
    "version": ask("cat /proc/version"),
    "ended": ask(show + "ExecMainExitTimestampMonotonic livepatch-boot.service"),
    "ssh": ask(show + "ExecMainStartTimestampMonotonic ssh.service"),
    "log": ask("journalctl -b -o cat --no-pager"),
    "verify": ask("systemd-analyze verify livepatch-boot.service livepatch-boot-survived.timer"),
    "active": ask("systemctl is-active docker-like.socket livepatch-boot-survived.timer"),
}))
EOF"""


def cloud_units():
    """The shell commands that make and enable units ordered like those of a cloud image."""
    units = {name + ".service": CLOUD_UNIT % order for name, order in CLOUD.items()}
    units.update({"docker-like.socket": DOCKER_SOCKET, "docker-like.service": DOCKER_SERVICE})
    write = ["cat > /etc/systemd/system/%s << 'EOF'\n%sEOF" % unit for unit in units.items()]
    return "\n".join(write + ["systemctl --quiet enable %s docker-like.socket" % " ".join(CLOUD)])


def enabling(release):
    """The task that enables a release."""
    return {"name": "enable", "kernel.livepatch.livepatch": {"name": release, "timeout": 240}}


class Machine(object):
    """A guest that reboots, and the modules in it."""

    def __init__(self, fleet, tasks_in):
        self.fleet = fleet
        self.name = list(fleet.guests)[0]
        self.tasks_in = tasks_in

    @property
    def guest(self):
        return self.fleet.guests[self.name]

    def run(self, *tasks):
        return self.tasks_in(self.guest, list(tasks))

    def keep(self, check_mode=False, **options):
        return self.succeed({"name": "keep", KEEP: options, "check_mode": check_mode})[0]

    def succeed(self, *tasks):
        results = self.run(*tasks)
        assert not [result for result in results if result["failed"]], results
        return results

    def enable(self, release):
        """Load a release and wait until every task runs it."""
        self.succeed(enabling(release))

    def facts(self):
        return self.run(FACTS)[0]["ansible_facts"]["livepatch"]

    def shell(self, command):
        ended = self.guest.ssh(["sh", "-c", command])
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout.strip()

    def install(self, *releases):
        """Put releases where a package would."""
        directory = "/usr/lib/modules/%s/livepatch" % self.guest.kernel_release
        self.shell("mkdir -p " + directory)
        kernel = ".".join(self.guest.kernel_release.split(".")[:2])
        for release in releases:
            self.guest.copy(self.fleet.module(release, kernel), directory + "/")

    def boot_id(self):
        """The present boot, or None while the guest does not answer."""
        try:
            ended = self.guest.ssh(["cat", "/proc/sys/kernel/random/boot_id"], timeout=20)
        except subprocess.TimeoutExpired:
            return None
        return ended.stdout.strip() if ended.returncode == 0 else None

    def reboot(self):
        """Reboot in order, and return when the guest answers again."""
        before = self.boot_id()
        self.guest.ssh(["systemctl", "reboot"])
        self.until(lambda: self.boot_id() not in (None, before))

    def until(self, reached):
        end = time.monotonic() + LIMIT
        while not reached():
            assert time.monotonic() < end, self.guest.console()[-3000:]
            time.sleep(1)


@pytest.fixture(scope="module")
def machine(tmp_path_factory, put_python, tasks_in):
    """One guest with systemd, and the kernels that it can boot."""
    directory = tmp_path_factory.mktemp("reboot")
    with Fleet(directory, hosts=1, kernels=KERNELS, processors=1, init="systemd") as fleet:
        made = Machine(fleet, tasks_in)
        put_python(made.guest)
        yield made


def quartet(**options):
    return [{"name": "keep", KEEP: options, "check_mode": check_mode} for check_mode in (True, False, False, True)]


def assert_quartet(predicted, done, again, foretold):
    assert predicted["changed"] and done["changed"] and predicted["diff"] == done["diff"]
    assert not again["changed"] and not foretold["changed"]


def test_what_was_made_persistent_is_there_after_a_reboot_before_sshd_and_without_an_ordering_cycle(machine):
    machine.install("hotfix1")
    machine.enable("hotfix1")
    machine.shell(cloud_units())
    target = {"name": "lab", "remote_ip": "10.0.2.2", "remote_port": 9}
    machine.succeed({"name": "show", SHOW: {"textfile_directory": "/var/tmp", "netconsole_targets": [target]}})
    dummy, *results, facts = machine.succeed(enabling("hotfix1"), *quartet(), FACTS)
    assert_quartet(*results)
    assert results[1]["name"] == "hotfix1" and results[1]["by"] == "livepatch-boot.service"
    assert facts["ansible_facts"]["livepatch"]["patches"]["hotfix1"]["persistent"] is True
    machine.reboot()
    facts = machine.facts()
    assert facts["enabled"] == "hotfix1" and facts["patches"]["hotfix1"]["persistent"] is True
    assert facts["boot_guard"] == {"state": "enabled", "boots": 1, "reason": "enabled at boot"}
    seen = json.loads(machine.shell(LOOK))
    assert "hotfix1" in seen["version"]
    assert 0 < int(seen["ended"]) < int(seen["ssh"]), "it comes before sshd"
    assert "ordering cycle" not in seen["log"] and seen["verify"] == "", seen
    assert seen["active"].split() == ["active", "active"], "no job was dropped, and the time is running"

    # What programs read tells of this boot, by the timer and not by the module.
    release = machine.guest.kernel_release + "-hotfix1"
    machine.until(lambda: release in machine.shell("cat /run/livepatch/effective-release 2>/dev/null; true"))
    assert machine.shell("cut -f1,2 /run/livepatch/active") == "hotfix1\tenabled"
    assert 'livepatch="hotfix1"} 1' in machine.shell("grep ^livepatch_info /var/tmp/livepatch.prom")
    assert json.loads(machine.shell("/etc/ansible/facts.d/livepatch.fact"))["boot_id"] == facts["boot_id"]
    assert machine.shell("systemctl is-active livepatch-publish.timer") == "active"
    assert machine.shell("cat /sys/kernel/config/netconsole/livepatch-lab/enabled") == "1"
    verify = "systemd-analyze verify livepatch-publish.service livepatch-publish.timer 2>&1"
    assert machine.shell(verify) == ""
    gone = machine.succeed({"name": "hide", SHOW: {"state": "absent"}})[0]
    assert gone["changed"] and gone["kept_by"] is None
    assert "livepatch-publish" not in machine.shell("ls -R /etc/systemd/system; systemctl list-timers --all")

    machine.shell("systemctl start livepatch-boot-survived.service")
    facts, *results = machine.succeed(FACTS, *quartet(state="absent"))
    assert facts["ansible_facts"]["livepatch"]["boot_guard"]["state"] == "survived"
    assert_quartet(*results)
    left = machine.shell("find /etc/livepatch /var/lib/livepatch /run/livepatch/boot* -type f; ls /etc/systemd/system")
    copy = "/var/lib/livepatch/%s/hotfix1.ko\n" % machine.guest.kernel_release
    assert copy in left and "livepatch" not in left.replace(copy, ""), "it runs, so its copy is kept"
    machine.shell("systemctl --quiet disable %s docker-like.socket" % " ".join(CLOUD))


# dnf-automatic as Fedora and RHEL package it; Debian has its program as a module of Python alone. It leaves a mark when
# it runs.
AUTOMATIC = """
cat > /usr/bin/dnf-automatic << 'EOF'
#!/usr/bin/python3
import sys
from dnf.automatic.main import main
sys.exit(main(sys.argv[1:]))
EOF
chmod 755 /usr/bin/dnf-automatic
cat > /etc/dnf/automatic.conf << 'EOF'
[commands]
upgrade_type = security
random_sleep = 0
network_online_timeout = 0
[emitters]
emit_via = stdio
EOF
cat > /etc/systemd/system/dnf-automatic-install.service << 'EOF'
[Unit]
ConditionPathExists=!/run/ostree-booted
[Service]
Type=oneshot
ExecStartPre=/usr/bin/touch /run/it-ran
ExecStart=/usr/bin/dnf-automatic /etc/dnf/automatic.conf --timer --installupdates
EOF
cat > /etc/systemd/system/dnf-automatic-install.timer << 'EOF'
[Timer]
OnCalendar=*-*-* 6:00
RandomizedDelaySec=60m
AccuracySec=1s
[Install]
WantedBy=timers.target
EOF
systemctl daemon-reload
"""
HOLD = "kernel.livepatch.livepatch_automation"


def holding(seconds):
    return [{"name": "hold", HOLD: {"hold": seconds}, "check_mode": check_mode} for check_mode in (True, False, False, True)]


def test_what_patches_a_host_by_itself_is_found_held_back_and_comes_back_by_itself(machine):
    timer, service = "dnf-automatic-install.timer", "dnf-automatic-install.service"
    machine.shell(AUTOMATIC)
    assert machine.facts()["automation"] == [], "it is there, and not enabled"
    look = "ls /run/it-ran 2>/dev/null; systemctl show --value -p ActiveState -p Result " + service
    machine.shell("systemctl start --no-block " + service)
    machine.until(lambda: set(machine.shell(look).split()) == {"/run/it-ran", "success", "inactive"})
    # From now on the mark will do, which costs the guest less.
    machine.shell("printf '#!/bin/sh\\nexit 0\\n' > /usr/bin/dnf-automatic; systemctl --quiet enable --now " + timer)
    preflight = {"name": "preflight", "kernel.livepatch.livepatch_preflight": {"release": "hotfix1"}}
    facts, found = machine.succeed(FACTS, preflight)
    told = facts["ansible_facts"]["livepatch"]["automation"]
    assert len(told) == 1 and told[0].pop("next_run") is not None, machine.shell("systemctl show " + timer)
    expected = {"by": "dnf-automatic", "configured_in": "/etc/dnf/automatic.conf", "timer": timer, "applies": "security"}
    assert told == [dict(expected, held_until=None)]
    assert "patches_itself" in [finding["id"] for finding in found["findings"]]

    often = "s/6:00/*:*:0\\/2/; s/60m/0/"
    machine.shell("sed -i '%s' /etc/systemd/system/%s; systemctl daemon-reload; systemctl restart %s" % (often, timer, timer))
    *results, facts, found = machine.succeed(*holding(3600), FACTS, preflight)
    for result in results[:2]:
        assert result["diff"]["after"].pop("until"), "which is an hour from now on"
    assert_quartet(*results)
    assert [result["held"] for result in results] == [[timer]] * 4
    until = results[1]["held_until"]
    assert until and facts["ansible_facts"]["livepatch"]["automation"][0]["held_until"] == until
    assert "patches_itself" not in [finding["id"] for finding in found["findings"]]
    start = "rm -f /run/it-ran; sleep 6; systemctl start %s; ls /run/it-ran 2>/dev/null; " % service
    how = "systemctl show --value -p Result %s; systemctl is-active %s" % (service, timer)
    assert machine.shell(start + how).split("\n") == ["exec-condition", "active"], "neither its timer nor a person starts it"
    mark = "rm -f /run/it-ran; for i in $(seq 30); do [ -e /run/it-ran ] && echo ran && break; sleep 1; done"
    assert machine.shell("touch -d '1 minute ago' /run/livepatch/automation-held; " + mark) == "ran", "nobody had to come"

    held, *results, facts = machine.succeed({"name": "hold", HOLD: {"hold": 3600}}, *holding(0), FACTS)
    assert held["changed"]
    assert_quartet(*results)
    assert facts["ansible_facts"]["livepatch"]["automation"][0]["held_until"] is None
    assert machine.shell(mark) == "ran"
    assert machine.shell("ls -d /run/livepatch/automation-held /run/systemd/system/dnf-automatic* 2>/dev/null; true") == ""
    machine.shell("systemctl --quiet disable --now %s; rm /etc/systemd/system/dnf-automatic* /usr/bin/dnf-automatic" % timer)


def test_it_is_enabled_on_the_kernel_that_it_was_recorded_for_unless_the_command_line_says_no(machine):
    home, away = KERNELS
    machine.install("hotfix1")
    machine.succeed(enabling("hotfix1"), {"name": "keep", KEEP: {}})
    machine.fleet.boot_again(machine.name, kernel=away)
    facts = machine.facts()
    assert facts["enabled"] is None and facts["boot_guard"]["state"] == "other_kernel"
    assert facts["kernel_release"] in facts["boot_guard"]["reason"]
    machine.install("hotfix2")
    kept = machine.succeed(enabling("hotfix2"), {"name": "keep", KEEP: {}})[1]
    assert sorted(entry["name"] for entry in kept["livepatches"].values()) == ["hotfix1", "hotfix2"], "each has its own"

    machine.fleet.boot_again(machine.name, kernel=home, cmdline="livepatch.boot=0")
    facts = machine.facts()
    assert facts["enabled"] is None
    assert facts["boot_guard"]["state"] == "switched_off" and "livepatch.boot=0" in facts["boot_guard"]["reason"]


def test_after_two_boots_that_panicked_the_third_stays_out_until_an_operator_clears_the_guard(machine):
    machine.install("panics")
    machine.keep(state="absent")
    path = "/usr/lib/modules/%s/livepatch/panics.ko" % machine.guest.kernel_release
    # An hour now, eight seconds at boot.
    machine.shell("insmod %s delay_ms=3600000" % path)
    machine.until(lambda: machine.shell("cat /sys/kernel/livepatch/panics/transition") == "0")
    assert machine.keep(path=path)["name"] == "panics"
    panics = machine.guest.console().count("ends this machine")
    machine.fleet.boot_again(machine.name, cmdline="")
    machine.until(lambda: machine.guest.console().count("ends this machine") >= panics + 2)
    before = machine.guest.console().count("ends this machine")
    machine.guest.wait_for_ssh()
    facts = machine.facts()
    assert facts["enabled"] is None and facts["boot_guard"]["state"] == "tripped" and facts["boot_guard"]["boots"] == 2
    assert "the last 2 boots with it died early" in facts["boot_guard"]["reason"]
    assert before == panics + 2, "it died twice, and not a third time"
    show = "kernel.livepatch.livepatch_visibility"
    machine.succeed({"name": "show", show: {"textfile_directory": "/var/tmp"}})
    assert 'livepatch_boot_guard{state="tripped"} 1\n' in machine.shell("cat /var/tmp/livepatch.prom")
    machine.succeed({"name": "hide", show: {"state": "absent"}})
    assert machine.shell("systemctl is-failed livepatch-boot.service") == "failed"
    assert "died early" in machine.shell("journalctl -b -u livepatch-boot.service -o cat --no-pager")

    # Within its eight seconds the livepatch is in again, and is taken out.
    again = "systemctl restart livepatch-boot.service && cat /run/livepatch/boot; echo 0 > /sys/kernel/livepatch/panics/enabled"
    assert "The guard is cleared" in machine.shell("sh /etc/livepatch/boot.sh clear")
    assert "state=enabled\nname=panics" in machine.shell(again)
    assert machine.keep(state="absent")["changed"]
    assert machine.facts()["boot_guard"] is None


def test_what_kpatch_would_load_too_is_enabled_once_and_with_the_guard(machine):
    machine.run({"name": "none", "kernel.livepatch.livepatch": {"all": True, "state": "absent", "timeout": 240}})
    machine.install("hotfix1")
    machine.enable("hotfix1")
    release = machine.guest.kernel_release
    machine.shell(
        "mkdir -p /var/lib/kpatch/{0} && cp /usr/lib/modules/{0}/livepatch/hotfix1.ko /var/lib/kpatch/{0}/".format(
            release
        )
    )
    machine.shell("systemctl enable kpatch.service")
    assert machine.facts()["patches"]["hotfix1"]["persistent"] is True, "by kpatch.service"
    assert machine.keep()["by"] == "livepatch-boot.service"
    machine.reboot()
    facts = machine.facts()
    assert facts["enabled"] == "hotfix1" and facts["patches"]["hotfix1"]["persistent"] is True
    assert facts["boot_guard"]["state"] == "enabled" and facts["boot_guard"]["boots"] == 1
    assert "livepatch hotfix1: not loaded" in machine.shell("journalctl -b -u kpatch.service -o cat --no-pager")
    assert not machine.keep()["changed"]


def test_a_host_that_dies_in_a_packages_script_comes_up_with_what_it_kept_before_also_from_a_late_file_system(machine):
    machine.shell("systemctl --quiet disable kpatch.service; rm -rf /var/lib/kpatch")
    machine.keep(state="absent")  # and with it the guard's count of boots
    machine.succeed({"name": "none", "kernel.livepatch.livepatch": {"all": True, "state": "absent", "timeout": 240}})
    bring = {"name": "bring", "kernel.livepatch.livepatch": {"release": "hotfix1", "timeout": 240}}
    machine.succeed(bring, {"name": "keep", KEEP: {}})
    machine.shell(LATE % ",_netdev")
    refused = machine.run({"name": "keep", KEEP: {}})[0]
    assert refused["failed"] and refused["error"] == "late_mount", "systemd would drop a job to break the cycle"
    machine.shell(NOT_LATE + LATE % "")
    machine.keep()

    guest, repository = machine.guest, machine.fleet.repository
    source = machine.fleet.module("hotfix2", guest.machine.kernel.name)
    built = packages.build_package(
        guest.kernel_release, "panicshotfix2", "hotfix2", source, repository.directory, PANICS
    )
    packages.sign_packages([built], "lab")
    repository.refresh()
    before = machine.boot_id()
    bring = {"name": "bring", "kernel.livepatch.livepatch": {"release": "panicshotfix2", "timeout": 240}}
    with pytest.raises(AssertionError, match="gave no results"):
        machine.run(bring)
    machine.until(lambda: machine.boot_id() not in (None, before))
    facts = machine.facts()
    assert facts["enabled"] == "hotfix1" and facts["patches"]["hotfix1"]["persistent"] is True
    assert facts["boot_guard"] == {"state": "enabled", "boots": 1, "reason": "enabled at boot"}
    again = machine.succeed(bring)[0]
    assert again["proven"] and again["before"]["enabled"] == "hotfix1" and again["replaced"] == ["hotfix1"], again
    assert again["since"]["boot_id"] == facts["boot_id"], "what the former boot began with is over"
    machine.succeed({"name": "keep no more", KEEP: {"state": "absent"}})
    machine.shell(NOT_LATE)

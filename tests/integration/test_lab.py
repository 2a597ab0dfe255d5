"""The lab itself: every livepatch has its effect, and nothing outlives a fleet."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.lab import libraries

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = os.environ.get("LAB_KERNELS", "5.10 6.1 6.12 7.2").split()

# Emulated guests on a busy machine are slow: a limit only says when to give up.
PATIENCE = 300

# Put aside by hand what a test loaded: disable what is enabled (one at a time: the kernel refuses a second transition), unload the rest.
CLEAN = """
tries=0
while :; do
    for patch in /sys/kernel/livepatch/*/; do
        if [ "$(cat "$patch/enabled" 2> /dev/null)" = 1 ]; then echo 0 2> /dev/null > "$patch/enabled"; fi
    done
    left=
    for taint in $(grep -ls K /sys/module/*/taint); do
        module=$(basename "$(dirname "$taint")")
        rmmod "$module" 2> /dev/null || left="$left $module"
    done
    [ -z "$left" ] && break
    tries=$((tries + 1)); [ $tries -gt 150 ] && { echo "still loaded: $left"; exit 1; }
    sleep 0.2
done
for module in lab_target not_a_livepatch; do
    if [ -d /sys/module/$module ]; then rmmod $module || exit 1; fi
done
"""


class Host:
    """A guest with the lab's modules in /root/modules."""

    def __init__(self, guest, modules):
        self.guest = guest
        guest.copy(modules, "/root/modules")

    def sh(self, script, timeout=PATIENCE):
        return self.guest.ssh(["sh", "-c", script], timeout=timeout)

    def output(self, script):
        done = self.sh(script)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    def insmod(self, release):
        return self.sh(f"insmod /root/modules/{release}.ko")

    def load(self, release):
        """Load a livepatch and wait until its transition is over."""
        done = self.insmod(release)
        assert done.returncode == 0, (release, done.stderr)
        self.wait('test "$(cat /sys/kernel/livepatch/*/transition | sort -u)" = 0')

    def wait(self, condition):
        """Wait in the guest: a connection per look would cost more than the look."""
        loop = f"until {condition}; do sleep 0.2; done"
        done = self.guest.ssh(["timeout", str(PATIENCE), "sh", "-c", loop], timeout=PATIENCE + 60)
        assert done.returncode == 0, f"waited {PATIENCE} s for: {condition}\n{self.sh('dmesg | tail -30').stdout}"

    def wait_for_blocker(self, thread):
        """Wait until everybody but this kernel thread has switched; the kernel looks once a second."""
        self.wait(f'test "$(grep -lsx 0 /proc/[0-9]*/patch_state)" = /proc/$(pgrep -x {thread})/patch_state')

    def patches(self):
        return sorted(self.output("ls /sys/kernel/livepatch").split())


@pytest.fixture(scope="module")
def lab(fleet):
    return fleet


@pytest.fixture(scope="module")
def hosts(lab):
    return {
        kernel: Host(guest, lab.module("hotfix1", kernel).parent) for kernel, guest in zip(KERNELS, lab.guests.values())
    }


@pytest.fixture(scope="module")
def turns():
    """How many tests have had a host so far."""
    return []


@pytest.fixture
def host(hosts, turns):
    """One guest, each kernel in its turn: what a livepatch does to every kernel is told where the modules are tested."""
    chosen = hosts[KERNELS[len(turns) % len(KERNELS)]]
    turns.append(chosen)
    yield chosen
    done = chosen.sh(CLEAN)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_guest_runs_the_kernel_it_was_asked_for(lab):
    for kernel, guest in zip(KERNELS, lab.guests.values()):
        release = guest.ssh(["uname", "-r"]).stdout.strip()
        assert release == guest.kernel_release
        assert release.startswith(kernel + ".")


def test_guests_differ_in_name_and_machine_id(lab):
    told = [
        guest.ssh(["cat", "/proc/sys/kernel/hostname", "/etc/machine-id"]).stdout.split()
        for guest in lab.guests.values()
    ]
    assert [words[0] for words in told] == list(lab.guests)
    assert len({words[1] for words in told}) == len(told)


def test_guests_begin_with_the_code_of_the_collections_modules_compiled(lab):
    for guest in lab.guests.values():
        assert len(guest.ssh(["ls", "/var/cache/lab-python"]).stdout.split()) > len(libraries.modules())


def test_dnf_installs_a_signed_livepatch_that_the_kernel_then_runs(host):
    release = host.guest.kernel_release
    done = host.sh(f"dnf -y -q install klp-{release}-hotfix1")
    assert done.returncode == 0, done.stdout + done.stderr
    host.output(f"insmod /lib/modules/{release}/livepatch/hotfix1.ko")
    host.wait("grep -qF '[hotfix1]' /proc/version")
    host.output(f"rpm -e klp-{release}")


def test_a_package_signed_by_a_stranger_is_refused(host):
    done = host.sh(f"dnf -y install klp-{host.guest.kernel_release}-badsig")
    assert done.returncode != 0
    assert "GPG check FAILED" in done.stderr
    assert host.sh(f"rpm -q klp-{host.guest.kernel_release}").returncode != 0


def test_each_cumulative_fix_replaces_the_one_before_and_adds_its_own(host):
    files = ["/proc/version", "/proc/execdomains", "/proc/dma"]
    for number, release in enumerate(["hotfix1", "hotfix2", "hotfix3"], start=1):
        host.load(release)
        host.wait(f'test "$(ls /sys/kernel/livepatch)" = {release}')
        for position, path in enumerate(files):
            assert (f"[{release}]" in host.output(f"cat {path}")) == (position < number), (release, path)


def test_livepatches_without_the_replace_flag_stack(host):
    host.load("hotfix1")
    host.load("addon_a")
    host.load("addon_b")
    assert host.patches() == ["addon_a", "addon_b", "hotfix1"]
    seen = host.output("cat /proc/version /proc/dma /proc/self/personality")
    assert "[hotfix1]" in seen and "[addon_a]" in seen and "[addon_b]" in seen


def test_a_rebuilt_livepatch_has_the_same_name_and_other_code(host):
    host.load("hotfix1_rebuilt")
    assert host.patches() == ["hotfix1"]
    assert "[hotfix1 rebuilt]" in host.output("cat /proc/version")


def test_a_livepatch_for_an_absent_module_takes_effect_when_the_module_comes(host):
    host.load("modulefix")
    host.output("modprobe lab_target")
    assert host.output("cat /proc/lab_target") == "lab_target [modulefix]\n"


def test_a_stalled_livepatch_waits_for_kswapd_and_can_be_reverted(host):
    assert host.insmod("stalls").returncode == 0
    host.wait_for_blocker("kswapd0")
    assert host.output("cat /sys/kernel/livepatch/stalls/transition") == "1\n"
    host.output("echo 0 > /sys/kernel/livepatch/stalls/enabled")
    host.wait("test ! -e /sys/kernel/livepatch/stalls")


def test_a_sleeping_task_stalls_a_livepatch_until_it_is_killed(host):
    host.output(
        "modprobe lab_target; cat /proc/lab_target_sleep/killable > /dev/null 2>&1 < /dev/null & echo $! > /run/sleeper"
    )
    host.wait("grep -q lab_sleep_killable /proc/$(cat /run/sleeper)/stack")
    assert host.insmod("stalls_user").returncode == 0
    host.wait('test "$(cat /proc/$(cat /run/sleeper)/patch_state)" = 0')
    assert host.output("cat /sys/kernel/livepatch/stalls_user/transition") == "1\n"
    host.output("kill -KILL $(cat /run/sleeper)")
    host.wait('test "$(cat /sys/kernel/livepatch/stalls_user/transition)" = 0')


def test_an_uninterruptible_task_stalls_a_livepatch_until_it_is_released(host):
    host.output(
        "modprobe lab_target; cat /proc/lab_target_sleep/uninterruptible > /dev/null 2>&1 < /dev/null & echo $! > /run/sleeper"
    )
    host.wait("grep -q lab_sleep_uninterruptible /proc/$(cat /run/sleeper)/stack")
    assert host.insmod("stalls_user").returncode == 0
    host.output("kill -KILL $(cat /run/sleeper)")
    assert host.output("cat /sys/kernel/livepatch/stalls_user/transition") == "1\n"
    host.output("echo 1 > /proc/lab_target_sleep/release")
    host.wait('test "$(cat /sys/kernel/livepatch/stalls_user/transition)" = 0')


def test_a_kernel_thread_of_the_target_stalls_a_livepatch(host):
    host.output("modprobe lab_target kthread=1")
    assert host.insmod("stalls_user").returncode == 0
    host.wait_for_blocker("lab_target")
    host.output("echo 0 > /sys/kernel/livepatch/stalls_user/enabled")
    host.wait("test ! -e /sys/kernel/livepatch/stalls_user")


def test_a_warning_livepatch_warns_and_goes_silent_when_it_is_disabled(host):
    before = int(host.output("cat /sys/kernel/warn_count"))
    host.load("warns")
    host.wait(f"test $(cat /sys/kernel/warn_count) -gt {before}")
    assert "livepatch warns met a state" in host.output("dmesg")
    assert host.sh(CLEAN).returncode == 0


def test_an_oopsing_livepatch_oopses_and_the_machine_survives(host):
    before = int(host.output("cat /sys/kernel/oops_count"))
    host.load("oopses")
    host.wait(f"test $(cat /sys/kernel/oops_count) -gt {before}")
    assert "follow_bad_pointer" in host.output("dmesg")
    assert host.sh(CLEAN).returncode == 0


def test_only_newer_kernels_refuse_another_release_in_the_vermagic(host):
    done = host.insmod("wrong_vermagic")
    if host.guest.kernel_release.startswith("7."):
        assert "Invalid module format" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_an_ordinary_module_loads_and_is_no_livepatch(host):
    assert host.insmod("not_a_livepatch").returncode == 0
    assert host.patches() == []


def test_a_panicking_livepatch_takes_the_machine_down_and_it_comes_back(host):
    before = host.output("cat /proc/sys/kernel/random/boot_id")
    # The console remembers the panics of earlier tests.
    seen = len(host.guest.console())
    host.load("panics")
    deadline = time.monotonic() + PATIENCE
    while "Kernel panic - not syncing: lab: livepatch panics" not in host.guest.console()[seen:]:
        assert time.monotonic() < deadline, host.guest.console()[-2000:]
        time.sleep(0.5)
    host.guest.wait_for_ssh()
    assert host.output("cat /proc/sys/kernel/random/boot_id") != before
    assert host.patches() == []


def test_an_unsigned_livepatch_is_refused_where_signatures_are_enforced(host):
    host.output("echo 1 > /sys/module/module/parameters/sig_enforce")
    assert "Key was rejected by service" in host.insmod("hotfix1").stderr
    # It cannot be taken back: only a reboot does.
    host.guest.kill()
    assert host.guest.state() == "off"
    host.guest.start()
    host.guest.wait_for_ssh()


def test_a_paused_guest_answers_again_when_it_is_resumed(lab):
    guest = next(iter(lab.guests.values()))
    guest.pause()
    assert guest.state() == "paused"
    with pytest.raises(subprocess.TimeoutExpired):
        guest.ssh(["true"], timeout=5)
    guest.resume()
    assert guest.ssh(["true"]).returncode == 0


def test_a_stopped_repository_refuses_and_serves_again_on_the_same_port(lab):
    guest = next(iter(lab.guests.values()))
    look = [
        "python3",
        "-c",
        f"import urllib.request as r; r.urlopen('http://10.0.2.2:{lab.repository.port}/repodata/repomd.xml').read()",
    ]
    lab.repository.stop()
    assert guest.ssh(look).returncode != 0
    lab.repository.start()
    assert guest.ssh(look).returncode == 0


def processes_below(directory):
    """Processes whose working directory lies in the fleet's."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if pathlib.Path(os.readlink(process / "cwd")).is_relative_to(directory):
                found.append(int(process.name))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


OWNER = """
import pathlib, signal, sys
from tests.lab.fleet import Fleet
signal.signal(signal.SIGINT, signal.default_int_handler)
with Fleet(pathlib.Path(sys.argv[1]), hosts=2, kernels=[sys.argv[2]]):
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_no_guest_outlives_the_process_that_started_it(tmp_path, number):
    directory = tmp_path / "fleet"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory), KERNELS[0]], cwd=ROOT, stdin=subprocess.PIPE
    ) as owner:
        wait_for(lambda: len(processes_below(directory)) == 2, "the guests to start")
        owner.send_signal(number)
        owner.wait(timeout=PATIENCE)
    wait_for(lambda: not processes_below(directory), "the guests to end")


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["killed", "interrupted", "terminated"]
)
def test_an_interrupted_up_leaves_nothing_running(tmp_path, number):
    directory = tmp_path / ".lab" / "lab"
    command = [sys.executable, "-m", "tests.lab", "up", "--hosts", "2", "--kernels", KERNELS[0]]
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}) as up:
        wait_for(lambda: len(processes_below(directory)) == 2, "the guests to start")
        up.send_signal(number)
        up.wait(timeout=PATIENCE)
    wait_for(lambda: not processes_below(directory), "the guests to end")
    assert not (tmp_path / "inventories/lab/hosts.yml").exists()


def test_a_fleet_in_the_background_ends_with_down_and_disturbs_no_other(tmp_path, lab):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def command(*words):
        return subprocess.run(
            [sys.executable, "-m", "tests.lab", *words],
            cwd=tmp_path,
            env=environment,
            text=True,
            capture_output=True,
            timeout=PATIENCE * 3,
            check=True,
        ).stdout

    assert "lab-1" in command("up", "--hosts", "1", "--kernels", KERNELS[0])
    try:
        assert (tmp_path / "inventories/lab/hosts.yml").exists()
        assert "running" in command("status")
    finally:
        command("down")
    assert not processes_below(tmp_path)
    assert not (tmp_path / "inventories/lab/hosts.yml").exists()
    assert "No fleet is running" in command("status")
    assert all(guest.state() == "running" for guest in lab.guests.values())

# The module livepatch_preflight on real kernels: whatever it clears loads, and whatever it refuses the kernel refuses too.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Each finding is provoked, and then the livepatch is really loaded. LAB_EVERYWHERE=1 does so on every kernel. Every test
# leaves its guests without livepatches, the last one reboots them.

import json
import os
import pathlib
import subprocess
import sys

import pytest

from collection import link  # of tests/tools
from tests.integration.btf import function_id
from tests.integration.tasks import (  # pylint: disable=unused-import # noqa: F401 (modules is a fixture)
    CLEAN,
    livepatch,
    modules,
    path,
    raw,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What livepatch replaces in hotfix1, and the place where its name lies in the file.
REPLACED = b"version_proc_show"
DESCRIPTION = b"description=Livepatch hotfix1 of the kernel.livepatch lab"


@pytest.fixture(scope="module")
def looks(fleet, some, in_guest, modules, tasks_in, tmp_path_factory):  # noqa: F811
    """Runs a list of tasks in the guests with some kernels; yields (guest, {task name: result})."""
    ready = set()

    def run(tasks, *kernels):
        assert len({task["name"] for task in tasks}) == len(tasks), "two tasks of one name"
        for guest in some(*kernels).values():
            if guest.name not in ready:
                _bring_more(fleet, guest, tmp_path_factory.mktemp(guest.name))
                guest.ssh(["sh", "-c", MOUNT])
                ready.add(guest.name)
            yield guest, Results(zip([task["name"] for task in tasks], tasks_in(guest, tasks)))

    return run


def _bring_more(fleet, guest, directory):
    """Livepatches that this kernel cannot take, made of hotfix1, and what holds its functions."""
    kernel = guest.machine.kernel
    plain = fleet.module("hotfix1", kernel.name).read_bytes()
    assert plain.count(b"\0" + REPLACED + b"\0") == 1 and plain.count(DESCRIPTION) == 1
    made = {
        "ambiguous.ko": _with(plain, REPLACED, b"name_show"),
        "untraceable.ko": _with(plain, REPLACED, b"sched_clock"),
        "no_import.ko": plain.replace(b"klp_enable_patch", b"klp_enable_patcX"),
        "depends.ko": _with(plain, DESCRIPTION, b"depends=nowhere"),
        "no_target_symbol.ko": fleet.module("modulefix", kernel.name)
        .read_bytes()
        .replace(b"lab_target_show", b"lab_target_shoX"),
        "taps.ko": fleet.module("taps", kernel.name).read_bytes(),
        "number": b"%d" % function_id(kernel.vmlinux, "version_proc_show"),
        "trampoline.py": (pathlib.Path(__file__).parent / "trampoline.py").read_bytes(),
    }
    for name, content in made.items():
        (directory / name).write_bytes(content)
        guest.copy(directory / name, "/root/lab/" + name)
    name = "klp-%s-hotfix1-1.x86_64.rpm" % guest.kernel_release
    guest.copy(next(file for file in fleet.repository.directory.rglob("*.rpm") if file.name == name), "/root/klp.rpm")


def _with(image, old, new):
    """An image with another string in an old one's place."""
    return image.replace(b"\0" + old + b"\0", b"\0" + new + b"\0" * (len(old) - len(new)) + b"\0")


class Results(dict):
    """Results by task; looks at preflights with words of this file."""

    def ids(self, task, *severities):
        assert not self[task]["failed"], self[task]
        return [one["id"] for one in self[task]["findings"] if not severities or one["severity"] in severities]

    def finding(self, task, name):
        found = [one for one in self[task].get("findings", []) if one["id"] == name]
        assert len(found) == 1, (task, self[task])
        return found[0]

    def cleared(self, task, *infos):
        """The preflight has nothing but these, and the livepatch was enabled, with what was said to be replaced."""
        assert self.ids(task) == list(infos), (task, self[task]["findings"])
        assert self[task]["ready"] and self[task]["verdict"] == "ready"
        return self.loaded(task)

    def loaded(self, task):
        real = self[task + ", real"]
        assert not real["failed"] and real["proven"], (task, real)
        assert real["replaced"] == self[task]["replaced"], (task, real, self[task])
        return self[task]

    def warned(self, task, name, *words):
        """The preflight warns of this alone, and the livepatch was enabled all the same."""
        finding = self.only(task, name, *words)
        assert finding["severity"] == "warning" and self[task]["verdict"] == "ready_with_warnings", (task, finding)
        return self.loaded(task)

    def refused(self, task, name, *words):
        """The preflight has this as its only error, and the livepatch failed with the error that it names."""
        finding = self.only(task, name, *words)
        real = self[task + ", real"]
        assert not self[task]["ready"] and self[task]["verdict"] == "not_ready"
        assert real["failed"] and real["error"] == finding["error"], (task, finding, real)
        return finding

    def only(self, task, name, *words):
        assert set(self.ids(task, "error", "warning")) == {name}, (task, self[task]["findings"])
        finding = self.finding(task, name)
        assert all(word in finding["evidence"] for word in words), finding
        return finding


def look(task, check=False, **options):
    return {"name": task, "check_mode": check, "kernel.livepatch.livepatch_preflight": options}


def both(task, timeout=None, real=None, **options):
    """A preflight, and the same livepatch in earnest."""
    more = {} if timeout is None else {"timeout": timeout}
    return [look(task, **options), livepatch(task + ", real", **dict(options, **dict(more, **(real or {}))))]


def out(task):
    """Take every livepatch out, between two that do not go together."""
    return livepatch(task, all=True, state="absent")


def assert_clean(results):
    assert not results["clean up"]["failed"] and results["clean up"]["diff"]["after"] == {"enabled": [], "inert": []}


def test_a_livepatch_that_is_cleared_loads_and_what_the_file_forbids_is_refused_by_the_kernel_too(looks):
    tasks = [look("check", True, path=path("hotfix1"))]
    tasks += both("first", path=path("hotfix1"))
    tasks += [look("again", path=path("hotfix1"))]
    tasks += both("packed, on top", path=path("hotfix2.ko.xz"), replaces=["hotfix1"])
    tasks += both("not allowed", path=path("hotfix1"), replaces=[])
    tasks += both("other kind", path=path("addon_a"), replace=True)
    tasks += [livepatch("third", path=path("hotfix3"))]
    tasks += both("stacked on its function", path=path("addon_a")) + [raw("addon_a acts", "cat /proc/dma")]
    tasks += [livepatch("hotfix1 in", path=path("hotfix1"), unload_inert=False)]
    tasks += both("same name, other code", path=path("hotfix1_rebuilt.ko.zst"))
    tasks += both("inert before", path=path("addon_a")) + [out("out")]
    tasks += both("missing function", path=path("no_symbol"))
    tasks += both("ambiguous function", path=path("ambiguous"))
    tasks += both("function without ftrace", path=path("untraceable"))
    tasks += both("missing import", path=path("no_import"))
    tasks += both("missing dependency", path=path("depends"))
    tasks += both("other kernel", path=path("wrong_vermagic"))
    tasks += both("ordinary module", path=path("not_a_livepatch"))
    tasks += both("garbage", path=path("garbage")) + both("truncated", path=path("truncated"))
    tasks += both("no file", path=path("none")) + both("no name", name="none") + both("no package", package="none")
    tasks += [look("release", release="none"), raw("for everybody", "cp /root/lab/hotfix1.ko /var/tmp")]
    tasks += [dict(look("not root", path="/var/tmp/hotfix1.ko"), become=False), CLEAN]
    for guest, results in looks(tasks, "6.1"):
        assert results["check"] == results["first"]
        first = results.cleared("first")
        assert first["functions"] == [{"object": "vmlinux", "name": "version_proc_show", "sympos": 0}]
        assert (first["name"], first["replace"], first["replaced"]) == ("hotfix1", True, [])
        assert first["kernel_release"] == guest.kernel_release
        assert results.ids("again") == ["already_enabled"]
        assert results.cleared("packed, on top", "replaced")["replaced"] == ["hotfix1"]
        results.refused("not allowed", "replaces_others", "hotfix2")
        results.refused("other kind", "replace_mismatch")
        results.warned("stacked on its function", "function_patched_already", "proc_dma_show", "hotfix3")
        assert "[addon_a]" in results["addon_a acts"]["stdout"]
        results.refused("same name, other code", "other_code")
        assert "addon_a" in results.finding("inert before", "unloaded")["evidence"]
        results.cleared("inert before", "unloaded")
        results.refused("missing function", "function_missing", "version_proc_shoX")
        results.refused("ambiguous function", "function_ambiguous", "name_show")
        results.refused("function without ftrace", "function_untraceable", "sched_clock")
        results.refused("missing import", "symbol_missing", "klp_enable_patcX")
        results.refused("missing dependency", "depends_missing", "nowhere")
        results.refused("other kernel", "vermagic", "9" + guest.kernel_release[1:])
        results.refused("ordinary module", "not_a_livepatch")
        results.refused("garbage", "bad_module_file")
        results.refused("truncated", "bad_module_file")
        results.refused("no file", "not_found")
        results.refused("no name", "not_found")
        results.refused("no package", "not_found")
        assert results.ids("release") == ["package_not_installed"] and results["release"]["ready"]
        assert results.ids("not root", "error") == ["not_root"] and "not_checked" in results.ids("not root")
        assert_clean(results)


def test_modules_tasks_and_transitions_that_stand_in_the_way_are_found(looks):
    sleeps = "(cat /proc/lab_target_sleep/killable > /dev/null 2>&1 &); sleep 1"
    tasks = both("target not loaded", path=path("modulefix")) + [out("out 1"), raw("target in", "modprobe lab_target")]
    tasks += both("target loaded", path=path("modulefix")) + [raw("it acts", "cat /proc/lab_target"), out("out 2")]
    tasks += both("missing in the target", path=path("no_target_symbol"))
    tasks += [raw("somebody sleeps", sleeps)] + both("sleeper", timeout=3, path=path("stalls_user"))
    tasks += [raw("wake up", "echo 1 > /proc/lab_target_sleep/release; sleep 1")]
    tasks += both("nobody sleeps", path=path("stalls_user")) + [out("out 3"), raw("target out", "rmmod lab_target")]
    tasks += both("kernel thread", timeout=2, real={"on_stall": "fail"}, path=path("stalls"))
    tasks += [look("its own transition", path=path("stalls"))] + both(
        "in a transition", timeout=1, path=path("hotfix1")
    )
    tasks += [CLEAN]
    for _guest, results in looks(tasks, "6.12"):
        results.warned("target not loaded", "no_object_loaded", "lab_target")
        results.cleared("target loaded")
        assert "[modulefix]" in results["it acts"]["stdout"]
        results.refused("missing in the target", "function_missing", "lab_target_shoX")
        results.only("sleeper", "task_in_function", "1 task(s): cat (", "lab_sleep_killable")
        assert results["sleeper, real"]["error"] == "stalled"
        results.cleared("nobody sleeps")
        results.only("kernel thread", "task_in_function", "kernel thread kswapd0", "in kswapd")
        assert results["kernel thread, real"]["error"] == "stalled"
        assert results.ids("its own transition", "error") == [] and "in_transition" in results.ids("its own transition")
        assert results.only("in a transition", "transition_fresh", "stalls is being enabled")
        assert results["in a transition, real"]["error"] == "busy", "a run that waits for a second only"
        assert_clean(results)


def taps(task, begin):
    """Hold version_proc_show as tracers do, look, load, see whether they still count, and let go."""
    tasks = [raw(task + ", begins", begin)] + both(task, path=path("hotfix1"))
    counted = "cat /proc/version /proc/version; cat /sys/module/taps/parameters/hits"
    return tasks + [raw(task + ", counted", counted), out(task + ", out"), raw(task + ", ends", "rmmod taps")]


def bpf(task, kind):
    """The same with a BPF program, which is called by a trampoline; its number is in /root/lab/number."""
    begin = (
        "cd /root/lab; rm -f tap.out; (setsid python3 trampoline.py %s $(cat number) > tap.out 2>&1 & echo $! > tap.pid); "
        % kind
    )
    begin += "until grep -q . tap.out; do sleep 0.2; done; cat tap.out; grep -q attached tap.out"
    tasks = [raw(task + ", begins", begin)] + both(task, path=path("hotfix1"))
    return tasks + [out(task + ", out"), raw(task + ", ends", "kill $(cat /root/lab/tap.pid); sleep 1")]


TAPS = "insmod /root/lab/taps.ko "
MOUNT = "mount -t tracefs t /sys/kernel/tracing; mount -t debugfs d /sys/kernel/debug; mount -t securityfs s /sys/kernel/security; true"
UNMOUNT = "umount /sys/kernel/tracing; umount /sys/kernel/debug; umount /sys/kernel/security; true"


def test_probes_tracers_and_bpf_programs_are_told_apart_by_whether_the_kernel_takes_the_livepatch_beside_them(looks):
    tasks = [raw("unmounted", UNMOUNT), *both("not mounted", path=path("hotfix1")), out("out 0")]
    tasks += [raw("still not mounted", "grep -c -e tracefs -e debugfs /proc/mounts"), raw("mounted", MOUNT)]
    tasks += taps("kprobe", TAPS + "kind=kprobe") + taps("return probe", TAPS + "kind=return")
    tasks += taps("tracer", TAPS + "kind=ftrace")
    tasks += taps("probe with a post handler", TAPS + "kind=post") + taps("other modifier", TAPS + "kind=ipmodify")
    # Where the compiler marks functions for IBT, the place for ftrace lies behind four bytes more.
    tasks += taps("probe inside", "%s kind=kprobe offset=5 || %s kind=kprobe offset=9" % (TAPS, TAPS))
    sleeps = "insmod /root/lab/taps.ko kind=return function=hrtimer_nanosleep; (sleep 300 > /dev/null 2>&1 & echo $! > /root/lab/pid)"
    tasks += [raw("sleeps in a return probe", sleeps + "; sleep 1")] + both(
        "return probe on a stack", timeout=3, path=path("hotfix1")
    )
    tasks += [out("out 1"), raw("wakes up", "kill $(cat /root/lab/pid); rmmod taps")]
    tasks += bpf("entry program", "entry") + bpf("exit program", "exit") + [CLEAN]
    for guest, results in looks(tasks, "5.10", "7.2"):
        assert (
            set(results.ids("not mounted")) == {"not_checked"} and results["still not mounted"]["stdout"].strip() == "0"
        )
        results.loaded("not mounted")
        for name in ("kprobe", "return probe", "tracer"):
            results.cleared(name, "function_traced")
            assert int(results[name + ", counted"]["stdout"].split()[-1]) > 1, results[name + ", counted"]
        for name in ("probe with a post handler", "other modifier"):
            results.refused(name, "function_held", "version_proc_show")
        results.warned("probe inside", "probe_bypassed", "version_proc_show+0x")
        assert results["probe inside, counted"]["stdout"].split()[-1] == "0", "the patched function ran the old code"
        if guest.machine.kernel.name == "5.10":  # its unwinder does not know return probes
            results.only("return probe on a stack", "kretprobe_on_stack", "sleep (", "hrtimer_nanosleep")
            assert results["return probe on a stack, real"]["error"] == "stalled"
        else:
            results.cleared("return probe on a stack")
        for name in ("entry program", "exit program"):
            assert not results[name + ", begins"]["failed"], results[name + ", begins"]
            # Since 6.0 livepatches and trampolines share a function.
            if guest.machine.kernel.name == "5.10":
                results.refused(name, "function_held", "bpf_trampoline")
            else:
                results.cleared(name, "function_traced")
        assert_clean(results)


def playbook(fleet, directory, hosts):
    """Run the playbook preflight for hotfix1 on hosts (a pattern); return its exit status and what it printed."""
    link()
    lost = directory / "lost.yml"
    lost.write_text(json.dumps({"all": {"hosts": {"lost": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}}))
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "kernel.livepatch.preflight"]
    command += [
        "-i",
        str(fleet.inventory),
        "-i",
        str(lost),
        "-e",
        "livepatch_release=hotfix1",
        "-e",
        "livepatch_hosts=" + hosts,
    ]
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work" / "collections"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_TIMEOUT": "120",
        "ANSIBLE_NOCOLOR": "true",
    }
    ended = subprocess.run(
        command,
        env=dict(os.environ, **settings),
        capture_output=True,
        text=True,
        timeout=900,
        cwd=directory,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_the_playbook_tells_which_hosts_would_refuse_a_release_and_ends_with_a_failure_then(
    fleet, some, looks, tmp_path
):
    guest = next(iter(some("6.12").values()))
    list(looks([raw("package in", "rpm -U --replacepkgs /root/klp.rpm")], "6.12"))
    status, output = playbook(fleet, tmp_path, guest.name)
    assert status == 0, output
    assert "1 hosts: 1 ready (0 with warnings), 0 would refuse it, 0 could not be looked at" in output
    off = "echo 0 > /proc/sys/kernel/ftrace_enabled"
    list(looks([raw("package out", "rpm -e klp-{kernel}"), raw("ftrace off", off)], "6.12"))
    status, output = playbook(fleet, tmp_path, guest.name + ":lost")
    list(looks([raw("ftrace on", "echo 1 > /proc/sys/kernel/ftrace_enabled")], "6.12"))
    assert status != 0, output
    assert guest.name + ": error ftrace_disabled: kernel.ftrace_enabled is 0" in output
    assert "lost: could not be looked at" in output
    assert "2 hosts: 0 ready (0 with warnings), 1 would refuse it, 1 could not be looked at" in output
    assert "On 1 of them the package is not installed" in output
    assert "found 2 that would not or could not be looked at: " in " ".join(output.split())


def kernel_takes(task, name="hotfix1"):
    """Give the module to the kernel itself, past the module livepatch, and take it out again if it is taken."""
    off = "echo 0 > /sys/kernel/livepatch/%s/enabled; sleep 3; rmmod %s" % (name, name)
    return raw(task, "insmod /root/lab/%s.ko && (%s; true)" % (name, off))


@pytest.fixture
def rebooted_afterwards(some):
    """For a test that leaves a kernel in a state only a boot ends."""
    yield
    guests = some("5.10").values()
    for guest in guests:
        guest.ssh(["sync"])
        guest.kill()
        guest.start()
    for guest in guests:
        guest.wait_for_ssh()


def test_settings_of_the_host_that_forbid_it_are_found(looks, rebooted_afterwards):
    # Pages of a tmpfs cannot be given back, so that they are not available.
    hog = "mkdir -p /mnt/hog; mount -t tmpfs -o size=100% hog /mnt/hog; head -c $(awk "
    hog += "'/MemAvailable/ {print ($2 - 50000) * 1024}' /proc/meminfo) /dev/zero > /mnt/hog/pages"
    tasks = [
        raw("package in", "rpm -U --replacepkgs /root/klp.rpm"),
        look("package", release="hotfix1"),
        raw("a file changes", "printf x >> /usr/lib/modules/$(uname -r)/livepatch/hotfix1.ko"),
        *both("changed file", package="klp-{kernel}-hotfix1-1.x86_64"),
        raw("package out", "rpm -e klp-{kernel}"),
        raw("ftrace off", "echo 0 > /proc/sys/kernel/ftrace_enabled"),
        *both("no ftrace", path=path("hotfix1")),
        kernel_takes("no ftrace, kernel"),
        raw("ftrace on", "echo 1 > /proc/sys/kernel/ftrace_enabled"),
        raw("memory taken", hog),
        *both("little memory", path=path("hotfix1")),
        raw("memory back", "umount /mnt/hog"),
        out("out 1"),
        raw("small run", "mount -t tmpfs -o size=64k,mode=755 small /run"),
        *both("full run", path=path("hotfix1")),
        raw("large run", "umount /run"),
        out("out 2"),
        livepatch("forced", path=path("stalls"), timeout=2, force=True),
        look("after force", path=path("hotfix1")),
        livepatch("stalls off", name="stalls", state="disabled"),
        look("held name", path=path("stalls")),
        livepatch("held name, real", path=path("stalls"), timeout=2),
        raw("locked down", "echo integrity > /sys/kernel/security/lockdown"),
        *both("unsigned, locked down", path=path("hotfix1")),
        kernel_takes("unsigned, locked down, kernel"),
        *both("unknown key, locked down", path=path("unknown_key")),
        raw("enforced", "echo Y > /sys/module/module/parameters/sig_enforce"),
        *both("unsigned", path=path("hotfix1")),
        kernel_takes("unsigned, kernel"),
        *both("unknown key", path=path("unknown_key")),
        raw("no more modules", "echo 1 > /proc/sys/kernel/modules_disabled"),
        look("modules disabled", path=path("unknown_key")),
        livepatch("modules disabled, real", path=path("unknown_key")),
    ]
    for guest, results in looks(tasks, "5.10"):
        assert results["package"]["ready"] and results["package"]["name"] == "hotfix1", results["package"]
        assert "package_not_installed" not in results.ids("package")
        results.refused("changed file", "package_modified", "hotfix1.ko")
        results.refused("no ftrace", "ftrace_disabled")
        results.warned("little memory", "low_memory")
        results.only("full run", "run_full")
        results.only("after force", "forced_before", "stalls")
        pinned = guest.kernel_release.startswith("5.10")  # later kernels let go of a livepatch that was only enabled
        if pinned:
            assert results.finding("held name", "already_forced")["error"] == results["held name, real"]["error"]
        assert pinned is ("already_forced" in results.ids("held name"))
        assert results.finding("unsigned, locked down", "locked_down")
        assert results["unsigned, locked down, real"]["error"] == "not_permitted"
        assert results.finding("unknown key, locked down", "signature_unproven")
        assert results["unsigned, real"]["error"] == results.finding("unsigned", "signature_enforced")["error"]
        assert results.finding("unknown key", "signature_unproven") and results["unknown key"]["ready"]
        assert results["unknown key, real"]["error"] == "key_rejected"
        assert (
            results.finding("modules disabled", "modules_disabled")["error"]
            == results["modules disabled, real"]["error"]
        )
        for name in ("no ftrace, kernel", "unsigned, locked down, kernel", "unsigned, kernel"):
            assert results[name]["failed"], results[name]

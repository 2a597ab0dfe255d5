# What a preflight finds on hosts in every state, each finding provoked once; and that it says so when it cannot look.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import re
from collections import OrderedDict, namedtuple

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import kernel_log
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import engines
from ansible_collections.kernel.livepatch.plugins.module_utils._preflight import findings, host_checks, preflight
from ansible_collections.kernel.livepatch.plugins.modules import livepatch_preflight
from tests.unit.fakes import elf, patched
from tests.unit.fakes.kernel import FakeKernel
from tests.unit.fakes.rpm_host import NAME, RpmHost

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4))
Uname = namedtuple("Uname", "release machine")
UNAME = Uname(elf.KERNEL, "x86_64")
OPTIONS = dict.fromkeys(["name", "path", "package", "release", "pattern", "replace", "replaces"])
SYMBOLS = """ffffffff81000000 T _stext
ffffffff81e00000 t version_proc_show
ffffffff81e00100 t name_show
ffffffff81e00200 t name_show
ffffffff81e00300 T __this_module
ffffffffc0000000 t ext4_sync_file\t[ext4]
"""
TRACING = "sys/kernel/tracing"
DEBUGGING = "sys/kernel/debug"
MOUNTS = "tracefs /%s tracefs rw 0 0\ndebugfs /%s debugfs rw 0 0\n" % (TRACING, DEBUGGING)
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class Host(object):
    """A host in a directory, and a livepatch on it."""

    def __init__(self, root):
        self.root = str(root)
        self.kernel = FakeKernel(self.root)
        self.rpm = RpmHost()
        self.records = []
        self.kernel.text("proc/uptime", "1000.00 900.00")
        self.kernel.text("proc/kallsyms", SYMBOLS.rstrip("\n"))
        self.kernel.text("proc/meminfo", "MemTotal: 999999 kB\nMemAvailable:  500000 kB")
        self.kernel.text("proc/self/mounts", MOUNTS)
        self.kernel.text(TRACING + "/enabled_functions", "")
        self.kernel.text(TRACING + "/available_filter_functions", "version_proc_show\nname_show\next4_sync_file [ext4]")
        self.kernel.text(DEBUGGING + "/kprobes/list", "")
        self.kernel.text("sys/kernel/security/lockdown", "[none] integrity confidentiality")
        self.kernel.task(1, "init", -1, "[<0>] do_epoll_wait+0x1/0x2")
        self.put({None: [("version_proc_show", 0)]})

    def put(self, changes, tail=b"", modinfo=(), **how):
        image = patched.structs(OrderedDict(changes), **how)
        image.describe(**dict(modinfo))
        image.tail = tail
        self.path = self.kernel.data("root/hotfix1.ko", image.bytes())

    def module(self, name):
        self.kernel.ordinary_module(name)

    def look(self, uid=0, now=lambda: 0.0, uname=UNAME, **options):
        options = options or {"path": self.path}
        run = preflight.Preflight(dict(OPTIONS, **options), self.rpm.run, self.root, uname, uid, now, self)
        return run.execute()

    # --- as the kernel's log

    def read(self):
        return kernel_log.Reading(self.records, len(self.records), kernel_log.READ, None, [])

    def lines_since(self, sequence, limit):
        return [record.text for record in self.records[sequence:] if record.kernel][-limit:]

    def logs(self, seconds, text, kernel=True):
        self.records.append(kernel_log.Record(len(self.records), seconds, 5, kernel, text))


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def ids(result, *severities):
    return [finding["id"] for finding in result["findings"] if not severities or finding["severity"] in severities]


def only(result, name):
    """The one finding with that id, in a result that has no other error or warning."""
    found = [finding for finding in result["findings"] if finding["id"] == name]
    assert len(found) == 1, result["findings"]
    assert set(ids(result, "error", "warning")) <= {name}, result["findings"]
    assert found[0]["evidence"] and found[0]["remedy"]
    assert result["ready"] is (found[0]["severity"] != "error")
    return found[0]


# --- everything is fine


def test_a_host_on_which_nothing_speaks_against_it_is_ready(host):
    result = host.look()
    assert result["findings"] == [] and result["ready"] and result["verdict"] == "ready" and not result["changed"]
    assert result["functions"] == [{"object": "vmlinux", "name": "version_proc_show", "sympos": 0}]
    assert (result["name"], result["replace"], result["replaced"]) == ("hotfix1", True, [])


def test_nothing_is_written(host):
    before = sorted((parent, tuple(sorted(files))) for parent, _names, files in os.walk(host.root))
    host.look()
    assert before == sorted((parent, tuple(sorted(files))) for parent, _names, files in os.walk(host.root))


def test_a_livepatch_that_is_enabled_already_is_good_news(host):
    host.kernel.insert("hotfix1", transition=0)
    host.kernel.text(
        TRACING + "/enabled_functions", "version_proc_show (1) R I\ttramp: 0x1 (klp_ftrace_handler+0x0/0x1)"
    )
    assert ids(host.look()) == ["already_enabled"]


def test_what_it_replaces_and_what_is_unloaded_is_listed(host):
    host.kernel.leave_inert("hotfix0")
    host.kernel.insert("old", transition=0)
    result = host.look()
    assert ids(result) == ["replaced", "unloaded"] and result["replaced"] == ["old"] and result["ready"]
    assert "old" in result["findings"][0]["evidence"] and "hotfix0" in result["findings"][1]["evidence"]


# --- the file


@pytest.mark.parametrize(
    "prepare, name",
    [
        (lambda host: {"path": host.path + ".missing"}, "not_found"),
        (lambda host: {"path": host.kernel.data("root/bad.ko", b"#!/bin/sh")}, "bad_module_file"),
        (lambda host: {"name": "hotfix9"}, "not_found"),
        (lambda host: {"package": "klp-missing"}, "not_found"),
    ],
)
def test_a_file_that_cannot_be_used_is_found_out_and_the_host_is_looked_at_all_the_same(host, prepare, name):
    host.kernel.text("proc/sys/kernel/modules_disabled", "1")
    result = host.look(**prepare(host))
    assert ids(result) == [name, "modules_disabled"]
    assert (result["name"], result["functions"], result["replaced"]) == (None, None, None)
    assert result["findings"][0]["error"] == name


def test_a_file_with_another_module_than_the_one_asked_for_is_refused(host):
    path = "lib/modules/%s/extra/hotfix2.ko" % elf.KERNEL
    with open(host.path, "rb") as stream:
        host.kernel.data(path, stream.read())
    assert only(host.look(name="hotfix2"), "bad_name")["error"] == "bad_name"


def test_an_ordinary_module_is_no_livepatch(host):
    host.put({None: [("version_proc_show", 0)]}, modinfo={"livepatch": "N"})
    assert only(host.look(), "not_a_livepatch")["error"] == "not_a_livepatch"


def test_a_module_for_another_architecture_is_told_from_a_damaged_one(host):
    assert only(host.look(uname=Uname(elf.KERNEL, "aarch64")), "architecture")["error"] == "bad_module_file"


def test_a_livepatch_for_another_kernel_is_refused_with_its_vermagic(host):
    host.put({None: [("version_proc_show", 0)]}, modinfo={"vermagic": "6.1.0-99-amd64 SMP mod_unload "})
    assert "6.1.0-99-amd64 SMP mod_unload" in only(host.look(), "vermagic")["evidence"]


def test_of_a_livepatch_of_another_make_no_function_is_claimed(host):
    host.path = host.kernel.data("root/other.ko", elf.module())
    result = host.look()
    assert ids(result) == ["functions_unknown"] and result["functions"] is None and result["ready"]


def test_contents_that_are_damaged_are_found_out(host, monkeypatch):
    def damaged(module):
        raise LivepatchError("bad_module_file", "x.ko: damaged")

    monkeypatch.setattr(preflight.patched_functions, "read", damaged)
    result = host.look()
    assert ids(result) == ["bad_module_file"] and result["functions"] is None


# --- packages


def test_the_package_of_a_release_is_found_by_the_name_that_role_install_gives_it(host):
    host.rpm.installed = "hotfix1"
    host.rpm.files = [host.path]
    result = host.look(release="hotfix1")
    assert result["findings"] == [] and result["path"] == host.path


def test_a_release_that_is_not_installed_is_no_reason_against_it(host):
    host.kernel.text("proc/sys/kernel/ftrace_enabled", "0")
    result = host.look(release="hotfix7")
    assert ids(result) == ["ftrace_disabled", "package_not_installed"]
    assert "klp-%s-hotfix7" % elf.KERNEL in result["findings"][1]["evidence"]


def test_of_the_newest_build_only_the_host_is_looked_at_as_a_plan_asks_which_one_that_is(host):
    host.kernel.text("proc/sys/kernel/ftrace_enabled", "0")
    result = host.look(release="newest")
    assert ids(result) == ["ftrace_disabled", "package_not_installed"]
    assert result["findings"][1]["evidence"].startswith("the newest build: ")


def test_what_patches_the_host_by_itself_is_a_warning(host):
    host.kernel.text("etc/cron.daily/patch", "#!/bin/sh\nzypper -n patch\n")
    finding = only(host.look(release="newest"), "patches_itself")
    assert finding["severity"] == "warning"
    assert finding["evidence"] == "zypper by /etc/cron.daily/patch (/etc/cron.daily/patch) installs all updates"


def test_a_pattern_says_how_packages_are_called(host):
    result = host.look(release="hotfix7", pattern="kpatch-{kernel}-{release}")
    assert "kpatch-%s-hotfix7" % elf.KERNEL in only(result, "package_not_installed")["evidence"]


@pytest.mark.parametrize(
    "change, name",
    [
        ({"verification": "S.5....T.    /usr/lib/modules/x/hotfix1.ko\n"}, "package_modified"),
        ({"files": ["/etc/hotfix1.conf"]}, "no_module_in_package"),
        ({"files": ["/usr/lib/modules/6.1.0-99-amd64/livepatch/hotfix1.ko"]}, "other_kernel"),
        ({"program": None}, "no_package_manager"),
    ],
)
def test_a_package_that_cannot_be_used_is_found_out(host, change, name, monkeypatch):
    monkeypatch.setattr(os, "uname", lambda: UNAME)
    host.rpm.installed = "hotfix1"
    for key, value in change.items():
        setattr(host.rpm, key, value)
    assert only(host.look(package=NAME + "-hotfix1"), name)["error"] == name


def test_an_rpm_database_that_does_not_answer_is_found_out(host):
    host.rpm.run = lambda command, **_how: (1, "", "error: rpmdb: damaged")
    assert only(host.look(package=NAME + "-hotfix1"), "package_failed")


@pytest.mark.parametrize(
    "options", [{"name": "../x"}, {"package": "-x"}, {"release": "a b"}, {"path": "/x", "replaces": ["a/b"]}]
)
def test_options_that_cannot_be_are_no_finding_but_a_failure(host, options):
    with pytest.raises(LivepatchError) as refused:
        host.look(**options)
    assert refused.value.code == "bad_name"


# --- the host


@pytest.mark.parametrize(
    "path, text, name",
    [
        ("proc/sys/kernel/modules_disabled", "1", "modules_disabled"),
        ("proc/sys/kernel/ftrace_enabled", "0", "ftrace_disabled"),
        ("sys/module/module/parameters/sig_enforce", "Y", "signature_enforced"),
        ("sys/kernel/security/lockdown", "none [integrity] confidentiality", "locked_down"),
        ("proc/meminfo", "MemAvailable: 16000 kB", "low_memory"),
        ("run/livepatch/forced.json", json.dumps({"livepatches": ["x"], "boot_id": "b0"}), "forced_before"),
    ],
)
def test_a_state_of_the_host_that_speaks_against_loading_is_found(host, path, text, name):
    host.kernel.text(path, text)
    only(host.look(), name)


def test_a_kernel_without_livepatches_is_found(host):
    os.rmdir(os.path.join(host.root, "sys/kernel/livepatch"))
    assert only(host.look(), "unsupported")["error"] == "unsupported"


def test_a_user_who_is_not_root_is_told(host):
    assert only(host.look(uid=1000), "not_root")["error"] == "not_permitted"


@pytest.mark.parametrize(
    "path, text",
    [
        ("sys/module/module/parameters/sig_enforce", "Y"),
        ("sys/kernel/security/lockdown", "none [integrity] confidentiality"),
    ],
)
def test_whether_the_kernel_trusts_a_signature_is_left_open(host, path, text):
    host.kernel.text(path, text)
    host.put({None: [("version_proc_show", 0)]}, tail=elf.SIGNATURE)
    assert only(host.look(), "signature_unproven")["severity"] == "warning"


@pytest.mark.parametrize("value, found", [(b"\6\0\0\0\1", ["secure_boot"]), (b"\6\0\0\0\0", [])])
def test_secure_boot_is_told_where_the_kernel_takes_unsigned_modules_all_the_same(host, value, found):
    host.kernel.data(SECURE_BOOT, value)
    assert ids(host.look()) == found


def test_secure_boot_and_lockdown_that_cannot_be_read_are_not_guessed(host):
    os.unlink(os.path.join(host.root, "sys/kernel/security/lockdown"))
    host.kernel.directory("sys/firmware/efi")
    result = host.look()
    assert ids(result) == ["not_checked", "not_checked"] and result["verdict"] == "ready"
    assert "SecureBoot" in result["findings"][0]["evidence"] and "lockdown" in result["findings"][1]["evidence"]
    host.kernel.text("proc/self/mounts", MOUNTS + "security /sys/kernel/security securityfs rw 0 0")
    assert ids(host.look()) == ["not_checked"], "a kernel without lockdown shows none"


@pytest.mark.parametrize("blocks, inodes", [(10, 500), (5000, 0)])
def test_a_full_run_directory_is_found(host, monkeypatch, blocks, inodes):
    full = namedtuple("Full", "f_bavail f_frsize f_files f_favail")(blocks, 4096, 1000, inodes)
    monkeypatch.setattr(host_checks.os, "statvfs", lambda path: full)
    assert "%d inodes" % inodes in only(host.look(), "run_full")["evidence"]


@pytest.mark.parametrize(
    "active, name, words", [(True, "other_engine", "has changed"), (None, "engine_unclear", "did not say")]
)
def test_another_engine_that_may_have_changed_the_kernel_is_found(host, monkeypatch, active, name, words):
    monkeypatch.setattr(engines, "find", lambda root, host: [engines.Engine("ksplice", active, None)])
    assert words in only(host.look(), name)["evidence"]


def test_another_engine_that_is_idle_is_no_finding(host, monkeypatch):
    monkeypatch.setattr(engines, "find", lambda root, host: [engines.Engine("ksplice", False, None)])
    assert host.look()["findings"] == []


# --- other livepatches


def test_a_transition_of_another_livepatch_is_found(host):
    host.kernel.insert("other", transition=1)
    result = host.look()
    assert ids(result)[0] == "transition_pending" and result["findings"][0]["error"] == "busy"
    assert "other is being enabled" in result["findings"][0]["evidence"]


def test_a_transition_of_another_livepatch_that_has_just_begun_is_waited_for_and_only_a_warning(host):
    host.kernel.insert("other", transition=1)
    host.logs(999.0, "livepatch: 'other': starting patching transition")
    finding = only(host.look(), "transition_fresh")
    assert (finding["severity"], finding["error"]) == ("warning", None) and "since 1 s" in finding["evidence"]
    host.kernel.text("proc/uptime", "1060.00 900.00")
    assert "since 61 s" in only(host.look(), "transition_pending")["evidence"]


def test_a_transition_that_somebody_forced_by_hand_is_found_in_the_log(host):
    host.logs(5.0, "livepatch: forcing remaining tasks to the patched state", kernel=False)
    assert host.look()["findings"] == []
    host.logs(6.0, "livepatch: forcing remaining tasks to the patched state")
    assert "log" in only(host.look(), "forced_before")["evidence"]


def test_its_own_transition_is_told(host):
    host.kernel.insert("hotfix1", transition=1)
    result = host.look()
    assert ids(result) == ["in_transition"] and result["ready"]


@pytest.mark.parametrize(
    "prepare, name",
    [
        (lambda kernel: kernel.insert("hotfix1", build_id="22" * 20, transition=0), "other_code"),
        (lambda kernel: kernel.ordinary_module("hotfix1"), "other_code"),
        (lambda kernel: kernel.leave_inert("hotfix1", refcount=1), "unload_refused"),
    ],
)
def test_a_name_that_is_taken_is_found(host, prepare, name):
    prepare(host.kernel)
    result = host.look()
    assert only(result, name)["error"] == name and result["replaced"] is None


def test_what_the_operator_does_not_allow_to_be_replaced_is_found(host):
    host.kernel.insert("old", transition=0)
    assert only(host.look(path=host.path, replaces=["older"]), "replaces_others")["error"] == "replaces_others"
    assert host.look(path=host.path, replaces=["old"])["ready"]


def test_a_livepatch_of_the_other_kind_is_found_before_it_is_loaded(host):
    assert only(host.look(path=host.path, replace=False), "replace_mismatch")["error"] == "replace_mismatch"


def test_a_function_that_a_livepatch_below_changes_too_is_found(host):
    host.kernel.text("proc/kallsyms", "ffffffff81e00000 t some_function\nffffffff81e00300 T __this_module")
    host.kernel.text(TRACING + "/available_filter_functions", "some_function")
    host.kernel.insert("below", transition=0)
    host.put({None: [("some_function", 0)]}, replace=False)
    held = "some_function (1) R I     \ttramp: 0xffffffffc02cc000 (klp_ftrace_handler+0x0/0x1b0)"
    host.kernel.text(TRACING + "/enabled_functions", held)
    assert "below" in only(host.look(), "function_patched_already")["evidence"]


# --- what it changes


@pytest.mark.parametrize(
    "entry, name, words",
    [
        (("missing_function", 0), "function_missing", "vmlinux has no function missing_function"),
        (("name_show", 0), "function_ambiguous", "2 functions name_show"),
        (("name_show", 3), "function_missing", "2 function(s) name_show, number 3"),
    ],
)
def test_a_function_that_the_kernel_cannot_find_is_found(host, entry, name, words):
    host.put({None: [entry]})
    finding = only(host.look(), name)
    assert words in finding["evidence"] and finding["error"] == "symbol_missing"


def test_one_of_several_functions_of_a_name_is_fine(host):
    host.put({None: [("name_show", 2)]})
    assert host.look()["findings"] == []


def test_a_function_that_ftrace_does_not_reach_is_found(host):
    host.kernel.text(TRACING + "/available_filter_functions", "name_show")
    assert only(host.look(), "function_untraceable")["error"] == "load_failed"


def test_a_symbol_that_the_kernel_does_not_have_is_found(host):
    host.put({None: [("version_proc_show", 0)]}, imports=["no_such_symbol"])
    assert "no_such_symbol" in only(host.look(), "symbol_missing")["evidence"]


def test_a_symbol_that_only_the_table_of_exports_names_is_there(host):
    host.kernel.text("proc/kallsyms", SYMBOLS + "ffffffff82000000 r __ksymtab_seq_printf")
    host.put({None: [("version_proc_show", 0)]}, imports=["seq_printf", "_GLOBAL_OFFSET_TABLE_", ".TOC."])
    assert host.look()["findings"] == []


def test_the_functions_of_a_loaded_module_are_looked_for_in_it(host):
    host.module("ext4")
    host.put({"ext4": [("ext4_sync_file", 0)]})
    assert host.look()["findings"] == []
    host.put({"ext4": [("version_proc_show", 0)]})
    assert "ext4 has no function version_proc_show" in only(host.look(), "function_missing")["evidence"]


def test_of_a_module_that_goes_while_it_is_looked_for_nothing_is_claimed(host, monkeypatch):
    host.module("xfs")
    host.put({None: [("version_proc_show", 0)], "xfs": [("xfs_file_fsync", 0)]})
    symbols = host_checks.kernel_functions.symbols

    def while_it_goes(*arguments):
        del host.kernel.modules["xfs"]
        host.kernel._show()
        return symbols(*arguments)

    monkeypatch.setattr(host_checks.kernel_functions, "symbols", while_it_goes)
    result = host.look()
    assert ids(result) == ["object_not_loaded"] and result["ready"]


def test_a_module_that_is_just_coming_is_not_there_yet(host):
    host.put({None: [("version_proc_show", 0)], "xfs": [("xfs_file_fsync", 0)]})
    host.kernel.text("proc/modules", "xfs 16384 1 - Loading 0x0000000000000000")
    assert ids(host.look()) == ["object_not_loaded"]


def test_modules_that_are_not_loaded_are_told_and_all_of_them_are_a_warning(host):
    host.put({None: [("version_proc_show", 0)], "xfs": [("xfs_file_fsync", 0)]})
    assert ids(host.look()) == ["object_not_loaded"]
    host.put({"xfs": [("xfs_file_fsync", 0)]})
    assert "xfs" in only(host.look(), "no_object_loaded")["evidence"]


def test_a_module_that_it_depends_on_and_that_is_nowhere_is_found(host):
    host.put({None: [("version_proc_show", 0)]}, modinfo={"depends": "nowhere"}, imports=["nowhere_symbol"])
    assert only(host.look(), "depends_missing")["error"] == "object_missing"
    host.kernel.text("lib/modules/%s/extra/nowhere.ko" % elf.KERNEL, "")
    assert "depmod" in only(host.look(), "depends_missing")["remedy"], "modprobe does not find it"
    host.kernel.text("lib/modules/%s/modules.dep" % elf.KERNEL, "extra/nowhere.ko.xz: kernel/a.ko")
    assert host.look()["findings"] == []


def test_symbols_that_cannot_be_read_are_not_guessed(host):
    os.unlink(os.path.join(host.root, "proc/kallsyms"))
    assert "kallsyms" in only(host.look(), "not_checked")["evidence"]


@pytest.mark.parametrize("mounts", ["", "none / ext4 rw 0 0"])
def test_what_is_not_mounted_is_not_mounted_and_is_told(host, mounts):
    host.kernel.text("proc/self/mounts", mounts)
    result = host.look()
    assert ids(result) == ["not_checked"] * 3 and result["ready"]
    assert "kprobes" in str(result["findings"]) and "tracefs" in str(result["findings"])


# --- who sleeps in it


def test_tasks_that_sleep_in_a_function_are_found(host):
    host.kernel.task(44, "cat", -1, "[<0>] schedule+0x1/0x2\n[<0>] version_proc_show.isra.0+0x9/0x20\n", state="D")
    host.kernel.task(45, "worker) x", -1, "[<0>] version_proc_show+0x9/0x20", flags=0x00200000)
    host.kernel.task(46, "other", -1, "[<0>] version_proc_show+0x9/0x20 [other]")
    evidence = only(host.look(), "task_in_function")["evidence"]
    assert evidence.startswith("2 task(s): cat (44, state D) in version_proc_show, kernel thread worker) x (45")


def test_tasks_in_the_code_of_a_livepatch_that_goes_are_found(host):
    host.kernel.insert("old", transition=0)
    host.kernel.task(44, "cat", -1, "[<0>] new_code+0x9/0x20 [old]")
    assert "new_code" in only(host.look(), "task_in_function")["evidence"]


@pytest.mark.parametrize("release, found", [("5.10.0-32-amd64", ["kretprobe_on_stack"]), ("6.1.0-50-amd64", [])])
def test_a_return_probe_on_a_stack_is_found_on_the_kernels_that_it_holds_up(host, release, found):
    host.kernel.text("proc/sys/kernel/osrelease", release)
    host.put({None: [("version_proc_show", 0)]}, modinfo={"vermagic": release + " SMP "})
    host.kernel.text(DEBUGGING + "/kprobes/list", "ffffffff811278b0  r  hrtimer_nanosleep+0x0    [FTRACE]")
    host.kernel.task(44, "sleep", -1, "[<0>] hrtimer_nanosleep+0x9b/0x140\n[<0>] elfcorehdr_read+0x40/0x40")
    assert ids(host.look(uname=Uname(release, "x86_64"))) == found


# --- functions that have several names

ALIASES = SYMBOLS + """ffffffff81f00000 t __do_sys_getpid
ffffffff81f00000 T __x64_sys_getpid
ffffffff81f00000 T __ia32_sys_getpid
ffffffff81f00100 T __x64_sys_gettid"""


@pytest.fixture
def alias(host):
    """A livepatch names one of the names of an address, and tracefs, debugfs and stacks show another."""
    host.kernel.text("proc/kallsyms", ALIASES)
    host.kernel.text(TRACING + "/available_filter_functions", "__do_sys_getpid\n__x64_sys_gettid")
    host.put({None: [("__x64_sys_getpid", 0)]})
    return host


def test_a_function_is_open_to_ftrace_by_any_name_of_its_address(alias):
    assert alias.look()["findings"] == []
    alias.kernel.text(TRACING + "/available_filter_functions", "__x64_sys_gettid")
    assert "__x64_sys_getpid" in only(alias.look(), "function_untraceable")["evidence"]


@pytest.mark.parametrize(
    "path, text, name",
    [
        (
            TRACING + "/enabled_functions",
            "__do_sys_getpid (1) R I  \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0xf0)",
            "function_held",
        ),
        (TRACING + "/enabled_functions", "__ia32_sys_getpid (1) R  \ttramp: 0x1 (x)", "function_traced"),
        (TRACING + "/enabled_functions", "__x64_sys_gettid (1) R I  \ttramp: 0x1 (x)", None),
        (DEBUGGING + "/kprobes/list", "ffffffff81f00009  k  __do_sys_getpid+0x9    ", "probe_bypassed"),
        ("proc/1/task/1/stack", "[<0>] __do_sys_getpid+0x1/0x2", "task_in_function"),
    ],
)
def test_what_is_on_a_function_is_found_by_any_name_of_its_address(alias, path, text, name):
    alias.kernel.text(path, text)
    assert ids(alias.look()) == ([name] if name else [])


def test_a_livepatch_that_changes_the_function_by_another_name_is_found(alias):
    alias.kernel.insert("below", transition=0)
    alias.kernel.directory("sys/kernel/livepatch/below/vmlinux/__do_sys_getpid,1")
    alias.put({None: [("__x64_sys_getpid", 0)]}, replace=False)
    assert "below" in only(alias.look(), "function_patched_already")["evidence"]


def test_without_addresses_it_is_left_open_whether_a_function_can_be_patched(alias):
    alias.kernel.text("proc/kallsyms", re.sub("(?m)^f{8}[0-9a-f]{8}", "0" * 16, ALIASES))
    assert "no addresses" in only(alias.look(), "not_checked")["evidence"]


# --- who holds it, in the words of 5.10 and 7.2


def test_the_livepatches_own_callback_is_never_in_the_way(host):
    held = "version_proc_show (1) R I     \ttramp: 0xffffffffc02cc000 (klp_ftrace_handler+0x0/0x1b0)"
    host.kernel.text(TRACING + "/enabled_functions", held)
    assert host.look()["findings"] == []


@pytest.mark.parametrize(
    "words, name",
    [
        (
            "(1) R I  \ttramp: 0xffffffffc0174000 (kprobe_ftrace_handler+0x0/0xf0) ->ftrace_ops_assist_func",
            "function_held",
        ),
        ("(1) R I     M \ttramp: 0xffffffffc04c1000 (kprobe_ftrace_handler+0x0/0x1f0)", "function_held"),
        (
            "(1) R I D\ttramp: ftrace_regs_caller+0x0/0x58 (call_direct_funcs+0x0/0x20)\n\tdirect-->bpf_trampoline_3_0",
            "function_held",
        ),
        ("(1) R   D   M \ttramp: ftrace_regs_caller+0x0/0x61\n\tdirect(jmp)-->bpf_trampoline_6", "function_traced"),
        ("(1) R    \ttramp: 0xffffffffc0015000 (kprobe_ftrace_handler+0x0/0xf0)", "function_traced"),
        ("(2)         M  ->arch_ftrace_ops_list_func+0x0/0x250", "function_traced"),
    ],
)
def test_a_function_that_only_one_may_hold_is_told_from_one_that_is_traced(host, words, name):
    others = "other_function (1) R I\nversion_proc_show [other] (1) R I"
    host.kernel.text(TRACING + "/enabled_functions", "%s\nversion_proc_show %s" % (others, words))
    result = host.look()
    assert ids(result) == [name] and result["ready"] is (name == "function_traced")
    assert words.split()[-1].strip("->") in result["findings"][0]["evidence"]


def test_which_of_several_functions_of_a_name_is_held_is_not_guessed(host):
    host.put({None: [("name_show", 2)]})
    host.kernel.text(TRACING + "/enabled_functions", "name_show (1) R I  \ttramp: 0x1 (kprobe_ftrace_handler+0x0/0xf0)")
    assert "several" in only(host.look(), "not_checked")["evidence"]


def test_what_would_be_replaced_is_no_warning_where_the_name_is_taken(host):
    host.kernel.text("proc/kallsyms", "ffffffff81e00000 t some_function\nffffffff81e00300 T __this_module")
    host.kernel.text(TRACING + "/available_filter_functions", "some_function")
    host.kernel.insert("old", transition=0)
    host.kernel.leave_inert("hotfix1", refcount=1)
    host.put({None: [("some_function", 0)]})
    only(host.look(), "unload_refused")
    host.put({None: [("some_function", 0)]}, replace=False)
    assert ids(host.look()) == ["unload_refused", "function_patched_already"]


@pytest.mark.parametrize(
    "line, found",
    [
        ("ffffffff8190e3e9  k  version_proc_show+0x9    [OPTIMIZED]", ["probe_bypassed"]),
        ("ffffffff8190e3e9  k  version_proc_show+0x9    ", ["probe_bypassed"]),
        ("ffffffff8190e3e9  k  version_proc_show+0x9    [DISABLED]", []),
        ("ffffffff8190e3e4  k  version_proc_show+0x4    [FTRACE]", []),
        ("ffffffffc0000009  k  version_proc_show+0x9  other [GONE]", []),
        ("ffffffffc0000009  k  version_proc_show+0x9  other  ", []),
        ("ffffffff8190e3e9  k  other_function+0x9    ", []),
    ],
)
def test_a_probe_inside_a_function_would_stay_silent(host, line, found):
    host.kernel.text(DEBUGGING + "/kprobes/list", line)
    assert ids(host.look()) == found


@pytest.mark.parametrize("path", ["enabled_functions", "available_filter_functions"])
def test_a_file_of_tracefs_that_is_not_there_is_told(host, path):
    os.unlink(os.path.join(host.root, TRACING, path))
    assert "tracefs" in only(host.look(), "not_checked")["evidence"]


def test_stacks_that_cannot_be_read_are_not_guessed(host):
    os.unlink(os.path.join(host.root, "proc/1/task/1/stack"))
    assert "stack" in only(host.look(), "not_checked")["evidence"]


def test_on_a_host_with_too_many_tasks_those_that_were_seen_count(host, monkeypatch):
    monkeypatch.setattr(host_checks, "_MOST_TASKS", 2)
    host.kernel.task(2, "cat", -1, "[<0>] version_proc_show+0x9/0x20")
    host.kernel.task(3, "cat", -1, "")
    assert ids(host.look()) == ["task_in_function", "not_checked"]


def test_looking_at_tasks_ends_after_some_seconds(host):
    times = iter([0.0, 1.0] + [99.0] * 10)
    host.kernel.task(2, "cat", -1, "[<0>] version_proc_show+0x9/0x20")
    result = host.look(now=lambda: next(times))
    assert ids(result) == ["not_checked"] and "too many tasks" in result["findings"][0]["evidence"]


# --- what is documented


def test_every_finding_is_documented_with_its_severity_in_the_module_and_on_the_page():
    page = open(os.path.join(ROOT, "docs/preflight.md")).read()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:`(\w+)`|-) \|", page, re.MULTILINE)
    table = [(name, kind.severity, kind.error or "") for name, kind in findings.KINDS.items()]
    assert sorted(rows) == sorted(table)
    for severity, title in (("error", "Errors"), ("warning", "Warnings"), ("info", "Information")):
        listed = re.search(r"B\(%s\)(.*?)\.\n" % title, livepatch_preflight.RETURN, re.DOTALL).group(1)
        assert set(re.findall(r"V\((\w+)\)", listed)) == {
            n for n, kind in findings.KINDS.items() if kind.severity == severity
        }

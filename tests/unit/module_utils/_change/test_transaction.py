# A release in one run: package, livepatch, copy and look; what scriptlets do to the kernel, and what must not stay.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._change import copies, host_lock, transaction
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading, run_files
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import package_manager
from tests.unit.fakes import elf
from tests.unit.fakes.rpm_host import NAME, PACKAGE_OPTIONS, PackageHost
from tests.unit.fakes.runs import begin, refusal as refusal_with, run as run_with

A, B, C = "aa" * 20, "bb" * 20, "cc" * 20
CODE = {"hotfix1": A, "hotfix2": B, "hotfix3": C}
COPY = "var/lib/livepatch/%s/%%s.ko" % elf.KERNEL


@pytest.fixture
def host(kernel, monkeypatch):
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"machine": "x86_64", "release": elf.KERNEL}))
    monkeypatch.setattr(package_manager, "require_space", lambda spec: None)
    kernel.text("etc/os-release", "ID=debian")
    return PackageHost(kernel, CODE)


def run(host, release, check_mode=False, **more):
    return run_with(host.kernel, check_mode, **host.options(release, **more))


def refusal(host, release, **more):
    return refusal_with(host.kernel, **host.options(release, **more))


def loads(host, transition=0, code=None):
    """A scriptlet that loads the livepatch of its package, as those of some vendors do."""
    host.scriptlet = lambda name: host.kernel.insert(name, (code or CODE)[name], transition=transition)


PREDICTED = (
    "changed",
    "diff",
    "replaced",
    "effective_release",
    "name",
    "before",
    "outcome",
    "package",
    "package_before",
)


@pytest.mark.parametrize("former", [None, "hotfix1"])
def test_one_run_installs_enables_proves_keeps_a_copy_and_looks(host, former):
    if former:
        run(host, former)
    predicted = run(host, "hotfix2", check_mode=True)
    assert predicted["health"] is None and host.installed == former
    real = run(host, "hotfix2")
    assert {key: predicted[key] for key in PREDICTED} == {key: real[key] for key in PREDICTED}
    assert real["changed"] and real["proven"] and real["outcome"] == "installed"
    assert real["package"] == NAME + "-hotfix2-1.x86_64"
    assert real["package_before"] == (former and "%s-%s-1.x86_64" % (NAME, former))
    assert real["before"]["enabled"] == former and real["replaced"] == ([former] if former else [])
    assert real["health"]["enabled"] == "hotfix2" and real["health"]["events"] == []
    with open(os.path.join(host.kernel.root, COPY % "hotfix2"), "rb") as stream:
        assert stream.read() == elf.module("hotfix2", B, replace=True)
    again = run(host, "hotfix2")
    assert not again["changed"] and again["proven"] and again["outcome"] == "already_installed"
    assert again["health"]["enabled"] == "hotfix2"
    assert again["diff"]["before"] == again["diff"]["after"] == real["diff"]["after"]
    assert not run(host, "hotfix2", check_mode=True)["changed"]


def test_a_release_without_a_build_leaves_the_host_as_it_is(host):
    run(host, "hotfix1")
    host.available = set()
    for check_mode in (True, False):
        result = run(host, "hotfix2", check_mode)
        assert (result["outcome"], result["changed"], result["proven"]) == ("not_applicable", False, False)
        assert result["effective_release"] == elf.KERNEL + "-hotfix1" and result["health"] is None
        assert result["diff"]["before"] == result["diff"]["after"]


def exactly(release, allow_downgrade=False):
    """The options that bring an exact package, by its release or as it is."""
    package = release if release.endswith(".x86_64") else "%s-%s-1.x86_64" % (NAME, release)
    return {"package": package, "install": True, "allow_downgrade": allow_downgrade}


def test_an_exact_package_is_brought_as_a_release_is(host):
    for check_mode, changed in ((True, True), (False, True), (False, False), (True, False)):
        result = run(host, None, check_mode, **exactly("hotfix2"))
        assert (result["changed"], result["package"]) == (changed, NAME + "-hotfix2-1.x86_64")
    assert result["proven"] and result["name"] == "hotfix2"


def test_a_newer_livepatch_that_runs_is_proven_and_stays(host):
    run(host, "hotfix3")
    for check_mode in (True, False):
        result = run(host, None, check_mode, **exactly("hotfix2"))
        assert (result["outcome"], result["changed"], result["proven"]) == ("already", False, True)
        assert (result["name"], result["package"]) == ("hotfix3", NAME + "-hotfix3-1.x86_64")
        assert result["package_before"] == result["package"] and "is newer" in result["msg"]
        assert result["diff"]["before"] == result["diff"]["after"]
        assert check_mode or result["health"]["enabled"] == "hotfix3"


def test_a_newer_package_whose_livepatch_does_not_run_stays_and_is_not_brought_in(host):
    run(host, "hotfix1")
    host.place("hotfix3")
    result = run(host, None, **exactly("hotfix2"))
    assert (result["outcome"], result["changed"], result["proven"], result["name"]) == ("already", False, False, None)
    assert result["effective_release"] == elf.KERNEL + "-hotfix1" and result["health"]["enabled"] == "hotfix1"


def test_an_exact_package_that_is_gone_or_for_another_kernel_leaves_the_host_as_it_is(host):
    run(host, "hotfix1")
    for package, code in (("hotfix9", "package_gone"), ("klp-5.10.0-1-amd64-hotfix2-1.x86_64", "other_kernel")):
        error = refusal(host, None, **exactly(package))
        assert (error.code, error.details["changed"], host.installed) == (code, False, "hotfix1")
        assert error.details["effective_release"] == elf.KERNEL + "-hotfix1"
    assert error.details["health"] is None


def test_going_back_to_an_exact_package_is_asked_for(host):
    run(host, "hotfix3")
    result = run(host, None, **exactly("hotfix1", allow_downgrade=True))
    assert (result["outcome"], result["name"], result["proven"]) == ("installed", "hotfix1", True)


def test_what_a_run_that_was_killed_has_brought_is_told_though_no_repository_has_its_package_any_more(host):
    run(host, "hotfix1")
    killed = begin(host.kernel, **host.options("hotfix2"))

    def dies(name):
        host.kernel.insert(name, CODE[name])
        raise KeyboardInterrupt

    host.scriptlet = dies
    removed = transaction.run_files.remove
    transaction.run_files.remove = lambda root, name: None  # It was killed: nothing puts things right behind it.
    try:
        with pytest.raises(KeyboardInterrupt):
            killed.execute()
    finally:
        transaction.run_files.remove = removed
    host.scriptlet, host.available, host.installed = None, set(), None
    result = run(host, "hotfix2")
    assert (result["outcome"], result["before"]["enabled"], result["changed"]) == ("not_applicable", "hotfix1", True)
    assert result["effective_release"] == elf.KERNEL + "-hotfix2" and result["health"]["enabled"] == "hotfix2"
    assert run(host, "hotfix2")["health"] is None, "that run is over"


@pytest.mark.parametrize("transition", [0, 1])
def test_what_ran_before_and_where_the_log_stood_is_known_from_before_the_package_manager_ran(host, transition):
    kernel = host.kernel
    run(host, "hotfix1")

    def scriptlet(name):
        kernel.insert(name, CODE[name], transition=transition)
        kernel.log.append("WARNING: CPU: 0 PID: 1 at lab.c:1 lab_warn+0x1/0x2 [hotfix2]")
        kernel.log.append("------------[ cut here ]------------")

    host.scriptlet = scriptlet
    stood = len(kernel.log)
    result = run(host, "hotfix2")
    assert result["changed"] and result["proven"] and result["replaced"] == ["hotfix1"]
    assert result["before"]["enabled"] == "hotfix1" and result["diff"]["before"]["enabled"] == ["hotfix1"]
    assert result["since"]["sequence"] == stood and "load hotfix2" not in kernel.events
    assert [event["new"] for event in result["health"]["events"]] == [True]
    assert copies.path(kernel.root, elf.KERNEL, "hotfix2") and "hotfix1" not in kernel.modules


def test_a_pending_transition_of_others_ends_before_the_package_manager_runs(host):
    kernel = host.kernel
    kernel.insert("addon_a", A, replace=False)
    loads(host)
    result = run(host, "hotfix2")
    assert result["before"]["enabled"] == "addon_a" and result["replaced"] == ["addon_a"]


def test_a_transition_of_others_that_does_not_end_keeps_the_package_manager_out(host):
    host.kernel.takes = None
    host.kernel.insert("addon_a", A, replace=False)
    error = refusal(host, "hotfix2")
    assert error.code == "busy" and host.installed is None and not error.details["changed"]


def test_what_a_scriptlet_is_just_giving_up_is_turned_round(host):
    def scriptlet(name):
        host.kernel.insert(name, CODE[name], transition=1)
        host.kernel.write(host.kernel.root + "/sys/kernel/livepatch/%s/enabled" % name, "0")

    host.scriptlet = scriptlet
    result = run(host, "hotfix2")
    assert result["proven"] and result["diff"]["after"]["enabled"] == ["hotfix2"]
    assert "load hotfix2" not in host.kernel.events


@pytest.mark.parametrize("trouble", [None, "Error: Transaction failed\n"])
def test_what_a_package_tells_the_next_boot_is_held_back_around_every_run_of_the_package_manager(host, trouble):
    events = []

    class Holding(object):
        def begin(self):
            events.append("begin")

        def end(self):
            events.append("end")

    host.scriptlet = lambda name: events.append("scriptlet")
    host.trouble = trouble
    options = host.options("hotfix2", hold=lambda warnings, root: Holding())
    if trouble:
        refusal_with(host.kernel, **options)
        assert events == ["begin", "end"]
        return
    run_with(host.kernel, False, **options)
    assert events == ["begin", "scriptlet", "end"]
    run_with(host.kernel, False, **options)
    assert len(events) == 3, "what is installed already has nothing to tell"


def test_what_a_scriptlet_has_loaded_and_cannot_be_proven_is_taken_out_again(host):
    run(host, "hotfix1")
    loads(host, code=dict(CODE, hotfix2=C))
    error = refusal(host, "hotfix2")
    assert error.code == "other_code" and "hotfix1 brought back" in error.message
    assert error.details["diff"]["after"] == {"enabled": ["hotfix1"], "inert": []}
    assert error.details["changed"] and error.details["outcome"] == "installed"


def test_what_a_scriptlet_has_loaded_of_a_package_that_is_refused_is_taken_out_again(host):
    host.verification = "S.5....T.    /x/hotfix2.ko\n"
    loads(host, transition=1)
    error = refusal(host, "hotfix2")
    assert error.code == "modified_files" and "hotfix2 came with the package" in error.message
    assert error.details["before"]["enabled"] is None
    assert error.details["package_before"] is None and error.details["changed"]
    assert host.kernel.patches == {}


def test_what_a_scriptlet_has_loaded_and_must_not_replace_is_taken_out_again(host):
    run(host, "hotfix1")
    loads(host)
    error = refusal(host, "hotfix2", replaces=[])
    assert error.code == "replaces_others" and "hotfix1 brought back" in error.message
    assert list(host.kernel.patches) == ["hotfix1"]


def test_a_package_with_several_livepatches_is_refused_by_name(host):
    host.files.append(os.path.join(host.kernel.root, host.directory, "{release}-2.ko"))
    error = refusal(host, "hotfix2")
    assert error.code == "unsupported" and "hotfix2-2.ko" in error.message
    assert host.kernel.patches == {}


def test_an_upgrade_that_deletes_the_former_file_leaves_a_way_back(host, monkeypatch):
    kernel = host.kernel
    run(host, "hotfix1")
    insert = kernel.insert
    monkeypatch.setattr(kernel, "insert", lambda name, code, replace: insert(name, C if name == "hotfix2" else code))
    error = refusal(host, "hotfix2")
    assert error.code == "not_proven" and "hotfix1 brought back" in error.message
    assert error.details["diff"]["after"]["enabled"] == ["hotfix1"]
    assert sysfs_build_id(kernel, "hotfix1") == A


def sysfs_build_id(kernel, name):
    return kernel.modules[name]["build_id"]


def test_a_livepatch_whose_package_has_gone_is_enabled_by_name_from_the_copy(host):
    run(host, "hotfix1")
    os.unlink(os.path.join(host.kernel.root, host.directory, "hotfix1.ko"))
    assert run_with(host.kernel, name="hotfix1")["proven"]


def test_copies_that_nothing_names_are_deleted(host):
    root = host.kernel.root

    def kept():
        return sorted(os.listdir(os.path.join(root, "var/lib/livepatch", elf.KERNEL)))

    run(host, "hotfix1")
    host.kernel.data("var/lib/livepatch/6.1.0-1-amd64/old.ko", b"x")
    host.kernel.data("var/lib/livepatch/6.1.0-2-amd64/recorded.ko", b"x")
    host.kernel.text("etc/livepatch/boot.d/6.1.0-2-amd64", "path=/var/lib/livepatch/6.1.0-2-amd64/recorded.ko")
    host.kernel.text("var/lib/livepatch/boot/" + elf.KERNEL, "boots=0")
    run(host, "hotfix2")
    assert kept() == ["hotfix1.ko", "hotfix2.ko"], "the one that was replaced is the way back"
    run(host, "hotfix3")
    assert kept() == ["hotfix2.ko", "hotfix3.ko"]
    assert sorted(os.listdir(os.path.join(root, "var/lib/livepatch"))) == ["6.1.0-2-amd64", elf.KERNEL, "boot"]
    host.kernel.text("var/lib/livepatch/%s/journal.jsonl" % elf.KERNEL, "{}")
    run_with(host.kernel, all=True, state="absent")
    assert kept() == ["journal.jsonl"], "what is no copy is somebody else's"
    os.unlink(os.path.join(root, "var/lib/livepatch", elf.KERNEL, "journal.jsonl"))
    run(host, "hotfix3")
    run_with(host.kernel, all=True, state="absent")
    assert sorted(os.listdir(os.path.join(root, "var/lib/livepatch"))) == ["6.1.0-2-amd64", "boot"]


def full(monkeypatch):
    def write(place, data, *options, real=copies.writing.write):
        if place.endswith(".ko.new"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(place, data, *options)

    monkeypatch.setattr(copies.writing, "write", write)


def test_a_full_disk_is_met_before_the_kernel_is_changed(host, monkeypatch):
    run(host, "hotfix1")
    full(monkeypatch)
    events = list(host.kernel.events)
    error = refusal(host, "hotfix2")
    assert error.code == "disk_full" and "No space left" in error.message
    assert host.kernel.events == events and list(host.kernel.patches) == ["hotfix1"]


def test_what_a_scriptlet_has_loaded_goes_where_the_disk_is_full(host, monkeypatch):
    run(host, "hotfix1")
    loads(host)
    full(monkeypatch)
    error = refusal(host, "hotfix2")
    assert error.code == "disk_full" and "hotfix1 brought back" in error.message
    assert list(host.kernel.patches) == ["hotfix1"]


def test_a_disk_that_is_nearly_full_is_met_before_the_package_manager_runs(host, monkeypatch):
    nearly = type("Statvfs", (), {"f_bavail": 1, "f_frsize": 4096})
    monkeypatch.setattr("os.statvfs", lambda path: nearly)
    error = refusal(host, "hotfix2")
    assert error.code == "disk_full" and host.ran("dnf") == [] and not error.details["changed"]


def test_a_copy_that_others_could_change_is_refused(host):
    os.makedirs(os.path.join(host.kernel.root, "var/lib/livepatch", elf.KERNEL))
    os.chmod(os.path.join(host.kernel.root, "var/lib/livepatch", elf.KERNEL), 0o777)
    error = refusal(host, "hotfix1")
    assert error.code == "write_failed" and host.kernel.patches == {}


def test_a_run_that_had_nothing_to_do_makes_up_for_a_missing_copy_or_says_why_not(host, monkeypatch):
    run(host, "hotfix1")
    os.unlink(os.path.join(host.kernel.root, COPY % "hotfix1"))
    assert not run(host, "hotfix1")["changed"]
    assert os.path.exists(os.path.join(host.kernel.root, COPY % "hotfix1"))
    os.unlink(os.path.join(host.kernel.root, COPY % "hotfix1"))
    full(monkeypatch)
    started = begin(host.kernel, **host.options("hotfix1"))
    assert started.execute()["proven"] and "No space left" in started.warnings[0]


def test_a_package_by_its_exact_name_can_be_installed_too(host):
    run(host, "hotfix2")
    former = NAME + "-hotfix1-1.x86_64"
    host.available = {"hotfix1-1.x86_64", "hotfix1"}
    host._release = lambda spec: "hotfix1"
    result = run(host, None, package=former, install=True)
    assert result["outcome"] == "installed" and result["proven"] and result["replaced"] == ["hotfix2"]


@pytest.mark.parametrize(
    "options",
    [
        {"release": "hotfix1", "state": "absent"},
        {"release": "hotfix1", "state": "disabled"},
        {"name": "hotfix1", "install": True},
        {"release": "hotfix1", "package_timeout": 0},
        {"release": "../x"},
    ],
)
def test_options_that_do_not_go_together_are_refused(host, options):
    options = dict(PACKAGE_OPTIONS, run_command=host.run, find=host.find, **options)
    assert refusal_with(host.kernel, **options).code in ("bad_option", "bad_name")
    assert host.ran("dnf") == []


def test_a_failure_of_the_package_manager_is_told_with_its_own_code(host):
    host.down = True
    error = refusal(host, "hotfix1")
    assert error.code == "repository_unavailable" and not error.details["changed"]


def test_a_user_who_is_not_root_learns_it_before_the_package_manager_runs(host, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert refusal(host, "hotfix1").code == "not_permitted" and host.ran("dnf") == []


def test_a_look_that_cannot_be_had_is_no_failure_of_the_change(host):
    host.kernel.text("etc/os-release", "ID=debian")
    started = begin(host.kernel, **host.options("hotfix1"))
    started.log = type("Log", (), {"position": host.kernel.position, "lines_since": host.kernel.lines_since})()
    read = reading.LivepatchError("unreadable", "expected x, found y")

    def fails(sequence):
        raise read

    started.log.read = fails
    result = started.execute()
    assert result["proven"] and result["health"] is None and "found y" in started.warnings[-1]


def test_a_way_back_while_the_release_is_in_transition_for_ever_turns_that_round(host):
    kernel = host.kernel
    run(host, "hotfix1")
    os.unlink(os.path.join(kernel.root, host.directory, "hotfix1.ko"))
    host.place("hotfix2")
    kernel.takes, kernel.time = None, 0.0
    kernel.insert("hotfix2", B)
    result = run(host, "hotfix1")
    assert host.installed == "hotfix1" and result["proven"] and kernel.time < 10
    assert result["diff"]["after"] == {"enabled": ["hotfix1"], "inert": [], "package": NAME + "-hotfix1-1.x86_64"}


def killed(host, release, monkeypatch, after):
    """A run for a release that is killed when a kernel's or package manager's call with this name has returned."""

    class Killed(BaseException):
        pass

    place = host if after == "run" else host.kernel
    known = getattr(place, after)

    def call(*arguments, **options):
        found = known(*arguments, **options)
        if after != "run" or "install" in arguments[0]:
            raise Killed()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(place, after, call)
        patched.setattr(run_files, "remove", lambda root, name: None)
        with pytest.raises(Killed):
            run(host, release)
    assert os.path.exists(os.path.join(host.kernel.root, "run/livepatch/begun.json"))


@pytest.mark.parametrize("after", ["run", "load"])
def test_a_run_after_one_that_was_killed_tells_of_the_package_that_was_there_before_too(host, monkeypatch, after):
    run(host, "hotfix1")
    killed(host, "hotfix2", monkeypatch, after)
    for check_mode in (True, False):
        result = run(host, "hotfix2", check_mode)
        assert result["package_before"] == NAME + "-hotfix1-1.x86_64" and result["changed"]
        assert result["diff"]["before"]["package"] == result["package_before"]
        assert result["diff"]["after"]["package"] == result["package"] == NAME + "-hotfix2-1.x86_64"
        assert result["before"]["enabled"] == "hotfix1"
    assert run(host, "hotfix2")["package_before"] == NAME + "-hotfix2-1.x86_64"


def test_what_a_killed_run_began_with_is_forgotten_when_another_run_changes_the_host(host, monkeypatch):
    run(host, "hotfix1")
    killed(host, "hotfix2", monkeypatch, "load")
    run_with(host.kernel, all=True, state="absent")
    assert run(host, "hotfix2")["before"]["enabled"] is None


def test_what_a_killed_run_began_with_is_not_believed_where_somebody_has_taken_all_of_it_out(host, monkeypatch):
    run(host, "hotfix1")
    killed(host, "hotfix2", monkeypatch, "load")
    host.kernel.sleep(2)
    host.kernel.write("x/hotfix2/enabled", "0")
    host.kernel.sleep(2)
    for name in ("hotfix1", "hotfix2"):
        host.kernel.unload(name)
    result = run(host, "hotfix2")
    assert result["before"]["enabled"] is None and result["since"]["sequence"] == len(host.kernel.log)


def test_a_run_that_finds_the_host_locked_leaves_what_the_other_one_began_with(host, monkeypatch):
    run(host, "hotfix1")
    killed(host, "hotfix2", monkeypatch, "run")
    with host_lock.HostLock(host.kernel.root, "the first", 0, host.kernel):
        assert refusal(host, "hotfix2").code == "locked"
    assert run(host, "hotfix2")["package_before"] == NAME + "-hotfix1-1.x86_64"


@pytest.mark.parametrize("former", [None, "hotfix1"])
@pytest.mark.parametrize("code, text", [(1, "Error: Transaction failed\n"), (124, ""), (-9, "")])
def test_a_package_manager_that_fails_after_it_has_installed_the_package_has_changed_the_host(host, former, code, text):
    if former:
        run(host, former)
    loads(host)
    answer = host.run

    def fails(command, **options):
        found = answer(command, **options)
        return (code, "", text) if "install" in command else found

    host.run = fails
    error = refusal(host, "hotfix2")
    assert error.code == "package_failed" and error.details["changed"] and error.details["outcome"] == "installed"
    assert error.details["package"] == NAME + "-hotfix2-1.x86_64"
    assert error.details["package_before"] == (former and "%s-%s-1.x86_64" % (NAME, former))
    assert list(host.kernel.patches) == ([former] if former else []), error.message


def test_a_package_manager_that_fails_before_it_has_changed_anything_has_not(host):
    run(host, "hotfix1")
    host.trouble = "Error: Error in PREIN scriptlet\n"
    error = refusal(host, "hotfix2")
    assert not error.details["changed"] and error.details["outcome"] is None and error.details["package"] is None
    assert error.details["package_before"] == NAME + "-hotfix1-1.x86_64"


def test_what_runs_is_copied_before_an_upgrade_deletes_its_file_also_where_others_have_brought_it(host):
    host.place("hotfix1")
    host.kernel.insert("hotfix1", A, transition=0)
    loads(host)
    error = refusal(host, "hotfix2", replaces=[])
    assert error.code == "replaces_others" and "hotfix1 brought back" in error.message
    assert list(host.kernel.patches) == ["hotfix1"]


def test_what_runs_and_could_not_be_brought_back_is_said_before_it_is_replaced(host):
    host.kernel.insert("by_hand", A, transition=0)
    started = begin(host.kernel, **host.options("hotfix2"))
    assert started.execute()["replaced"] == ["by_hand"]
    assert "by_hand" in started.warnings[0] and "could not be brought back" in started.warnings[0]


def test_a_disk_too_full_for_the_copy_of_what_runs_is_met_before_the_package_manager_runs(host, monkeypatch):
    host.place("hotfix1")
    host.kernel.insert("hotfix1", A, transition=0)
    full(monkeypatch)
    error = refusal(host, "hotfix2")
    assert error.code == "disk_full" and host.ran("dnf") == [] and not error.details["changed"]


@pytest.mark.parametrize("code", [B, C])
def test_a_scriptlet_that_goes_on_by_itself_and_loads_the_livepatch_at_the_same_moment_is_no_failure(
    host, monkeypatch, code
):
    run(host, "hotfix1")
    kernel = host.kernel

    def load(path, image, packed):
        kernel.insert("hotfix2", code)
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))

    with monkeypatch.context() as patched:
        patched.setattr(kernel, "load", load)
        if code == C:
            assert refusal(host, "hotfix2").code == "busy"
            return
        result = run(host, "hotfix2")
    assert result["proven"] and result["replaced"] == ["hotfix1"] and result["diff"]["after"]["enabled"] == ["hotfix2"]


def test_what_a_scriptlet_brings_besides_and_must_not_be_replaced_is_said_without_calling_it_no_change(host):
    run(host, "hotfix1")
    host.scriptlet = lambda name: host.kernel.insert("addon_a", C, replace=False, transition=0)
    error = refusal(host, "hotfix2", replaces=["hotfix1"])
    assert error.code == "replaces_others" and "Nothing was changed" not in error.message and error.details["changed"]
    assert "It was not loaded" in error.message and list(host.kernel.patches) == ["hotfix1"]

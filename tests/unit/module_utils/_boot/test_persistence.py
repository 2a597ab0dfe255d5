# Making a livepatch persistent: what is written, what is refused, and what is taken back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import stat

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._boot import boot_record, hold, persistence
from ansible_collections.kernel.livepatch.plugins.module_utils._files import etc, writing
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts
from tests.unit.fakes import elf
from tests.unit.fakes.elf import KERNEL
from tests.unit.fakes.runs import run
from tests.unit.fakes.systemd import SystemdHost

OTHER = "6.12.107+deb13-amd64"
FILE = "/lib/modules/%s/livepatch/%s.ko"
LINK = "etc/systemd/system/sysinit.target.wants/livepatch-boot.service"
COPY = "var/lib/livepatch/%s/hotfix1.ko" % KERNEL
INSTALLED = [
    COPY,
    "etc/livepatch/boot.d/" + KERNEL,
    "etc/livepatch/boot.sh",
    "etc/systemd/system/livepatch-boot-survived.service",
    "etc/systemd/system/livepatch-boot-survived.timer",
    "etc/systemd/system/livepatch-boot.service",
]


class Host(SystemdHost):
    """A host with systemd that runs hotfix1."""

    links = [LINK]

    def __init__(self, root):
        super(Host, self).__init__(root)
        self.install("hotfix1")
        self.insert("hotfix1", transition=0)

    def install(self, name, kernel=KERNEL, **options):
        return self.data(FILE[1:] % (kernel, name), elf.module(name=name, kernel=kernel, **options))

    def persist(self, check_mode=False, **options):
        params = dict(
            {"state": "present", "name": None, "path": None, "package": None, "instead_of": None, "guard_minutes": 10},
            clear_guard=False,
        )
        run = persistence.Run(dict(params, **options), self.run_command, check_mode, self.root)
        result = run.execute()
        self.warnings = run.warnings
        return result

    def refused(self, **options):
        with pytest.raises(LivepatchError) as caught:
            self.persist(**options)
        return caught.value.code, caught.value.message

    def files(self):
        found = []
        for parent, dummy, names in os.walk(self.root):
            here = os.path.relpath(parent, self.root)
            found += [os.path.join(here, name) for name in names if here.startswith(("etc/", "var/"))]
        return sorted(found)

    def record_other(self, name="hotfix1"):
        record = {"name": name, "kernel": OTHER, "path": "/x.ko", "sha256": "0", "build_id": "", "depends": ""}
        self.text("etc/livepatch/boot.d/" + OTHER, persistence.rendered(record))

    def status(self, **fields):
        self.text("run/livepatch/boot", "\n".join("%s=%s" % item for item in sorted(fields.items())))

    def kpatch(self, name="hotfix1"):
        self.data("var/lib/kpatch/%s/%s.ko" % (KERNEL, name), elf.module(name=name))
        self.directory("etc/systemd/system/multi-user.target.wants")
        self.text("etc/systemd/system/multi-user.target.wants/kpatch.service", "")
        self.directory("usr/lib/systemd/system")
        self.text("usr/lib/systemd/system/kpatch.service", "[Service]")


@pytest.fixture
def host(tmp_path):
    old = os.umask(0o077)
    yield Host(tmp_path)
    os.umask(old)


def test_check_real_again_and_again_in_check(host):
    predicted = host.persist(check_mode=True)
    assert predicted["changed"] and host.files() == [] and host.commands == []
    done = host.persist()
    assert done["changed"] and done["diff"] == predicted["diff"]
    assert done["name"] == "hotfix1" and done["by"] == "livepatch-boot.service"
    assert host.files() == sorted(INSTALLED + [LINK])
    assert host.commands == [["enable", "livepatch-boot.service"]]
    for check_mode in (False, True):
        again = host.persist(check_mode=check_mode)
        assert not again["changed"] and again["diff"]["before"] == again["diff"]["after"]
    assert len(host.commands) == 1, "nothing to do costs no process"


def test_the_diff_names_the_livepatch_the_service_and_every_file(host):
    diff = host.persist()["diff"]
    kept = {"name": "hotfix1", "path": "/" + COPY, "build_id": "11" * 20}
    assert diff["before"] == {
        "livepatches": {},
        "service": "absent",
        "files": {"/" + path: "absent" for path in INSTALLED + [boot_record.STATUS]},
    }
    assert diff["after"] == {
        "livepatches": {KERNEL: kept},
        "service": "enabled",
        "files": {"/" + path: "as wanted" for path in INSTALLED + [boot_record.STATUS]},
    }


def test_taking_it_back_leaves_nothing_and_is_a_quartet_too(host):
    host.persist()
    host.text("var/lib/livepatch/boot/" + KERNEL, "boots=1")
    predicted = host.persist(state="absent", check_mode=True)
    assert predicted["changed"] and len(host.files()) == 8
    done = host.persist(state="absent")
    assert done["changed"] and done["diff"] == predicted["diff"] and done["name"] is None and done["by"] is None
    assert host.files() == [COPY], "what runs keeps its copy"
    assert host.commands[1:] == [
        ["disable", "--now", "livepatch-boot.service"],
        ["daemon-reload"],
        ["reset-failed", "livepatch-boot.service"],
    ]
    for check_mode in (False, True):
        again = host.persist(state="absent", check_mode=check_mode)
        assert not again["changed"] and again["diff"]["before"] == again["diff"]["after"]


def test_whatever_the_umask_anybody_may_read_and_only_root_may_write(host):
    host.persist()
    for path in INSTALLED:
        assert stat.S_IMODE(os.stat(os.path.join(host.root, path)).st_mode) == 0o644
        assert stat.S_IMODE(os.stat(os.path.join(host.root, os.path.dirname(path))).st_mode) & 0o022 == 0
    assert stat.S_IMODE(os.stat(os.path.join(host.root, "etc/livepatch/boot.d")).st_mode) == 0o755


@pytest.mark.parametrize("path", INSTALLED)
def test_a_file_that_somebody_changed_or_opened_to_others_is_put_right(host, path):
    host.persist()
    place = os.path.join(host.root, path)
    os.chmod(place, 0o666)
    assert host.persist()["changed"] and stat.S_IMODE(os.stat(place).st_mode) == 0o644
    host.text(path, "something else")
    result = host.persist()
    assert result["diff"]["before"]["files"]["/" + path] == "other content" and result["changed"]
    os.rename(place, place + ".real")
    os.symlink(place + ".real", place)
    assert host.persist()["changed"] and not os.path.islink(place)


@pytest.mark.parametrize("path", INSTALLED)
def test_a_file_that_belongs_to_somebody_else_is_put_right(host, path, monkeypatch):
    host.persist()
    place = os.path.join(host.root, path)

    def with_owner(status_of):
        def status(name, **options):
            found = status_of(name, **options)
            return os.stat_result(list(found[:4]) + [1000] + list(found[5:])) if name == place else found

        return status

    for name in ("stat", "lstat"):
        monkeypatch.setattr(etc.os, name, with_owner(getattr(os, name)))
    result = host.persist(check_mode=True)
    assert result["changed"] and result["diff"]["before"]["files"] == {"/" + path: "other owner or mode"}


@pytest.mark.parametrize(
    "path", ["etc/livepatch", "etc/livepatch/boot.d", "etc/systemd/system", "var/lib/livepatch/boot"]
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_directory_that_others_can_write_to_is_refused(host, path, check_mode):
    host.persist()
    host.directory(path)
    os.chmod(os.path.join(host.root, path), 0o777)
    code, message = host.refused(check_mode=check_mode)
    assert code == "insecure_path" and "%s with owner" % path in message


def test_of_what_a_link_leads_to_the_hosts_own_copy_is_recorded_and_not_the_link(host):
    os.makedirs(os.path.join(host.root, "home/deploy"))
    os.chmod(os.path.join(host.root, "home/deploy"), 0o777)
    link = os.path.join(host.root, "home/deploy/current.ko")
    os.symlink(host.root + FILE % (KERNEL, "hotfix1"), link)
    host.persist(path=link)
    assert boot_record.read_record(host.root, KERNEL)["path"] == "/var/lib/livepatch/%s/hotfix1.ko" % KERNEL
    assert not os.path.islink(host.root + boot_record.read_record(host.root, KERNEL)["path"])


def test_of_livepatches_that_lie_on_each_other_those_that_are_not_kept_are_named(host):
    host.persist()
    assert host.warnings == []
    host.install("hotfix2", build_id="22" * 20)
    host.insert("hotfix2", build_id="22" * 20, replace=False, transition=0)
    host.persist()
    assert len(host.warnings) == 1 and "only hotfix2 is kept over reboots, hotfix1 not" in host.warnings[0]
    host.kpatch("hotfix1")
    host.persist(check_mode=True)
    assert host.warnings == [], "kpatch.service loads all that lie in its directory"


def test_what_made_boots_uncountable_is_forgotten_when_it_is_asked_for_again(host):
    host.persist()
    host.text("etc/livepatch/unguarded", "reason=r")
    host.status(state="unguarded", sha256=boot_record.read_record(host.root, KERNEL)["sha256"], boots=0, reason="r")
    result = host.persist()
    assert (
        result["changed"] and result["boot_guard"]["state"] == "waiting" and host.files() == sorted(INSTALLED + [LINK])
    )
    assert not host.persist()["changed"]


def test_changed_units_are_read_anew(host):
    host.persist()
    assert host.persist(guard_minutes=3)["changed"]
    assert host.commands[-1] == ["daemon-reload"]
    timer = boot_record.contents(3)["etc/systemd/system/livepatch-boot-survived.timer"]
    assert "OnActiveSec=3min" in timer and "@" not in "".join(boot_record.contents(3).values()).replace('"$@"', "")


def test_the_record_says_what_the_program_needs(host):
    host.persist()
    record = boot_record.read_record(host.root, KERNEL)
    assert record["name"] == "hotfix1" and record["path"] == "/" + COPY
    assert record["build_id"] == "11" * 20 and len(record["sha256"]) == 64 and record["depends"] == ""


def test_what_does_not_run_does_not_become_persistent(host):
    host.install("hotfix2")
    code, message = host.refused(name="hotfix2")
    assert code == "not_enabled" and "hotfix2" in message and "found hotfix1" in message
    host.write("hotfix1/enabled", "0")
    assert host.refused()[0] == "not_enabled", "a transition is not over"
    host.sleep(2)
    code, message = host.refused()
    assert code == "not_enabled" and "found none" in message


def test_other_code_under_the_same_name_does_not_become_persistent(host):
    host.install("hotfix1", build_id="22" * 20)
    code, message = host.refused()
    assert code == "other_code" and "11" * 20 in message and "22" * 20 in message


@pytest.mark.parametrize(
    "options, code, words",
    [
        ({"livepatch": False}, "not_a_livepatch", "ordinary module"),
        ({"kernel": OTHER}, "vermagic", OTHER),
        ({"name": "not a name"}, "bad_name", "not a name"),
    ],
)
def test_a_file_that_this_kernel_must_not_load_is_refused(host, options, code, words):
    path = host.data("root/x.ko", elf.module(**options))
    found, message = host.refused(path=path)
    assert found == code and words in message


@pytest.mark.parametrize("place", ["root/open/x.ko", "root/open"])
def test_a_file_that_others_could_change_is_refused(host, place):
    path = host.data("root/open/x.ko", elf.module())
    os.chmod(os.path.join(host.root, place), 0o777)
    code, message = host.refused(path=path)
    assert code == "insecure_path" and "0777" in message


@pytest.mark.parametrize("name", ["x\nname=evil.ko", "x\udcff.ko"])
def test_what_a_file_is_called_never_reaches_the_record(host, name):
    host.persist(path=host.data("root/" + name, elf.module()))
    assert boot_record.read_record(host.root, KERNEL)["path"] == "/" + COPY


def test_an_upgrade_that_deletes_the_file_changes_nothing_about_the_next_boot(host):
    host.persist()
    os.unlink(host.root + FILE % (KERNEL, "hotfix1"))
    again = host.persist()
    assert not again["changed"] and again["name"] == "hotfix1"
    with open(os.path.join(host.root, COPY), "rb") as stream:
        assert stream.read() == elf.module()


def test_the_copy_of_what_is_recorded_outlives_other_livepatches(host):
    host.persist()
    host.install("hotfix2", build_id="22" * 20, replace=True)
    host.install("hotfix3", build_id="33" * 20, replace=True)
    for name in ("hotfix2", "hotfix3"):
        assert run(host, name=name)["proven"]
    assert os.path.exists(os.path.join(host.root, COPY))
    host.persist(state="absent")
    assert run(host, name="hotfix2")["replaced"] == ["hotfix3"]
    assert not os.path.exists(os.path.join(host.root, COPY))


def test_what_was_replaced_can_be_gone_back_to_after_its_successor_has_become_persistent(host):
    host.persist()
    host.install("hotfix2", build_id="22" * 20, replace=True)
    assert run(host, name="hotfix2")["replaced"] == ["hotfix1"]
    assert host.persist(name="hotfix2")["changed"]
    os.unlink(host.root + "/lib/modules/%s/livepatch/hotfix1.ko" % KERNEL)  # its package is upgraded
    assert run(host, name="hotfix1")["proven"]


@pytest.mark.parametrize("harm", ["disabled", "masked", "without a unit", "without its program"])
def test_what_no_boot_starts_is_not_persistent(host, harm):
    host.persist()
    assert kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"] is True
    unit = os.path.join(host.root, boot_record.UNITS, boot_record.SERVICE)
    lost = {"disabled": boot_record.WANTS + "/" + boot_record.SERVICE, "without its program": boot_record.PROGRAM}
    os.unlink(os.path.join(host.root, lost[harm]) if harm in lost else unit)
    if harm == "masked":
        os.symlink("/dev/null", unit)
    assert kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"] is False
    assert host.persist()["changed"] and kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"] is True


def test_a_livepatch_without_a_file_is_not_found(host):
    os.unlink(host.root + FILE % (KERNEL, "hotfix1"))
    assert host.refused()[0] == "not_found"


def test_without_systemd_there_is_a_clear_error_and_nothing_to_take_back(host):
    os.rmdir(os.path.join(host.root, "run/systemd/system"))
    code, message = host.refused()
    assert code == "no_systemd" and "systemd" in message and host.files() == []
    assert host.persist(state="absent")["changed"] is False


def test_a_systemctl_that_fails_is_quoted(host):
    host.refuses = (1, "", "Failed to enable unit: it is masked\n")
    code, message = host.refused()
    assert code == "systemctl_failed" and "it is masked" in message


def test_what_cannot_be_written_is_named(host, monkeypatch):
    def write(root, path, text):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(etc, "write", write)
    code, message = host.refused()
    assert code == "write_failed" and "Read-only file system" in message and "/etc/livepatch/boot.sh" in message


def test_each_kernel_keeps_its_own_record(host):
    host.record_other("hotfix9")
    result = host.persist()
    assert {kernel: entry["name"] for kernel, entry in result["livepatches"].items()} == {
        KERNEL: "hotfix1",
        OTHER: "hotfix9",
    }
    assert host.persist(state="absent", name="hotfix1")["name"] is None
    assert list(boot_record.read_records(host.root)) == [OTHER]
    assert os.path.lexists(os.path.join(host.root, LINK)), "the other kernel still needs the service"
    assert host.persist(state="absent", name="hotfix9")["changed"] and host.files() == [COPY], "it runs"


def test_a_rollback_takes_the_record_back_to_what_is_gone_back_to(host):
    host.persist()
    host.record_other("hotfix1")
    former = host.install("hotfix0", build_id="33" * 20)
    predicted = host.persist(path=former, instead_of="hotfix1", check_mode=True)
    done = host.persist(path=former, instead_of="hotfix1")
    assert done["changed"] and done["name"] == "hotfix0" and done["diff"] == predicted["diff"]
    assert list(boot_record.read_records(host.root)) == [KERNEL], "another kernel does not keep it either"
    assert not host.persist(path=former, instead_of="hotfix1")["changed"]


def test_a_rollback_makes_nothing_persistent_that_was_not(host):
    former = host.install("hotfix0")
    assert not host.persist(path=former, instead_of="hotfix1")["changed"] and host.files() == []
    host.persist()
    host.install("hotfix2", build_id="22" * 20)
    host.insert("hotfix2", build_id="22" * 20, transition=0)
    assert not host.persist(path=former, instead_of="hotfix2")["changed"], "hotfix2 had not passed its tier"
    assert boot_record.read_record(host.root, KERNEL)["name"] == "hotfix1"


def test_a_rollback_leaves_this_kernels_record_when_only_another_kernel_kept_the_livepatch(host):
    host.persist()
    host.record_other("hotfix2")
    assert host.persist(name="hotfix1", instead_of="hotfix2")["changed"]
    assert list(boot_record.read_records(host.root)) == [KERNEL]


HELD, DROP_IN = boot_record.HELD + "/" + KERNEL, boot_record.DROP_IN


def test_what_kpatch_would_load_is_enabled_with_the_guard_instead(host):
    host.kpatch()
    predicted = host.persist(check_mode=True)
    done = host.persist()
    assert done["changed"] and done["diff"] == predicted["diff"]
    assert done["name"] == "hotfix1" and done["by"] == "livepatch-boot.service"
    assert DROP_IN in host.files() and boot_record.kpatch_loads(host.root, KERNEL) == []
    assert not host.persist()["changed"] and persistent(host) is True


def test_what_is_taken_back_does_not_come_by_kpatch_either_and_kpatch_loads_the_rest(host):
    host.kpatch()
    host.kpatch("hotfix9")
    host.persist()
    predicted = host.persist(state="absent", name="hotfix1", check_mode=True)
    done = host.persist(state="absent", name="hotfix1")
    assert done["changed"] and done["diff"] == predicted["diff"] and done["name"] == "hotfix9"
    assert done["by"] == "kpatch.service" and boot_record.read_held(host.root, KERNEL).names == ("hotfix1",)
    assert {HELD, DROP_IN, boot_record.PROGRAM} <= set(host.files()) and persistent(host) is False
    assert boot_record.returning(host.root) == [("hotfix9", "kpatch.service")]
    assert not host.persist(state="absent", name="hotfix1")["changed"]
    done = host.persist(state="absent")
    assert done["changed"] and done["name"] is None and done["by"] is None


def test_what_is_held_and_made_persistent_again_is_held_no_longer(host):
    host.kpatch()
    host.persist(state="absent")
    assert persistent(host) is False and boot_record.read_held(host.root, KERNEL).names == ("hotfix1",)
    host.persist()
    assert persistent(host) is True and HELD not in host.files()


def test_when_the_package_is_gone_nothing_of_the_hold_is_left(host):
    host.kpatch()
    host.persist(state="absent")
    os.unlink(os.path.join(host.root, "var/lib/kpatch", KERNEL, "hotfix1.ko"))
    hold.forget_removed(host.run_command, host.root)
    assert [path for path in host.files() if "livepatch" in path] == []
    assert host.commands[-1] == ["daemon-reload"], "systemd forgets it, too"


def installing(host):
    made = hold.Hold(host.run_command, [], host.root)
    made.begin()
    return made


def test_while_a_package_is_installed_kpatch_loads_what_it_had_and_afterwards_all_but_what_has_come(host):
    host.kpatch()
    assert persistent(host) is True
    held = installing(host)
    assert persistent(host) is True, "a host that dies now comes up with what it had"
    host.kpatch("hotfix2")
    assert [boot_record.stem(path) for path in boot_record.kpatch_loads(host.root, KERNEL)] == ["hotfix1"]
    held.end()
    assert boot_record.read_held(host.root, KERNEL) == boot_record.Held(("hotfix2",), None)
    assert [boot_record.stem(path) for path in boot_record.kpatch_loads(host.root, KERNEL)] == ["hotfix1"]


def test_what_kpatch_kept_and_an_upgrade_has_taken_away_is_kept_by_a_record(host):
    host.kpatch()
    held = installing(host)
    host.kpatch("hotfix2")
    os.unlink(os.path.join(host.root, "var/lib/kpatch", KERNEL, "hotfix1.ko"))
    held.end()
    assert boot_record.read_record(host.root, KERNEL)["name"] == "hotfix1" and LINK in host.files()
    assert boot_record.kpatch_loads(host.root, KERNEL) == []
    assert COPY in host.files()


def test_a_package_that_has_nothing_to_do_with_kpatch_leaves_no_trace_of_the_hold(host):
    before = host.files()
    held = installing(host)
    assert DROP_IN in host.files()
    held.end()
    assert host.files() == before and host.commands == []


def test_a_run_after_one_that_was_killed_while_it_installed_holds_what_that_has_brought(host):
    installing(host)
    host.kpatch()
    assert persistent(host) is False
    installing(host).end()
    assert boot_record.read_held(host.root, KERNEL).names == ("hotfix1",) and persistent(host) is False


def test_a_host_without_systemd_has_no_service_to_hold(host):
    os.rmdir(os.path.join(host.root, "run/systemd/system"))
    installing(host).end()
    assert host.files() == []


def test_a_livepatch_that_lies_only_in_kpatchs_directory_is_found_there(host):
    os.unlink(host.root + FILE % (KERNEL, "hotfix1"))
    host.data("var/lib/kpatch/%s/hotfix1.ko" % KERNEL, elf.module())
    assert host.persist()["by"] == "livepatch-boot.service", "kpatch.service is not enabled"
    assert boot_record.read_record(host.root, KERNEL)["path"] == "/" + COPY


def test_an_operator_clears_the_guard(host):
    host.persist()
    sha256 = boot_record.read_record(host.root, KERNEL)["sha256"]
    host.text("var/lib/livepatch/boot/" + KERNEL, "sha256=%s\nboots=2" % sha256)
    host.status(state="tripped", sha256=sha256, boots=2, reason="died early")
    assert host.persist()["boot_guard"] == {"state": "tripped", "boots": 2, "reason": "died early"}
    assert kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"] is False
    assert host.persist(clear_guard=True, check_mode=True)["changed"]
    cleared = host.persist(clear_guard=True)
    assert cleared["changed"] and cleared["boot_guard"]["state"] == "waiting"
    assert host.commands[-1] == ["reset-failed", "livepatch-boot.service"]
    assert not host.persist(clear_guard=True)["changed"]


def test_the_facts_tell_which_livepatch_is_persistent_and_what_the_guard_did(host):
    facts = kernel_facts.gather(host.root)
    assert facts["patches"]["hotfix1"]["persistent"] is False and facts["boot_guard"] is None
    host.persist()
    facts = kernel_facts.gather(host.root)
    assert facts["patches"]["hotfix1"]["persistent"] is True
    assert facts["boot_guard"]["state"] == "waiting" and facts["boot_guard"]["boots"] == 0


def test_a_record_of_other_code_makes_the_running_livepatch_not_persistent(host):
    host.persist()
    host.patches.clear()
    host.insert("hotfix1", build_id="55" * 20, transition=0)
    assert kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"] is False


def persistent(host):
    return kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"]


@pytest.mark.parametrize("state", ["missing", "changed", "refused", "unguarded", "tripped"])
def test_what_the_last_boot_kept_out_is_not_persistent(host, state):
    host.persist()
    sha256 = boot_record.read_record(host.root, KERNEL)["sha256"]
    host.status(state="survived", sha256=sha256, boots=0, reason="r")
    assert persistent(host) is True
    host.status(state=state, sha256=sha256, boots=0, reason="r")
    assert persistent(host) is False


def test_a_livepatch_whose_file_is_gone_or_has_other_content_is_not_persistent(host):
    host.persist()
    recorded = boot_record.read_record(host.root, KERNEL)["path"]
    with open(host.root + recorded, "rb") as stream:
        content = stream.read()
    host.data(recorded[1:], content + b"x")
    assert persistent(host) is False
    os.unlink(host.root + recorded)
    assert persistent(host) is False
    host.data(recorded[1:], content)
    assert persistent(host) is True


def test_other_code_in_kpatchs_directory_makes_nothing_persistent(host):
    host.kpatch()
    assert persistent(host) is True
    host.data("var/lib/kpatch/%s/hotfix1.ko" % KERNEL, elf.module(build_id="22" * 20))
    assert persistent(host) is False
    host.data("var/lib/kpatch/%s/hotfix1.ko" % KERNEL, b"no module")
    assert persistent(host) is False


def test_kpatch_makes_all_persistent_that_lie_in_its_directory(host):
    host.insert("hotfix2", build_id="22" * 20, replace=False, transition=0)
    host.kpatch()
    host.data("var/lib/kpatch/%s/hotfix2.ko" % KERNEL, elf.module(name="hotfix2", build_id="22" * 20))
    patches = kernel_facts.gather(host.root)["patches"]
    assert {name: patch["persistent"] for name, patch in patches.items()} == {"hotfix1": True, "hotfix2": True}


@pytest.mark.parametrize("how", ["masked", "masked by an empty file", "gone"])
def test_a_kpatch_service_that_no_boot_starts_makes_nothing_persistent(host, how):
    host.kpatch()
    assert kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"]
    if how == "gone":
        os.unlink(os.path.join(host.root, "usr/lib/systemd/system/kpatch.service"))
    elif how == "masked":
        os.symlink("/dev/null", os.path.join(host.root, "etc/systemd/system/kpatch.service"))
    else:
        host.data("etc/systemd/system/kpatch.service", b"")
    assert not kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"]
    assert host.persist()["by"] == "livepatch-boot.service"


def test_what_the_next_boot_brings_back_though_it_was_taken_out_is_known(host):
    assert boot_record.returning(host.root) == []
    host.persist()
    host.kpatch("hotfix9")
    assert boot_record.returning(host.root) == [("hotfix9", "kpatch.service")], "hotfix1 runs"
    host.write("hotfix1/enabled", "0")
    host.sleep(2)
    assert boot_record.returning(host.root) == [
        ("hotfix1", "livepatch-boot.service"),
        ("hotfix9", "kpatch.service"),
    ]


def test_what_the_guard_said_about_a_former_record_is_not_said_of_the_new_one(host):
    host.persist()
    host.status(state="tripped", sha256="00", boots=2, reason="old")
    assert kernel_facts.gather(host.root)["boot_guard"]["state"] == "waiting"
    host.status(state="switched_off", sha256="", boots=0, reason="livepatch.boot=0 is on the kernel command line")
    facts = kernel_facts.gather(host.root)
    assert facts["boot_guard"]["state"] == "switched_off"
    assert not facts["patches"]["hotfix1"]["persistent"], "nobody knows that the word is not there next time"


def test_a_boot_into_a_kernel_without_a_record_is_seen_in_the_facts(host):
    host.record_other()
    host.status(state="other_kernel", sha256="", boots=0, reason="no livepatch is recorded for this kernel")
    facts = kernel_facts.gather(host.root)
    assert facts["boot_guard"]["state"] == "other_kernel" and facts["patches"]["hotfix1"]["persistent"] is False


def test_under_kpatch_the_facts_call_its_livepatch_persistent(host):
    host.kpatch()
    assert kernel_facts.gather(host.root)["patches"]["hotfix1"]["persistent"] is True


@pytest.mark.parametrize("text", ["", "\x00\xff", "state=", "boots=9" * 50, "state=tripped\nboots=many\nreason"])
def test_a_damaged_status_is_no_error(host, text):
    host.text("run/livepatch/boot", text)
    host.text("etc/livepatch/boot.d/" + KERNEL, text)
    guard = kernel_facts.gather(host.root)["boot_guard"]
    assert guard is None or guard["boots"] == 0


def test_what_the_guard_said_goes_with_the_record(host):
    host.persist()
    host.status(state="enabled", sha256=boot_record.read_record(host.root, KERNEL)["sha256"], boots=1, reason="r")
    assert kernel_facts.gather(host.root)["boot_guard"]["state"] == "enabled"
    host.record_other("hotfix9")
    host.persist(state="absent", name="hotfix1")
    assert kernel_facts.gather(host.root)["boot_guard"] is None
    host.persist(state="absent")
    assert not os.path.exists(os.path.join(host.root, "run/livepatch/boot"))


def test_a_power_cut_right_afterwards_loses_nothing(host, monkeypatch):
    flushed, sync = [], writing.sync

    def note(path):
        flushed.append(os.path.relpath(path, host.root))
        sync(path)

    monkeypatch.setattr(writing, "sync", note)
    host.persist()
    expected = {
        os.path.dirname(COPY),
        "var/lib/livepatch",
        "etc/livepatch/boot.d",
        "etc/livepatch",
        "etc",
        os.path.dirname(LINK),
    }
    assert expected <= set(flushed)
    assert (
        flushed.index(os.path.dirname(COPY))
        < flushed.index("etc/livepatch/boot.d")
        < flushed.index(os.path.dirname(LINK))
    )


def test_a_boot_that_has_not_started_the_unit_is_told_and_promises_nothing(host):
    host.persist()
    os.unlink(os.path.join(host.root, boot_record.STATUS))  # the host has booted
    facts = kernel_facts.gather(host.root)
    assert facts["boot_guard"]["state"] == "not_started" and "ordering cycle" in facts["boot_guard"]["reason"]
    assert facts["patches"]["hotfix1"]["persistent"] is False
    assert not host.persist()["changed"], "what it was recorded with is there"
    assert host.persist()["boot_guard"]["state"] == "not_started"


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("late", ["network.target", "remote-fs-pre.target"])
def test_a_file_system_that_comes_after_the_network_is_refused_as_it_would_close_a_cycle(host, late, check_mode):
    host.after = "After=-.mount\n\nAfter=%s system.slice\n\nAfter=\n" % late
    code, message = host.refused(check_mode=check_mode)
    assert code == "late_mount" and late in message and boot_record.read_records(host.root) == {}
    assert not host.persist(state="absent")["changed"]

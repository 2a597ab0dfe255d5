# What programs on a host can read about its livepatches: the small files, and the metrics.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import json
import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._health import livepatch_log
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts, metrics, publish
from tests.unit.fakes.elf import KERNEL
from tests.unit.fakes.kernel import FakeKernel

ID = "11" * 20
SETTINGS = "etc/livepatch/visibility.json"


@pytest.fixture
def kernel(tmp_path):
    return FakeKernel(tmp_path)


def read(kernel, path):
    with open(os.path.join(kernel.root, path)) as stream:
        return stream.read()


def show_metrics(kernel, directory="/metrics"):
    kernel.directory("metrics")
    kernel.text(SETTINGS, json.dumps({"textfile_directory": directory}))


def samples(text):
    """{name and labels: number} of the text format."""
    pairs = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(number) for name, unused, number in pairs}


def test_each_livepatch_has_a_line_and_the_effective_release_is_that_of_the_topmost(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.insert("addon_a", transition=1, replace=False)
    publish.publish(kernel.root)
    assert read(kernel, "run/livepatch/active") == "hotfix1\tenabled\t%s\naddon_a\tpatching\t%s\n" % (ID, ID)
    assert read(kernel, "run/livepatch/effective-release") == KERNEL + "-hotfix1\n"


def test_without_a_livepatch_the_first_file_is_empty_and_the_second_is_what_uname_says(kernel):
    publish.publish(kernel.root)
    assert read(kernel, "run/livepatch/active") == ""
    assert read(kernel, "run/livepatch/effective-release") == KERNEL + "\n"


def test_a_livepatch_that_is_taken_out_is_unpatching_until_no_task_runs_it(kernel):
    kernel.insert("hotfix1", transition=0)
    kernel.write("hotfix1/enabled", "0")
    publish.publish(kernel.root)
    assert read(kernel, "run/livepatch/active").split("\t")[:2] == ["hotfix1", "unpatching"]


def test_what_has_not_changed_is_not_written_again_so_that_its_time_is_that_of_the_change(kernel):
    kernel.insert("hotfix1", transition=0)
    publish.publish(kernel.root)
    place = os.path.join(kernel.root, "run/livepatch/active")
    os.utime(place, (1000, 1000))
    show_metrics(kernel)
    publish.publish(kernel.root)
    assert os.stat(place).st_mtime == 1000
    assert samples(read(kernel, "metrics/livepatch.prom"))["livepatch_last_change_timestamp_seconds"] == 1000


def test_the_files_are_for_everybody_to_read_whatever_the_umask(kernel):
    show_metrics(kernel)
    before = os.umask(0o077)
    try:
        publish.publish(kernel.root)
    finally:
        os.umask(before)
    for path in ("run/livepatch/active", "run/livepatch/effective-release", "metrics/livepatch.prom"):
        assert os.stat(os.path.join(kernel.root, path)).st_mode & 0o777 == 0o644, path


def test_nothing_half_written_is_ever_seen(kernel, monkeypatch):
    show_metrics(kernel)
    publish.publish(kernel.root)
    before = read(kernel, "metrics/livepatch.prom")
    kernel.insert("hotfix1", transition=0)
    rename = os.rename

    def refuse(source, target):
        if target.endswith("livepatch.prom"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError):
        publish.publish(kernel.root)
    assert read(kernel, "metrics/livepatch.prom") == before
    assert os.listdir(os.path.join(kernel.root, "metrics")) == ["livepatch.prom"], "nothing half written is left behind"


def test_what_cannot_be_written_is_a_warning_for_a_run_that_has_changed_the_host(kernel):
    show_metrics(kernel, "/nowhere")
    warnings = []
    publish.update(kernel.root, warnings)
    assert len(warnings) == 1 and "could not be told" in warnings[0] and "nowhere" in warnings[0]
    assert read(kernel, "run/livepatch/active") == ""


def test_where_nobody_would_keep_the_files_true_a_change_does_not_write_them(kernel):
    publish.update(kernel.root, [])
    assert not os.path.exists(os.path.join(kernel.root, "run/livepatch"))


def test_a_clock_that_has_parted_from_that_of_the_log_makes_no_negative_time(kernel):
    kernel.insert("hotfix1")
    kernel.text("proc/uptime", "99.0 1")
    show_metrics(kernel)
    publish.publish(kernel.root, lambda: [Record(1, 100.0, 6, True, "livepatch: 'hotfix1': starting patching transition")])
    found = samples(read(kernel, "metrics/livepatch.prom"))
    assert found['livepatch_transition_seconds{direction="patching",livepatch="hotfix1"}'] == 0


def test_a_directory_that_others_may_write_to_is_not_written_to(kernel):
    kernel.directory("run/livepatch")
    os.chmod(os.path.join(kernel.root, "run/livepatch"), 0o777)
    with pytest.raises(LivepatchError) as caught:
        publish.publish(kernel.root)
    assert caught.value.code == "not_permitted"


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00", '"x"', "null"])
def test_settings_that_are_damaged_are_none(kernel, content):
    kernel.text(SETTINGS, content)
    assert publish.settings(kernel.root) == {}


def test_metrics_tell_what_runs_what_is_left_over_and_what_taints_the_kernel(kernel):
    kernel.text("proc/sys/kernel/tainted", str(1 << 15 | 1 << 12))
    kernel.insert("hotfix2", transition=0)
    kernel.leave_inert("hotfix1")
    show_metrics(kernel)
    publish.publish(kernel.root)
    found = samples(read(kernel, "metrics/livepatch.prom"))
    info = 'livepatch_info{effective_release="%s-hotfix2",kernel_release="%s",livepatch="hotfix2"}' % (KERNEL, KERNEL)
    assert found[info] == 1
    assert found['livepatch_enabled{build_id="%s",livepatch="hotfix2"}' % ID] == 1
    assert found["livepatch_supported"] == 1 and found["livepatch_inert_modules"] == 1
    assert found['livepatch_kernel_taint{flag="K"}'] == found['livepatch_kernel_taint{flag="O"}'] == 1
    assert found["livepatch_transition"] == 0 and "livepatch_transition_seconds" not in str(found)


def test_a_transition_has_its_seconds_and_its_blockers_by_reason(kernel):
    kernel.insert("hotfix1", objects=("vmlinux",))
    kernel.text("proc/uptime", "120.50 1.00")
    kernel.task(7, "cat", 0, "[<0>] nowhere_else+0x1/0x2", state="R")
    kernel.task(8, "dd", 0, "")
    kernel.task(9, "sh", 1, "")
    show_metrics(kernel)
    log = [Record(1, 100.0, 6, True, "livepatch: 'hotfix1': starting patching transition")]
    publish.publish(kernel.root, lambda: log)
    found = samples(read(kernel, "metrics/livepatch.prom"))
    labels = '{direction="patching",livepatch="hotfix1"}'
    assert found["livepatch_transition" + labels] == 1
    assert found["livepatch_transition_seconds" + labels] == 20.5
    assert found['livepatch_blockers{reason="running"}'] == 1 and found['livepatch_blockers{reason="unknown"}'] == 1
    assert found['livepatch_enabled{build_id="%s",livepatch="hotfix1"}' % ID] == 0


@pytest.mark.parametrize("uptime, log", [("120.5 1", []), ("", ["starting patching transition"]), ("soon", [])])
def test_the_seconds_of_a_transition_are_left_out_where_nobody_knows_them(kernel, uptime, log):
    kernel.insert("hotfix1")
    kernel.text("proc/uptime", uptime)
    show_metrics(kernel)
    records = [Record(1, 100.0, 6, True, "livepatch: 'hotfix1': " + words) for words in log]
    publish.publish(kernel.root, lambda: records)
    text = read(kernel, "metrics/livepatch.prom")
    assert "livepatch_transition{" in text and "livepatch_transition_seconds" not in text


def test_the_last_beginning_of_a_transition_counts_and_only_that_of_this_livepatch():
    words = [
        (1.0, "livepatch: enabling patch 'a'"),
        (2.0, "livepatch: 'a': starting patching transition"),
        (3.0, "livepatch: 'b': starting patching transition"),
        (4.0, "livepatch: 'a': starting unpatching transition"),
        (5.0, "livepatch: 'a': unpatching complete"),
    ]
    records = [Record(number, seconds, 6, True, text) for number, (seconds, text) in enumerate(words)]
    assert livepatch_log.began(records, "a") == 4.0
    assert livepatch_log.began(records, "b") == 3.0
    assert livepatch_log.began(records, "c") is None


def test_a_host_without_livepatch_support_has_metrics_too(tmp_path):
    text = metrics.render(kernel_facts.gather(str(tmp_path)))
    assert samples(text)["livepatch_supported"] == 0


def test_labels_are_escaped(kernel):
    facts = kernel_facts.gather(kernel.root)
    facts["effective_release"] = 'a"b\\c\nd'
    assert 'effective_release="a\\"b\\\\c\\nd"' in metrics.render(facts)

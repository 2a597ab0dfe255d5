# Whatever the files of a host hold, a preflight ends in findings.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kernel.livepatch.plugins.module_utils._preflight import findings, preflight
from tests.unit.fakes import elf, patched

IMAGE = patched.structs({None: [("version_proc_show", 0)], "ext4": [("ext4_sync_file", 1)]}).bytes()
OPTIONS = dict.fromkeys(["name", "path", "package", "release", "pattern", "replace", "replaces"])
UNAME = type("Uname", (), {"release": elf.KERNEL, "machine": "x86_64"})
MOUNTS = b"t /t tracefs rw 0 0\nd /d debugfs rw 0 0\n"
PATHS = st.sampled_from(
    [
        "proc/kallsyms",
        "proc/meminfo",
        "proc/modules",
        "proc/self/mounts",
        "proc/1/task/1/stack",
        "proc/1/task/1/stat",
        "proc/1/task/1/comm",
        "proc/sys/kernel/modules_disabled",
        "proc/sys/kernel/osrelease",
        "sys/kernel/security/lockdown",
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        "sys/kernel/livepatch/other/enabled",
        "sys/kernel/livepatch/other/transition",
        "sys/kernel/livepatch/other/vmlinux/version_proc_show,1/x",
        "run/livepatch/forced.json",
        "t/enabled_functions",
        "t/available_filter_functions",
        "d/kprobes/list",
    ]
)
LINES = st.lists(
    st.sampled_from(
        [
            b"1\n",
            b"0 t version_proc_show\n",
            b"0 t ext4_sync_file\t[ext4]\n",
            b"ext4 1 0 - Live 0x0\n",
            b"other 1 1 - Live 0x0 (OEK)\n",
            b"version_proc_show (1) R I D\ttramp: 0x1\n",
            b"\tdirect-->x\n",
            b"1 k version_proc_show+0x9    [OPTIMIZED]\n",
            b"1 r version_proc_show+0x0    [FTRACE]\n",
            b"[<0>] version_proc_show+0x1/0x2\n",
            b"MemAvailable: 12 kB\n",
            b"none [integrity]\n",
            b"5.10\n",
            b"a /\\040\\777 tracefs\n",
        ]
    ),
    max_size=4,
).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PATHS, st.one_of(LINES, st.binary(max_size=80))), max_size=10))
def test_whatever_the_files_of_a_host_hold_there_are_findings(files):
    root = tempfile.mkdtemp()
    try:
        for path, content in [("proc/self/mounts", MOUNTS), ("hotfix1.ko", IMAGE)] + files:
            place = os.path.join(root, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as stream:
                stream.write(content)
        options = dict(OPTIONS, path=os.path.join(root, "hotfix1.ko"))
        result = preflight.Preflight(options, None, root, UNAME, 0, lambda: 0.0).execute()
        assert result["functions"] is None or len(result["functions"]) == 2
        assert result["ready"] is all(finding["severity"] != "error" for finding in result["findings"])
        assert all(finding["id"] in findings.KINDS for finding in result["findings"])
    finally:
        shutil.rmtree(root)

# Hosts that cost nothing: answers modules of the collection at once, in the process that asks.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The whole way of a task through Ansible is real, down to the bytes that a host would be sent. A host is a file that
# exists when it was patched and then says with what. Which hosts go wrong is told by variables of the inventory.

DOCUMENTATION = """
name: stub
short_description: Hosts that cost nothing
description: Answers the modules that a rollout executes, as hosts in good health would.
extends_documentation_fragment: [connection_pipelining]
options:
  state:
    description: Directory of what the hosts remember, and of the count of executions.
    vars: [{name: stub_state}]
    required: true
  silent:
    description: The host does not answer.
    vars: [{name: stub_silent}]
    type: bool
    default: false
  told:
    description: Whether it is kept with what arguments modules were executed, in the directory told of the state.
    vars: [{name: stub_told}]
    type: bool
    default: false
  crashes:
    description: The host crashes as soon as it is patched, each time.
    vars: [{name: stub_crashes}]
    type: bool
    default: false
"""

import json
import os
import re
import time
import zlib
from ast import literal_eval

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

# ansible-core 2.19 and later, and those before.
MODULE = re.compile(rb"ansible_collections\.kernel\.livepatch\.plugins\.modules\.(\w+)")
ARGUMENTS = re.compile(rb"^ *(?:params=|ANSIBALLZ_PARAMS = )(.+?),?$", re.MULTILINE)
KERNELS = ("5.10.0-40-amd64", "6.1.0-56-amd64", "6.12.107+deb13-amd64", "7.2.0-1-amd64")
UPTIME = 10_000_000


class Connection(ConnectionBase):
    transport = "stub"
    has_pipelining = True

    def _connect(self):
        if self.get_option("silent"):
            raise AnsibleConnectionFailure("Connection timed out")
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        found = MODULE.search(in_data or b"")
        if not found:
            raise AnsibleConnectionFailure("Expected a module of this collection, with pipelining, found: %s" % cmd)
        name = found.group(1).decode()
        arguments = json.loads(literal_eval(ARGUMENTS.search(in_data).group(1).decode()))["ANSIBLE_MODULE_ARGS"]
        given = {key: value for key, value in arguments.items() if not key.startswith("_ansible")}
        self._count(name)
        if self.get_option("told"):
            with open(os.path.join(self.get_option("state"), "told", f"{self._play_context.remote_addr}.{name}"), "w", encoding="utf-8") as stream:
                json.dump(dict(given, become=self.become is not None), stream)
        result = dict(Host(self).answer(name, given), invocation={"module_args": given})
        return 0, json.dumps(result).encode(), b""

    def _count(self, name):
        fd = os.open(os.path.join(self.get_option("state"), "executions", name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, b".")
        os.close(fd)

    def put_file(self, in_path, out_path):
        raise AnsibleConnectionFailure("No file is put on a stub: expected pipelining")

    def fetch_file(self, in_path, out_path):
        raise AnsibleConnectionFailure("No file is fetched from a stub")

    def close(self):
        self._connected = False


class Host:
    def __init__(self, connection):
        self.name = connection._play_context.remote_addr
        self.file = os.path.join(connection.get_option("state"), "patched", self.name)
        self.crashes = connection.get_option("crashes")
        self.kernel = KERNELS[zlib.crc32(self.name.encode()) % len(KERNELS)]
        try:
            with open(self.file, encoding="ascii") as stream:
                self.enabled = stream.read()
        except FileNotFoundError:
            self.enabled = None

    @property
    def boot_id(self):
        boots = 2 if self.crashes and self.enabled else 1
        return "00000000-0000-4000-800%d-%012x" % (boots, zlib.crc32(self.name.encode()))

    @property
    def effective_release(self):
        return "-".join(filter(None, (self.kernel, self.enabled)))

    def answer(self, module, given):
        return getattr(self, module)(given)

    def livepatch_facts(self, unused):
        patches = {}
        if self.enabled:
            patches[self.enabled] = {
                "enabled": True, "transition": False, "replace": True, "stack_order": 1, "forced": False,
                "objects": {"vmlinux": {"patched": True, "functions": ["version_proc_show"]}}, "build_id": "0" * 40,
                "srcversion": "0" * 24, "file": self._file(), "package": None, "packaged": None, "cves": None,
                "taint": "OK", "persistent": False,
            }  # fmt: skip
        facts = {
            "supported": True, "kernel_release": self.kernel, "architecture": "x86_64", "boot_id": self.boot_id,
            "uptime_seconds": 10**6, "effective_release": self.effective_release, "enabled": self.enabled, "patches": patches, "inert": [],
            "transition": None, "taint": {"value": 0, "flags": []}, "os_family_ids": ["debian"], "engines": [],
            "image_based": None, "pending_kernel": None, "cves": None, "boot_guard": None,
        }  # fmt: skip
        return {"changed": False, "ansible_facts": {"livepatch": facts}}

    def livepatch_builds(self, given):
        kernel, number = self.kernel, os.environ.get("STUB_BUILD", "1-1")
        name = "klp-%s" % kernel.replace("+", "_")
        build = {
            "package": "%s-%s.x86_64" % (name, number), "version": number, "livepatch": "fix_%s" % number.replace("-", "_"),
            "built": "2026-11-01T10:00:00Z", "cves": ["CVE-2026-1"], "advisories": [],
        }  # fmt: skip
        missing = sorted(set(given.get("cves") or []) - {"CVE-2026-1"})
        return {
            "changed": False, "kernel_release": kernel, "architecture": "x86_64", "vendor": "generic", "build": build, "reason": None,
            "missing": missing, "unknown_cves": [], "advisory_known": None, "newer_installed": None, "supported_until": None,
            "sources": {"changelog": "read", "advisories": "read"},
        }  # fmt: skip

    def livepatch_package(self, given):
        spec = given.get("package") or "klp-%s-%s" % (self.kernel, given["release"])
        found = {"changed": True, "spec": spec, "before": None, "kernel_release": self.kernel, "drift": None}
        if given.get("state") == "absent":
            return dict(found, outcome="removed", package=None, module_files=[], module_name=None, still_running=[])
        name = spec.rpartition("-")[2]
        files = {"module_files": [self._file(name)], "module_name": name}
        return dict(found, outcome="installed", package=spec + "-1.x86_64", **files)

    def livepatch(self, given):
        before, since = self.enabled, self._now(1000)
        was = {"enabled": before, "effective_release": self.effective_release}
        self.enabled = None
        if given.get("state") != "absent":
            package = given.get("package") or "-%s-1" % given["release"]
            self.enabled = package.rpartition("-")[0].rpartition("-")[2]
            if given.get("install"):  # a build, as livepatch_builds has named it
                self.enabled = "fix_%s" % "_".join(package.rpartition(".")[0].rsplit("-", 2)[1:])
        self._remember()
        names = [[name] if name else [] for name in (before, self.enabled)]
        diff = [{"enabled": found, "inert": []} for found in names]
        steps = {"seconds": 0.5, "blocking": 0, "summary": "", "blockers": []}
        return {
            "changed": True, "name": self.enabled, "effective_release": self.effective_release, "before": was,
            "diff": {"before": diff[0], "after": diff[1]}, "replaced": [], "unloaded": [], "transition": steps,
            "remedies": [], "forced": False, "build_id": "0" * 40, "since": since, "proven": bool(self.enabled),
            "outcome": "installed", "package": given.get("package") or "klp-%s-%s-1-1.x86_64" % (self.kernel, self.enabled),
            "package_before": None,
            "drift": None, "health": self.livepatch_health({"since": since}),
        }  # fmt: skip

    def livepatch_health(self, given):
        since = given.get("since") or {}
        sources = {"kmsg": "read", "journal": "absent", "kdump": "absent", "pstore": "read", "coredump": "read"}
        boot_id = self.boot_id
        rebooted = bool(since.get("boot_id")) and since["boot_id"] != boot_id
        return {
            "changed": False, **self._now((since.get("sequence") or 1000) + 1), "rebooted": rebooted,
            "uptime_seconds": 1 if rebooted else UPTIME, "window_seconds": 900, "up_seconds": 900,
            "effective_release": self.effective_release, "enabled": self.enabled, "events": [], "events_left_out": 0, "unseen": [],
            "signatures": {}, "known_signatures": {}, "taint": 32768, "counters": {"oops_count": 0, "warn_count": 0},
            "sources": sources, "reasons": [],
        }  # fmt: skip

    def livepatch_persistence(self, given):
        kept = {self.kernel: {"name": self.enabled, "path": self._file(), "build_id": "0" * 40}} if self.enabled else {}
        return {
            "changed": True, "name": self.enabled, "by": "livepatch-boot.service", "kernel_release": self.kernel,
            "livepatches": kept, "boot_guard": None, "diff": {"before": {}, "after": kept},
        }  # fmt: skip

    def _file(self, name=None):
        return "/usr/lib/modules/%s/livepatch/%s.ko" % (self.kernel, name or self.enabled)

    def _now(self, sequence):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"boot_id": self.boot_id, "sequence": sequence, "time": stamp}

    def _remember(self):
        if not self.enabled:
            if os.path.exists(self.file):
                os.unlink(self.file)
            return
        with open(self.file, "w", encoding="ascii") as stream:
            stream.write(self.enabled)

# What a package manager answers about builds, and the advisories of its repositories, in whatever state they are.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import collections
import io
import json
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import advisories, builds, package_manager
from tests.fuzz import inputs

_CODES = {"package_failed", "bad_signature", "repository_unavailable", "disk_full", "bad_name", "unsupported"}
_REASONS = {"no_build", "empty", "not_in_advisory", "excluded"}
_SYSTEM = collections.namedtuple("System", "release machine")("5.14.0-427.40.1.el9_4.x86_64", "x86_64")
_NAME = b"kpatch-patch-5_14_0-427_40_1"
_NEVRA = re.compile(r"\A[A-Za-z0-9][\w.+~^-]*-[^-]+-[^-]+\.\w+\Z")
_LINES = b"".join(b"available|%s|0|1|%d.el9_4|x86_64|2026-12-01 03:57\n" % (_NAME, number) for number in (1, 5, 10))
_UPDATE = (
    b'<update type="security"><id>RHSA-2026:5</id><references><reference href="" id="CVE-2026-40001" type="cve" title=""/>'
    b'<reference id="SUSE-SU-2026:5-1" type="self"/></references><pkglist><collection><package name="%s" version="1"'
    b' release="5.el9_4" epoch="0" arch="x86_64"/></collection></pkglist></update>' % _NAME
)
_SEARCH = (
    b'<stream><search-result><solvable-list><solvable status="not-installed" name="%s" kind="package" edition="1-5.el9_4"'
    b' arch="x86_64" repository="lab"/></solvable-list></search-result></stream>' % _NAME
)
_ROWS = b"installed\t%s\t1\t12.el9_4\tx86_64\t100\t(none)\nbuilt\tkernel-core\t1796097427\n" % _NAME
SEEDS = [
    inputs.join(b"\0\0\0", _LINES, b"Operation aborted.\n", b"<updates>" + _UPDATE + b"</updates>", _ROWS),
    inputs.join(b"\0\0\1", _SEARCH, b"<stream/>", b"<updates>" + _UPDATE * 3, _ROWS),
    inputs.join(b"\0\0\2", _NAME + b"-1-5.el9_4.x86_64\n", b"Error(1011) : none\n", _UPDATE, b""),
    inputs.join(b"\0\0\0", _LINES, b"matches only excluded packages", b"<update><id>RHSA-2026:5</id></update>", b""),
    inputs.join(b"\1\0\0", b"", b"curl error", b"", b""),
    inputs.join(b"\0\0\0", inputs.times(_LINES[:69], 4096), b"", inputs.times(b"<update>", 4096), inputs.times(_ROWS[:57], 4096)),
    inputs.join(b"\0\0\0", b"available|%s|%s|1|%s.el9_4|x86_64|%s\n" % (_NAME, b"9" * 5000, b"1" * 90, b"7" * 5000), b"", b"", b""),
]
WORDS = [inputs.SEPARATOR, b"available|", b"|x86_64|", b"</update>", b"<update>", b"RHSA-2026:5", b"CVE-2026-40001", b"<!ENTITY", _NAME]


def one_input(data):
    codes, answer, tried, told, rows = (inputs.repeated(part) for part in inputs.split(data, 5))
    codes = (bytearray(codes) + bytearray(3))[:3]

    def run_command(command, **unused_options):
        if "rpm" in command:
            return 0, inputs.text(rows), ""
        if "install" in command:
            return codes[1], inputs.text(tried), ""
        return (0, "<stream/>", "") if "refresh" in command else (codes[0], inputs.text(answer), "")

    kind = (package_manager.Dnf, package_manager.Zypper, package_manager.Tdnf)[codes[2] % 3]
    manager = kind(run_command, "/usr/bin/" + kind.program, 9, "/usr/bin/timeout")
    with _Replaced(package_manager, "choose", lambda *given: manager), _Replaced(
        advisories, "files", lambda *given: ["updateinfo.xml"]
    ), _Replaced(advisories, "_opened", lambda path: io.BytesIO(told)):
        for wanted in ({}, {"cves": ["CVE-2026-40001"]}, {"advisory": "RHSA-2026:5"}):
            try:
                result = builds.ask(run_command, None, system=_SYSTEM, pattern=_PATTERN, **wanted)
            except LivepatchError as error:
                assert error.code in _CODES and "xpected" in error.message, error.message
            else:
                _assert_promised(result)


_PATTERN = "kpatch-patch-{kernel_base_underscored}-{release}{dist}"


def _assert_promised(result):
    build = result["build"]
    assert (build is None) == (result["reason"] in _REASONS)
    assert build is None or (_NEVRA.match(build["package"]) and len(build["cves"]) <= 200 and len(build["advisories"]) <= 20)
    assert len(json.dumps(result)) < 40000


class _Replaced(object):
    """A context in which a module has something else under a name."""

    def __init__(self, module, name, value):
        self._module, self._name, self._value = module, name, value

    def __enter__(self):
        self._former = getattr(self._module, self._name)
        setattr(self._module, self._name, self._value)

    def __exit__(self, *unused):
        setattr(self._module, self._name, self._former)

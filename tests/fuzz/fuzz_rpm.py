# What rpm prints: the answers to queries, verification, lists of files.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import json

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import install, rpm
from tests.fuzz import inputs

_CODES = {"bad_name", "no_package_manager", "package_failed", "not_found", "no_module_in_package", "other_kernel"}
_CODES |= {"bad_signature", "modified_files", "disk_full"}
_PATH = b"/usr/lib/modules/6.1.0-56-amd64/livepatch/hotfix1.ko"
SEEDS = [
    inputs.join(
        b"\0\0\0\0",
        b"installed\tklp\t1\t1\tx86_64\t100\ninstalled\tklp\t2\t1\tx86_64\t101\tRSA/SHA512\nfile\t/x\n",
        b"RSA/SHA512\n(none)\n",
        _PATH + b"\n",
        b"",
    ),
    inputs.join(
        b"\1\1\1\1",
        b"package klp is not installed\n",
        b"(none)\n",
        b"error",
        b"S.5....T.  c /etc/x\nmissing     " + _PATH + b"\n",
    ),
    inputs.join(
        b"\0\0\0\1",
        b"installed\tklp\t1\t1\t(none)\t(none)\n",
        b"x\n",
        b"/a/b.ko.xz\n/lib/modules/5.10.0-1-x/c.ko\n",
        b"..?......    /x\n",
    ),
    inputs.join(
        b"\0\0\0\0",
        inputs.times(b"installed\t", 4096),
        b"",
        inputs.times(b"/6.1.0-a", 4096) + b"x.ko",
        inputs.times(b"........", 4096),
    ),
]
WORDS = [
    inputs.SEPARATOR,
    b"installed\t",
    b"not installed",
    b"missing ",
    b"SM5DLUGTP",
    b" c /",
    b".ko.zst\n",
    b"(none)",
    b"\t",
    b"\xc2\xb2",
]


def one_input(data):
    codes, query, signature, listing, verification = (inputs.repeated(part) for part in inputs.split(data, 5))
    codes = (bytearray(codes) + bytearray(4))[:4]

    def run_command(command, **unused_options):
        kind = {"-ql": 2, "-V": 3}.get(command[1], 1 if "pgpsig" in " ".join(command) else 0)
        output = (query, signature, listing, verification)[kind]
        return codes[kind] % 2, inputs.text(output), "words"

    def tried(function, *arguments, **options):
        try:
            return function(run_command, *arguments, **options)
        except LivepatchError as error:
            assert error.code in _CODES, error.code
            return None

    for package in tried(rpm.installed, "klp", "klp-1-1") or []:
        assert package.nevra and all(isinstance(part, str) for part in package[:4])
        assert tried(rpm.signature, package) != ""
    for entry in tried(rpm.verify, "klp") or []:
        assert entry["file"].startswith("/") and entry["differs"]
    assert tried(rpm.module_files, "klp", "6.1.0-56-amd64") != []
    wanted = install.Wanted("klp-1", "6.1.0-56-amd64", check_mode=True)
    json.dumps(tried(install.absent, wanted))
    json.dumps(tried(install.present, lambda name: None, wanted))

# Kernel modules as files: ELF sections, .modinfo, build id, signature, the replace flag.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file
from tests.unit.fakes import elf

SEEDS = [
    elf.module(),
    elf.module(replace=True, depends="a,b"),
    elf.module(replace=False, order=">", machine=22, signed=True),
    elf.module(livepatch=False, signed=True),
]
WORDS = [b"vermagic=", b"name=", b"depends=", b"livepatch=Y", b"srcversion=", b"__this_module", b".data", b".rodata"]
WORDS += [b".rela.data", b".modinfo", b".note.gnu.build-id", b"GNU\0", module_file.SIGNATURE_MARKER]


def one_input(data):
    try:
        module = module_file.parse("directory/x.ko.xz", data)
    except LivepatchError as error:
        assert error.code == "bad_module_file" and error.message.startswith("directory/x.ko.xz: expected")
        return
    assert isinstance(module.name, str) and isinstance(module.vermagic, str) and "-" not in module.name
    assert all(isinstance(name, str) and name for name in module.depends)
    assert module.build_id is None or int(module.build_id, 16) >= 0
    assert module.livepatch in (True, False) and module.replace in (True, False, None)
    assert module.signed == data.endswith(module_file.SIGNATURE_MARKER)

# Keeps what Python compiles out of zip archives: half of a module's time on an emulated processor.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible ships a module and its libraries as a zip, and Python compiles such sources anew at every start.

A source is known again by its digest (_imp.source_hash, as for hash-based .pyc files), so that changed code is compiled.
"""

import _imp
import marshal
import os
import zipimport

_DIRECTORY = "/var/cache/lab-python"
_compile = zipimport._compile_source


def _compile_once(path, source):
    kept = "%s/%s" % (_DIRECTORY, _imp.source_hash(20, source).hex())
    try:
        with open(kept, "rb") as file:
            code = marshal.loads(file.read())
    except (OSError, EOFError, ValueError):
        code = _compile(path, source)
        _keep(kept, code)
    else:
        _imp._fix_co_filename(code, path)
    return code


def _keep(kept, code):
    new = "%s.%d" % (kept, os.getpid())
    try:
        with open(new, "xb") as file:
            file.write(marshal.dumps(code))
        os.rename(new, kept)
    except OSError:
        pass  # nobody but root keeps anything


zipimport._compile_source = _compile_once

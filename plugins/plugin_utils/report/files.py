# What a controller writes for people, as a page and as data: in one step, and only when it differs.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import tempfile

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError


def write(found, render, page, data, check_mode):
    """Write what was found for all to read; return the paths (list of str) that differed, which check mode only names.

    found: plain data (dict). render: makes the page (str) of it. page, data: where the page and the JSON go, None for
    nowhere. Whoever reads a file meanwhile sees the old one or the new one. Raises RolloutError.
    """
    texts = {}
    if page:
        texts[page] = render(found)
    if data:
        texts[data] = json.dumps(found, indent=1, sort_keys=True) + "\n"
    written = [path for path, text in texts.items() if _differs(path, text)]
    if not check_mode:
        for path in written:
            _replace(path, texts[path])
    return written


def _differs(path, text):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read() != text
    except (OSError, UnicodeDecodeError):
        return True


def _replace(path, text):
    try:
        handle, new = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".livepatch-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            os.chmod(new, 0o644)
            os.rename(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise RolloutError(
            f"{path}: expected to write it, found {error.strerror}. Give a path in a directory that is there and writable."
        ) from None

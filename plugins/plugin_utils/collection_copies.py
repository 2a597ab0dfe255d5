# Which copy of the collection runs, and which others Ansible could have found. Reads the files of these copies only.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import re

PLACE = os.path.join("ansible_collections", "kernel", "livepatch")
HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def copy(path=HERE):
    """Return {version, path} of the copy that lies at `path`; version is None where nothing tells it."""
    return {"version": _built(path) or _checkout(path), "path": path}


def others(directories, path=HERE):
    """Return the copies (list, as of copy()) in directories of collections that are not the one at `path`."""
    places = [os.path.join(directory, PLACE) for directory in directories]
    real = {os.path.realpath(place): place for place in reversed(places) if os.path.isdir(place)}
    real.pop(os.path.realpath(path), None)
    return [copy(place) for place in places if place in real.values()]


def warning(running, unused):
    """Return the words (str) for people on copies that are not used."""
    return (
        f"Ansible finds more than one kernel.livepatch: {_words(running)} runs, {', '.join(map(_words, unused))} does not. "
        "Remove what is not wanted, or name its directory last in ANSIBLE_COLLECTIONS_PATH. "
        "`ansible-galaxy collection list kernel.livepatch` shows all."
    )


def _words(found):
    return f"{found['version'] or 'an unknown version'} in {found['path']}"


def _built(path):
    """Return the version that ansible-galaxy wrote when it built this copy, or None."""
    try:
        with open(os.path.join(path, "MANIFEST.json"), encoding="utf-8") as manifest:
            return str(json.load(manifest)["collection_info"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checkout(path):
    """Return the version of a copy that was never built, or None."""
    try:
        with open(os.path.join(path, "galaxy.yml"), encoding="utf-8") as text:
            found = re.search(r"(?m)^version: *(\S+)$", text.read())
    except (OSError, ValueError):
        return None
    return found.group(1) if found else None

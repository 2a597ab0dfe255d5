# Puts the checkout where Ansible finds a collection: .../ansible_collections/kernel/livepatch.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: collection.py link | copy DIRECTORY

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = Path("ansible_collections/kernel/livepatch")


def link(parent=ROOT / ".work/collections"):
    """Return a collections path that holds a link to the checkout: for playbooks and plain pytest."""
    place = parent / PLACE
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.is_symlink() or os.readlink(str(place)) != str(ROOT):
        temporary = place.with_name("link-%d" % os.getpid())
        temporary.symlink_to(ROOT)
        temporary.replace(place)  # test runs beside each other never see the link missing
    return parent


def files():
    """Return the files of the checkout that belong to the collection, committed or not, relative to it."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def copy(parent):
    """Return the collection's directory after copying it below parent: ansible-test wants a git tree of its own."""
    place = Path(parent) / PLACE
    shutil.rmtree(str(place), ignore_errors=True)
    for name in files():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(ROOT / name), str(place / name), follow_symlinks=False)
    subprocess.run(["git", "init", "--quiet", str(place)], check=True)
    subprocess.run(["git", "-C", str(place), "add", "--all"], check=True)
    return place


if __name__ == "__main__":
    if sys.argv[1:] == ["link"]:
        link()
    elif len(sys.argv) == 3 and sys.argv[1] == "copy":
        print(copy(sys.argv[2]))
    else:
        sys.exit("usage: collection.py link | copy DIRECTORY")

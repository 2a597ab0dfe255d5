# The kernel that boots next: which it is, and which livepatches lie ready for it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Files only: no process, no privileges. What the boot loader keeps to itself is concluded from the versions, and said.

import collections
import itertools
import os
import re

from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._packages import rpm, vendors

Pending = collections.namedtuple("Pending", "kernel_release known_by")
Pending.__doc__ = """A kernel that is not the running one and boots next. known_by: "boot_loader" (its saved entry), "link"
(vmlinuz points to it) or "version" (it is the newest installed; nothing said more)."""

_LIBRARIES = ("usr/lib/modules", "lib/modules")
_IMAGES = ("boot/vmlinuz-%s", "boot/Image-%s", "boot/image-%s", "boot/vmlinux-%s", "usr/lib/modules/%s/vmlinuz")
_ENVIRONMENTS = ("boot/grub2/grubenv", "boot/grub/grubenv", "boot/efi/EFI/redhat/grubenv")
_LINKS = ("boot/vmlinuz", "boot/Image", "boot/image", "vmlinuz")
# Entries of the boot loader specification, which GRUB shows newest first.
_MENU = "boot/loader/entries"
# So many names of a directory, and directories below one, are looked at.
_MOST = 1000


def pending(root="/", running=None):
    """Return the Pending kernel, or None when the running one boots again as far as can be told.

    running: `uname -r`, read when None.
    """
    running = running or sysfs.kernel_release(root)
    found, known_by = _next(root, installed(root), running)
    if found is None or found == running:
        return None
    # A custom kernel may leave no image where others do: what runs cannot be older than itself.
    if known_by == "version" and age(found) < age(running):
        return None
    return Pending(found, known_by)


def installed(root="/"):
    """Return the releases of the kernels that could boot: those with modules and an image (list of str, oldest first)."""
    names = set()
    for library in _LIBRARIES:
        names.update(_names(os.path.join(root, library)))
    return sorted((name for name in names if _has_image(root, name)), key=age)


def livepatches(root, kernel_release):
    """Return the names of the livepatch modules that lie where packages put them for a kernel (list of str, sorted)."""
    return sorted(set(files(root, kernel_release)))


def files(root, kernel_release, others=False):
    """Return name -> path of these modules; others: with those in and below the directories for modules of every kind."""
    paths = [
        path
        for directory in vendors.directories(kernel_release)
        for path in _modules(os.path.join(root, directory.lstrip("/")))
    ]
    for part in ("updates", "extra") if others else ():
        below = os.walk(os.path.join(root, "usr/lib/modules", kernel_release, part))
        paths += [path for place in sorted(itertools.islice(below, _MOST)) for path in _modules(place[0])]
    found = {}
    for path in paths:
        found.setdefault(rpm.module_of(path), path)
    return found


def age(kernel_release):
    """Return a key that sorts kernel releases by version: numbers as numbers, words before numbers."""
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.findall(r"[0-9]+|[A-Za-z]+", kernel_release)
    ]


def flavour(kernel_release):
    """Return the words of a kernel release that no number follows (list of str): debug, rt, default, but neither el9 nor x86.

    Kernels of one flavour follow each other as versions; those of several lie side by side.
    """
    return re.findall(r"[A-Za-z]+(?![A-Za-z0-9])", kernel_release)


def _next(root, kernels, running):
    """Return (kernel release, how that is known) of what boots next; (None, None) where that cannot be told."""
    entry = _saved_entry(root)
    if entry and re.match(r"[0-9]+(>[0-9]+)*\Z", entry):
        found = _in_menu(root, entry)
        if found in kernels:
            return found, "boot_loader"
        # The first entry is the newest kernel's, as grub-mkconfig writes it; any other needs the menu.
        if entry != "0":
            return None, None
    for kernel in reversed(kernels):
        if entry and (entry == kernel or entry.endswith("-" + kernel) or entry.endswith(" " + kernel)):
            return kernel, "boot_loader"
    for link in _LINKS:
        target = _target(os.path.join(root, link))
        if target in kernels:
            return target, "link"
    rivals = [kernel for kernel in kernels if flavour(kernel) == flavour(running)]
    return (rivals[-1], "version") if rivals else (None, None)


def _in_menu(root, number):
    """Return the kernel release of the menu's entry of that number, None where the menu cannot be read or has no such one."""
    names = [name[: -len(".conf")] for name in _names(os.path.join(root, _MENU)) if name.endswith(".conf")]
    names.sort(key=age, reverse=True)
    if not re.match(r"[0-9]{1,3}\Z", number) or int(number) >= len(names):
        return None
    text = reading.read_text(os.path.join(root, _MENU, names[int(number)] + ".conf")) or ""
    versions = re.findall(r"^version[ \t]+(\S+)", text, re.MULTILINE)
    return versions[0] if versions else None


def _saved_entry(root):
    """The entry that GRUB boots next: next_entry counts once and before saved_entry. None where it is not readable."""
    for path in _ENVIRONMENTS:
        text = reading.read_text(os.path.join(root, path))
        if text:
            values = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
            return values.get("next_entry") or values.get("saved_entry")
    return None


def _target(path):
    try:
        return os.path.basename(os.readlink(path)).partition("-")[2]
    except EnvironmentError:
        return None


def _has_image(root, name):
    return any(os.path.exists(os.path.join(root, image % name)) for image in _IMAGES)


def _modules(directory):
    """The module files in a directory; "{any}" in its path stands for each directory there."""
    before, separator, after = directory.partition("{any}")
    if separator:
        return [path for name in _names(before) for path in _modules(os.path.join(before, name) + after)]
    return [os.path.join(directory, name) for name in _names(directory) if rpm.MODULE_FILE.search(name)]


def _names(directory):
    try:
        return sorted(os.listdir(directory))[:_MOST]
    except EnvironmentError:
        return []

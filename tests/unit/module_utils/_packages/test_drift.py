# The kernel that boots next, and what lies ready for it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._packages import drift

OLD, RUNNING, NEW = "5.14.0-427.9.1.el9_4.x86_64", "5.14.0-427.40.1.el9_4.x86_64", "5.14.0-503.15.1.el9_5.x86_64"


@pytest.fixture
def root(tmp_path):
    return str(tmp_path)


def put(root, path, text=""):
    place = os.path.join(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "w") as stream:
        stream.write(text)


def install(root, *kernels):
    for kernel in kernels:
        put(root, "usr/lib/modules/%s/modules.dep" % kernel)
        put(root, "boot/vmlinuz-%s" % kernel)


def pending(root):
    found = drift.pending(root, RUNNING)
    return found and tuple(found)


def test_a_host_with_one_kernel_has_none_pending(root):
    install(root, RUNNING)
    assert pending(root) is None


def test_the_newest_installed_kernel_boots_next_when_nothing_says_more(root):
    install(root, OLD, RUNNING, NEW)
    assert pending(root) == (NEW, "version")


def test_an_older_kernel_is_not_pending_only_because_it_is_installed(root):
    install(root, OLD)
    assert pending(root) is None


def test_modules_without_a_kernel_that_could_boot_are_no_kernel(root):
    install(root, RUNNING)
    put(root, "usr/lib/modules/%s/extra/left.ko" % NEW)
    assert pending(root) is None
    put(root, "usr/lib/modules/%s/vmlinuz" % NEW)
    assert pending(root) == (NEW, "version")


@pytest.mark.parametrize("entry", ["0123456789abcdef-%s" % OLD, OLD, "Some Linux, with Linux %s" % OLD])
def test_the_saved_entry_of_the_boot_loader_counts_before_the_version(root, entry):
    install(root, OLD, RUNNING, NEW)
    put(root, "boot/grub2/grubenv", "# GRUB Environment Block\nsaved_entry=%s\nboot_success=1\n####" % entry)
    assert pending(root) == (OLD, "boot_loader")


def test_the_entry_for_the_next_boot_only_counts_before_the_saved_one(root):
    install(root, OLD, RUNNING, NEW)
    put(root, "boot/grub2/grubenv", "saved_entry=a-%s\nnext_entry=a-%s\n" % (RUNNING, NEW))
    assert pending(root) == (NEW, "boot_loader")


def test_a_saved_entry_for_the_running_kernel_holds_a_newer_one_back(root):
    install(root, RUNNING, NEW)
    put(root, "boot/grub2/grubenv", "saved_entry=a-%s\n" % RUNNING)
    assert pending(root) is None


@pytest.mark.parametrize("flavour", ["+debug", "+rt", "+64k"])
def test_a_kernel_of_another_flavour_does_not_boot_because_it_is_newer(root, flavour):
    install(root, RUNNING, RUNNING + flavour, NEW + flavour)
    assert pending(root) is None
    install(root, NEW)
    assert pending(root) == (NEW, "version")


@pytest.mark.parametrize(
    "one, other, same",
    [
        (RUNNING, NEW, True),
        ("6.1.0-56-amd64", "6.1.0-57-cloud-amd64", False),
        ("6.4.0-150600.23.7-default", "6.4.0-150600.23.14-rt", False),
        ("5.15.0-3.60.5.1.el9uek.x86_64", NEW, False),
        ("5.10.0-60.91.0.115.oe2203.x86_64", "5.10.0-136.oe2203sp1.x86_64", True),
        ("6.12.0-160000.5-default", "6.12.0-160000.26-default", True),
        ("6.1.5-1.ppc64le", "6.1.7-1.ppc64le", True),
    ],
)
def test_a_flavour_is_what_the_release_says_in_words_without_numbers(one, other, same):
    assert (drift.flavour(one) == drift.flavour(other)) is same


def entries(root, *kernels):
    for kernel in kernels:
        text = "title Some Linux (%s)\nversion %s\nlinux /vmlinuz-%s\n" % (kernel, kernel, kernel)
        put(root, "boot/loader/entries/0123-%s.conf" % kernel, text)
    put(root, "boot/loader/entries/0123-0-rescue.conf", "version 0-rescue-0123\nlinux /vmlinuz-0-rescue-0123\n")


@pytest.mark.parametrize(
    "number, found", [("0", (NEW, "boot_loader")), ("1", None), ("2", (OLD, "boot_loader")), ("3", None)]
)
def test_a_saved_number_is_that_of_the_entry_in_the_menu(root, number, found):
    install(root, OLD, RUNNING, NEW)
    entries(root, OLD, RUNNING, NEW)
    put(root, "boot/grub2/grubenv", "saved_entry=%s\n" % number)
    assert pending(root) == found


@pytest.mark.parametrize("number", ["1", "1>2", "99999999999999999999999"])
def test_a_saved_number_without_a_menu_to_read_leaves_the_next_kernel_unknown(root, number):
    install(root, OLD, RUNNING, NEW)
    put(root, "boot/grub2/grubenv", "saved_entry=%s\n" % number)
    assert pending(root) is None


def test_a_saved_entry_that_names_no_installed_kernel_says_nothing(root):
    install(root, RUNNING, NEW)
    put(root, "boot/grub2/grubenv", "saved_entry=0\n")
    assert pending(root) == (NEW, "version")


@pytest.mark.parametrize("link", ["boot/vmlinuz", "vmlinuz"])
def test_where_vmlinuz_points_to_boots_next(root, link):
    install(root, OLD, RUNNING, NEW)
    os.symlink("vmlinuz-%s" % OLD, os.path.join(root, link))
    assert pending(root) == (OLD, "link")


def test_versions_are_compared_as_numbers():
    order = ["5.9.16-1", "5.10.0-9-amd64", "5.10.0-56-amd64", "6.12.0-rc1", "6.12.0-1-amd64", "6.12.107+deb13-amd64"]
    assert sorted(reversed(order), key=drift.age) == order


@pytest.mark.parametrize(
    "path, name",
    [
        ("usr/lib/modules/%s/livepatch/livepatch-6-150400_2_2.ko.xz", "livepatch_6_150400_2_2"),
        ("usr/lib/livepatching/%s/livepatch_5_15_94_1.ko", "livepatch_5_15_94_1"),
        ("var/lib/kpatch/%s/kpatch-5_14_0-427_40_1-1-5.ko", "kpatch_5_14_0_427_40_1_1_5"),
        ("var/khotfix/%s/4121479/kpatch-4121479.ko", "kpatch_4121479"),
        ("usr/lib/syscare/patches/c5d6e7f8/vmlinux.ko", "vmlinux"),
    ],
)
def test_the_livepatches_of_every_vendor_are_found_where_they_lie(root, path, name):
    path = path % NEW if "%s" in path else path
    put(root, path)
    put(root, os.path.dirname(path) + "/README")
    assert drift.files(root, NEW) == {name: os.path.join(root, path)}
    assert drift.livepatches(root, NEW) == [name]


def test_a_module_among_those_of_every_kind_is_found_by_name_but_is_not_taken_for_a_livepatch(root):
    put(root, "usr/lib/modules/%s/extra/driver.ko" % NEW)
    put(root, "usr/lib/modules/%s/extra/vendor/deep/below.ko.xz" % NEW)
    assert drift.livepatches(root, NEW) == []
    assert list(drift.files(root, NEW, others=True)) == ["driver", "below"]


def test_a_host_without_any_of_the_directories_has_no_livepatches(root):
    assert drift.livepatches(root, NEW) == []
    assert drift.pending(root, RUNNING) is None

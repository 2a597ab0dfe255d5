"""Packages that behave as those of vendors: their names, their places, and what their scripts do to the kernel and its next boot.

Written from what is known of the vendors' spec files, of which none is here. The names are the vendors', with the kernel as
Debian calls it; so a guest is a host of the vendor by its os-release alone.
"""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib
import shutil

from tests.lab import cache, keys, modules, packages, processes, progress
from tests.lab.kernels import Kernel

# What the scripts and dependencies of the others expect to be installed, which a guest has from Debian.
HOST = "lab-host"

_SPEC = """\
%global __os_install_post %{{nil}}
%global debug_package %{{nil}}
%global _build_id_links none

Name: {name}
Version: {version}
Release: {release}
Summary: {summary}
License: GPL-2.0-only
AutoReqProv: no
{tags}

%description
{summary}

%install
{install}

{scripts}

%files
{files}

%changelog
* Thu Jan 01 2026 Livepatch Lab <lab@example.org> - {version}-{release}
{changes}
"""

# Loads unless that would be a way back, and ends well whatever comes of it; what kpatch installs, the next boot loads.
_RHEL_POST = """\
kpatch install -k {kernel} {file}
sync
if [ "$(uname -r)" = {kernel} ]; then
    newer=
    for loaded in /sys/kernel/livepatch/{stream}_*; do
        number=${{loaded##*/{stream}_}}
        [ -d "$loaded" ] && [ "$(printf '%s\\n' "$number" {number} | sort -t _ -k 1,1n -k 2,2n | tail -n 1)" != {number} ] && newer=$number
    done
    if [ -n "$newer" ]; then
        echo "WARNING: {stream}_$newer is loaded, which is newer than this package."
        echo "WARNING: reboot to load a downgraded kpatch-patch."
    else
        kpatch load {file}
    fi
fi
exit 0
"""
_RHEL_POSTUN = "kpatch uninstall -k {kernel} {module}\n"

_AZURE_POST = """\
if [ -f {file} ] && [ "$(uname -r)" = {kernel} ]; then
    kpatch list | grep -q '^{module} .enabled' || kpatch load {file}
    kpatch list | grep -q '^{module} .{kernel}' || kpatch install {file}
fi
"""
_AZURE_PREUN = """\
if kpatch list | grep -q '^{module} .{kernel}'; then kpatch uninstall {module}; fi
if kpatch list | grep -q '^{module} .enabled'; then kpatch unload {module}; fi
"""

_AMAZON_POST = """\
for file in {each}; do
    kpatch install -k {kernel} "$file"
    [ "$(uname -r)" != {kernel} ] || kpatch load "$file"
done
exit 0
"""
_AMAZON_POSTUN = "for module in {each_module}; do kpatch uninstall -k {kernel} \"$module\"; done\n"

_SUSE_POST = """\
[ "$(uname -r)" != {kernel} ] || insmod {file}
exit 0
"""


@dataclasses.dataclass(frozen=True)
class Livepatch:
    """One package. sources: release of the lab -> the module's name; scripts: section of the spec file -> text."""

    name: str
    version: str
    release: str
    sources: dict[str, str]
    directory: str = ""
    tags: tuple[str, ...] = ()
    scripts: dict[str, str] = dataclasses.field(default_factory=dict)
    file: str = "{module}"

    @property
    def nevra(self) -> str:
        """What rpm calls it when it is installed."""
        return f"{self.name}-{self.version}-{self.release}.x86_64"


def rhel(kernel: str, version: str, release: str, source: str | None, **scripts: str) -> Livepatch:
    """As of RHEL 8 and 9. Version 0 is the empty first one; source: None for that."""
    name = "kpatch-patch-" + kernel.replace(".", "_")
    stream = "kpatch_" + _identifier(kernel)
    number = f"{version}_{_identifier(release)}"
    full = f"{name}-{version}-{release}"
    tags = ("Requires: kpatch", "Requires: systemd", f"Requires: kernel-uname-r = {_one_dash(kernel)}",
            f"Provides: kpatch-patch = {_one_dash(kernel)}")
    if source is None:
        return Livepatch(name, version, release, {}, tags=tags)
    values = {"stream": stream, "number": number}
    made = {"post": _RHEL_POST, "postun": _RHEL_POSTUN, **scripts}
    return Livepatch(name, version, release, {source: f"{stream}_{number}"}, f"/usr/lib/kpatch/{kernel}",
                     (*tags, f"Conflicts: {name} < {version}-{release}"), _filled(made, values),
                     "kpatch-" + full.removeprefix("kpatch-patch-"))


def amazon(kernel: str, version: str, release: str, sources: dict[str, str]) -> Livepatch:
    """As of Amazon Linux: any number of modules, called after what they mend."""
    return Livepatch(f"kernel-livepatch-{kernel}", version, release, sources, f"/usr/lib/kpatch/{kernel}",
                     ("Requires: kpatch",), {"post": _AMAZON_POST, "postun": _AMAZON_POSTUN})


def suse(kernel: str, version: str, release: str, source: str) -> Livepatch:
    """As of SLE: several versions lie beside each other, as zypp.conf says of what provides multiversion(kernel)."""
    return Livepatch("kernel-livepatch-" + kernel.replace(".", "_"), version, release, {source: f"livepatch_{version}_{_identifier(release)}"},
                     f"/usr/lib/modules/{kernel}/livepatch", ("Provides: multiversion(kernel)",), {"post": _SUSE_POST},
                     f"livepatch-{version}-{_identifier(release)}")


def azure(kernel: str, version: str, release: str, source: str) -> Livepatch:
    """As of Azure Linux: its removal takes the livepatch out of the kernel, too."""
    module = _identifier(f"livepatch-{kernel}-{version}-{release}")
    return Livepatch(f"livepatch-{kernel}", version, release, {source: module}, f"/usr/lib/livepatching/{kernel}",
                     ("Requires: kpatch", f"Provides: livepatch = {_one_dash(kernel)}"), {"post": _AZURE_POST, "preun": _AZURE_PREUN})


def meta(kernel: str, version: str, source: str, loads: bool) -> Livepatch:
    """As of Meta: the payload lies in kpatch's own directory. loads: whether the package loads all that lies there (bool)."""
    return Livepatch(f"klp-{kernel}", version, "r1", {source: f"klp_{version}"}, f"/var/lib/kpatch/{kernel}",
                     scripts={"post": "kpatch load --all\n"} if loads else {})


def build(kernel: Kernel, livepatches: list[Livepatch]) -> pathlib.Path:
    """The directory with the signed RPMs of these livepatches, and the one of what they expect of a host (HOST)."""
    inputs = [_SPEC, repr(livepatches), str(kernel.tree), kernel.release, modules.SOURCES, str(keys.get()),
              cache.code(_build, _build_modules, _build_package, _host)]
    return cache.entry("vendor-packages", inputs, lambda work: _build(kernel, livepatches, work))


def _build(kernel: Kernel, livepatches: list[Livepatch], work: pathlib.Path) -> None:
    with progress.step(f"kernel {kernel.release}: build packages like vendors'"):
        made = work / ".modules"
        _build_modules(kernel, livepatches, made)
        for livepatch in [*livepatches, _host(kernel.release)]:
            _build_package(kernel.release, livepatch, made, work)
        shutil.rmtree(made)
        packages.sign_packages(sorted(work.glob("*.rpm")), "lab")


def _build_modules(kernel: Kernel, livepatches: list[Livepatch], made: pathlib.Path) -> None:
    """NAME.ko of every module, as few at a time as there are names for one source."""
    made.mkdir()
    left = sorted({(module, source) for livepatch in livepatches for source, module in livepatch.sources.items()})
    while left:
        batch = {source: module for module, source in reversed(left)}
        build = made / "batch"
        build.mkdir()
        modules.build_as(kernel, batch, build)
        for source, module in batch.items():
            (build / f"{source}.ko").rename(made / f"{module}.ko")
        build.rmdir()
        left = [pair for pair in left if batch[pair[1]] != pair[0]]


def _build_package(kernel: str, livepatch: Livepatch, made: pathlib.Path, work: pathlib.Path) -> None:
    installed = {module: f"{livepatch.directory}/{livepatch.file.format(module=module)}.ko" for module in livepatch.sources.values()}
    values = {"kernel": kernel, "each": " ".join(installed.values()), "each_module": " ".join(installed),
              "module": next(iter(installed), ""), "file": next(iter(installed.values()), "")}
    top = work / ".rpmbuild"
    top.mkdir()
    cves = sorted({cve for source in livepatch.sources for cve in packages.CVES.get(source, [])})
    spec = top / "livepatch.spec"
    spec.write_text(_SPEC.format(
        name=livepatch.name, version=livepatch.version, release=livepatch.release, tags="\n".join(livepatch.tags),
        summary=f"Packaged for the kernel {kernel}",
        install="\n".join(f"install -D -m 0755 {made / module}.ko %{{buildroot}}{path}" for module, path in installed.items()),
        files="\n".join(installed.values()),
        scripts="\n".join(f"%{section}\n{text.format(**values)}" for section, text in livepatch.scripts.items()),
        changes="\n".join(f"- {cve} kernel: mended by livepatch" for cve in cves) or "- nothing is mended"))
    processes.run(["rpmbuild", "--quiet", "-bb", "--target", "x86_64-linux", "--define", f"_topdir {top}", "--define", f"_rpmdir {work}",
                   "--define", "_binary_payload w1.gzdio", "--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", str(spec)])
    shutil.rmtree(top)


def _host(kernel: str) -> Livepatch:
    """What the guest has from Debian, for rpm to know."""
    has = ["/bin/sh", "kpatch", "systemd", "coreutils", f"kernel-uname-r = {_one_dash(kernel)}"]
    return Livepatch(HOST, "1", "1", {}, tags=tuple(f"Provides: {one}" for one in has))


def _filled(scripts: dict[str, str], values: dict[str, str]) -> dict[str, str]:
    for key, value in values.items():
        scripts = {section: text.replace("{" + key + "}", value) for section, text in scripts.items()}
    return scripts


def _identifier(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text)


def _one_dash(kernel: str) -> str:
    """A version may have one dash, and Debian's kernels have two."""
    head, dummy, tail = kernel.partition("-")
    return f"{head}-{tail.replace('-', '.')}"

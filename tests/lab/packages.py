"""The lab's livepatches as RPMs like a vendor's, and the signed repository that offers them."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import shutil

from tests.lab import cache, keys, modules, processes, progress
from tests.lab.kernels import Kernel

# A good livepatch in a package that somebody unknown has signed.
BAD_SIGNATURE = "badsig"

# What the releases mend, as a vendor says it: in the changelog, and in an advisory of the repository's updateinfo. They are
# cumulative. The third of hotfix3 is only in the changelog, as an advisory often comes later.
CVES = {
    "hotfix1": ["CVE-2026-40001"],
    "hotfix2": ["CVE-2026-40001", "CVE-2026-40002"],
    "hotfix3": ["CVE-2026-40001", "CVE-2026-40002", "CVE-2026-40003"],
}
_WITHOUT_ADVISORY = "CVE-2026-40003"

# rpm would strip the module, and link its build id to where another version's is.
_SPEC = """\
%global __os_install_post %{{nil}}
%global debug_package %{{nil}}
%global _build_id_links none

Name: klp-{kernel}
Version: {release}
Release: 1
Summary: Livepatch {release} for the kernel {kernel}
License: GPL-2.0-only
Group: System/Kernel
AutoReqProv: no

%description
A cumulative livepatch for the kernel {kernel}. Installing it changes files
only: nothing is loaded until somebody, or the next boot, loads the module.

%install
install -D -m 0644 {source} %{{buildroot}}/usr/lib/modules/{kernel}/livepatch/{module}.ko

{post}
%files
%dir /usr/lib/modules/{kernel}/livepatch
/usr/lib/modules/{kernel}/livepatch/{module}.ko

%changelog
* Thu Jan 01 2026 Livepatch Lab <lab@example.org> - {release}-1
{changes}
"""

_ADVISORY = """\
  <update from="lab@example.org" status="stable" type="security" version="1">
    <id>LAB-2026-{release}</id>
    <title>Livepatch {release}</title>
    <issued date="2026-01-01 00:00:00"/>
    <severity>Important</severity>
    <references>{references}</references>
    <pkglist><collection short="lab"><name>lab</name>{packages}</collection></pkglist>
  </update>
"""
_REFERENCE = '<reference href="https://example.org/{cve}" id="{cve}" type="cve" title="{cve}"/>'
_PACKAGE = '<package name="{name}" version="{release}" release="1" epoch="0" arch="x86_64"><filename>{file}</filename></package>'


def get(kernel: Kernel) -> pathlib.Path:
    """The directory with one signed RPM for each release, for this kernel."""
    inputs = [_SPEC, str(modules.get(kernel)), str(keys.get()), str(CVES), cache.code(_build, build_package, sign_packages)]
    return cache.entry("packages", inputs, lambda work: _build(kernel, work))


def _build(kernel: Kernel, work: pathlib.Path) -> None:
    built = modules.get(kernel)
    with progress.step(f"kernel {kernel.release}: build and sign packages"):
        for release in modules.releases():
            build_package(kernel.release, release, modules.module_name(release), built / f"{release}.ko", work)
        sign_packages(sorted(work.glob("*.rpm")), "lab")
        bad = build_package(kernel.release, BAD_SIGNATURE, BAD_SIGNATURE, built / "hotfix1.ko", work)
        sign_packages([bad], "stranger")


# Loads its livepatch when it is installed, as the packages of some vendors do: whatever comes of it, it ends well. In Lua,
# as a shell would have to be in a package for this one.
LOADS = """
%post -p <lua>
os.execute([[
if insmod /usr/lib/modules/{kernel}/livepatch/{module}.ko; then
    while [ "$(cat /sys/kernel/livepatch/{module}/transition)" = 1 ]; do sleep 1; done
fi
]])
"""


def build_package(kernel_release: str, release: str, module: str, source: pathlib.Path, directory: pathlib.Path, post: str = "") -> pathlib.Path:
    """Build an unsigned RPM around one module file and return its path. post: a scriptlet, such as LOADS."""
    name = f"klp-{kernel_release}-{release}-1.x86_64.rpm"
    top = directory / f".rpmbuild-{release}"
    top.mkdir()
    spec = top / "livepatch.spec"
    changes = "\n".join(f"- {cve} kernel: mended by livepatch" for cve in CVES.get(release, [])) or f"- {release}: see the advisory"
    spec.write_text(_SPEC.format(kernel=kernel_release, release=release, module=module, source=source, changes=changes,
                                 post=post.format(kernel=kernel_release, module=module)))
    processes.run(["rpmbuild", "--quiet", "-bb", "--target", "x86_64-linux", "--define", f"_topdir {top}",
                   "--define", f"_rpmdir {directory}", "--define", "_binary_payload w1.gzdio",
                   "--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", str(spec)])
    shutil.rmtree(top)
    return directory / name


def sign_packages(files: list[pathlib.Path], signer: str) -> None:
    """Sign RPMs as "lab" or as "stranger"."""
    user = {"lab": keys.SIGNER, "stranger": keys.STRANGER}[signer]
    with keys.keyring(signer) as home:
        processes.run(["rpmsign", "--define", f"_gpg_name {user}", "--define", f"_gpg_path {home}",
                       "--define", f"__gpg {shutil.which('gpg')}", "--addsign", *map(str, files)],
                      env={"GNUPGHOME": str(home)})


def write_metadata(directory: pathlib.Path) -> None:
    """Make a directory of RPMs a repository, or bring it up to date, and sign its metadata."""
    processes.run(["createrepo_c", "--quiet", "--no-database", str(directory)])
    advisories = directory / ".updateinfo.xml"
    advisories.write_text(_advisories(directory))
    processes.run(["modifyrepo_c", "--mdtype=updateinfo", "--new-name=updateinfo.xml", str(advisories), str(directory / "repodata")])
    advisories.unlink()
    index = directory / "repodata/repomd.xml"
    with keys.keyring("lab") as home:
        keys.gpg(home, ["--armor", "--detach-sign", "--output", f"{index}.asc", str(index)])
    shutil.copyfile(keys.get() / "lab.asc", f"{index}.key")


def _advisories(directory: pathlib.Path) -> str:
    """The updateinfo of the RPMs in a directory: one advisory for each release that mends something."""
    updates = []
    for release, cves in CVES.items():
        files = sorted(path.name for path in directory.glob(f"klp-*-{release}-1.x86_64.rpm"))
        references = "".join(_REFERENCE.format(cve=cve) for cve in cves if cve != _WITHOUT_ADVISORY)
        packages = "".join(_PACKAGE.format(name=file[: -len(f"-{release}-1.x86_64.rpm")], release=release, file=file) for file in files)
        updates.append(_ADVISORY.format(release=release, references=references, packages=packages))
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n" + "".join(updates) + "</updates>\n"


def get_repository(kernels: list[Kernel]) -> pathlib.Path:
    """A repository with the packages for these kernels. It is the cache's: copy it before changing it."""
    sources = [get(kernel) for kernel in kernels]
    inputs = [*map(str, sources), _ADVISORY, _REFERENCE, _PACKAGE, cache.code(_collect, write_metadata, _advisories)]
    return cache.entry("repositories", inputs, lambda work: _collect(sources, work))


def _collect(sources: list[pathlib.Path], work: pathlib.Path) -> None:
    with progress.step("make the repository"):
        for source in sources:
            shutil.copytree(source, work, dirs_exist_ok=True)
        write_metadata(work)

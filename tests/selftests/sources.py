# The modules of the kernel's livepatch selftests and samples, from Debian's package of its sources, for one kernel.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The module livepatch gives no parameters to what it loads: where a scenario wants one, a copy of the module has it as
# its default.

import re
import shutil

from tests.lab import cache, modules, processes, progress, suites

SUITE = "sid"
_DIRECTORIES = ("tools/testing/selftests/livepatch/test_modules", "samples/livepatch")

# Copies by their names: (module, parameter, default).
COPIES = {
    "test_klp_atomic_replace_r": ("test_klp_atomic_replace", "replace", "1"),
    "test_klp_callbacks_demo2_r": ("test_klp_callbacks_demo2", "replace", "1"),
}
# What a pre-patch callback answers, as errno: some mean another thing where the kernel's loader of modules says so.
ERRNOS = (1, 2, 8, 12, 16, 17, 19, 22, 126, 129)
for _errno in ERRNOS:
    COPIES["test_klp_callbacks_demo_e%d" % _errno] = ("test_klp_callbacks_demo", "pre_patch_ret", "-%d" % _errno)

# What the samples use and older kernels lack.
_COMPATIBLE = "\n#ifndef secs_to_jiffies\n#define secs_to_jiffies(s) msecs_to_jiffies((s) * 1000)\n#endif\n"


def package():
    """The name and version of the package that the sources are from: (str, str)."""
    return suites.package_version(SUITE, "linux-source", "linux-source-")


def get(kernel):
    """Return the directory with NAME.ko for every module and every copy, for a kernel of the lab (kernels.Kernel)."""
    name, version = package()
    taken = [name, version, *_DIRECTORIES, cache.code(_unpack)]
    sources = cache.entry("selftest-sources", taken, lambda work: _unpack(name, work))
    inputs = [sources, *modules.recipe(kernel), str(COPIES), _COMPATIBLE, cache.code(_build, _with_default)]
    return cache.entry("selftest-modules", inputs, lambda work: _build(sources, kernel, work))


def _unpack(name, work):
    file = suites.download(SUITE, name, work)
    processes.run(["dpkg-deb", "--extract", str(file), str(work / "package")])
    file.unlink()
    archive = work / "package/usr/src" / (name + ".tar.xz")
    wanted = ["*/%s/*.c" % directory for directory in _DIRECTORIES]
    processes.run(["tar", "-xf", str(archive), "--wildcards", "--transform", "s,.*/,,", *wanted], cwd=work)
    shutil.rmtree(work / "package")


def _build(sources, kernel, work):
    texts = {path.stem.replace("-", "_"): path.read_text() for path in sources.glob("*.c")}
    texts.update({copy: _with_default(texts[name], *change) for copy, (name, *change) in COPIES.items()})
    with progress.step("kernel %s: build the kernel's selftests" % kernel.release):
        for name, text in texts.items():
            if "secs_to_jiffies" in text:
                end = text.index("\n", text.rindex("#include"))
                text = text[:end] + _COMPATIBLE + text[end:]
            (work / (name + ".c")).write_text(text)
        (work / "Kbuild").write_text("".join("obj-m += %s.o\n" % name for name in texts))
        modules.compile_in(work, kernel)
    for path in work.iterdir():
        if path.suffix != ".ko":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _with_default(text, parameter, value):
    """The source text of a module whose parameter has another default."""
    pattern = r"^static (int|bool) %s( = [^;]*)?;" % parameter
    text, count = re.subn(pattern, r"static \1 %s = %s;" % (parameter, value), text, flags=re.MULTILINE)
    assert count == 1, (parameter, count)
    return text

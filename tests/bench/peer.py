# The same situations given to the script kpatch and to the module livepatch, on the same guests: what each makes of them.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: python -m tests.bench.peer [--kernels "6.1 7.2"] [--output docs/kpatch.md]

import argparse
import collections
import json
import lzma
import pathlib
import tarfile
import tempfile

from tests.endurance import guests
from tests.lab import cache, kernels, suites
from tests.lab.fleet import Fleet

HERE = guests.HERE
WORK = pathlib.Path(__file__).resolve().parents[2] / ".work" / "peer"
RELEASES = ("hotfix1", "hotfix2", "hotfix1_rebuilt", "stalls", "wrong_vermagic", "addon_a")
# kpatch is a script; what it calls and a small guest lacks is readelf.
_KPATCH, _READELF = ("sid", "kpatch", "usr/sbin/kpatch"), ("bookworm", "binutils", "usr/bin/x86_64-linux-gnu-readelf")
_LIBRARIES = ("libctf-nobfd.so*", "libsframe.so*", "libbfd-*.so", "libopcodes-*.so")

# prepare: commands of a shell. kpatch: its arguments. options: of the module livepatch.
Situation = collections.namedtuple("Situation", "title prepare kpatch options")

_INSMOD = "insmod %s/{}.ko; while grep -q 1 /sys/kernel/livepatch/{}/transition 2>/dev/null; do sleep 0.2; done" % HERE
SITUATIONS = [
    Situation("Load a livepatch", [], ["load", "hotfix1.ko"], {"path": "hotfix1.ko"}),
    Situation("Load it again", ["hotfix1"], ["load", "hotfix1.ko"], {"path": "hotfix1.ko"}),
    Situation("Replace it by the next one", ["hotfix1"], ["load", "hotfix2.ko"], {"path": "hotfix2.ko"}),
    Situation(
        "Back to one whose module was left behind",
        ["hotfix1", "hotfix2"],
        ["load", "hotfix1.ko"],
        {"path": "hotfix1.ko"},
    ),
    Situation(
        "Load other code under the same name",
        ["hotfix1"],
        ["load", "rebuilt/hotfix1.ko"],
        {"path": "rebuilt/hotfix1.ko"},
    ),
    Situation(
        "Load one that was built for another kernel", [], ["load", "wrong_vermagic.ko"], {"path": "wrong_vermagic.ko"}
    ),
    Situation(
        "Load one with a function that this kernel lacks", [], ["load", "no_symbol.ko"], {"path": "no_symbol.ko"}
    ),
    Situation("Load a compressed one", [], ["load", "hotfix2.ko.xz"], {"path": "hotfix2.ko.xz"}),
    Situation("Load one whose transition never ends", ["hotfix1"], ["load", "stalls.ko"], {"path": "stalls.ko"}),
    Situation(
        "Load one while another transition does not end",
        ["hotfix1", "stalls&"],
        ["load", "hotfix2.ko"],
        {"path": "hotfix2.ko", "timeout": 15},
    ),
    Situation("Unload", ["hotfix1"], ["unload", "hotfix1"], {"name": "hotfix1", "state": "absent"}),
    Situation("Unload one that is not loaded", [], ["unload", "hotfix1"], {"name": "hotfix1", "state": "absent"}),
]

# What the kernel shows afterwards.
_SHOWN = r"""
cd /sys/kernel/livepatch
for p in *; do [ -d $p ] && echo "livepatch $p $(cat $p/enabled) $(cat $p/transition)"; done
for m in /sys/module/*/taint; do grep -q K $m && echo "module $(basename $(dirname $m))"; done
echo "version $(grep -o '\[hotfix[^]]*\]' /proc/version | tr -d '[]')"
"""
_CLEAN = r"""
cd /sys/kernel/livepatch
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  for p in *; do [ -d $p ] && grep -q 1 $p/enabled && echo 0 2>/dev/null >$p/enabled; done
  for m in /sys/module/*/taint; do grep -q K $m && rmmod $(basename $(dirname $m)) 2>/dev/null; done
  [ -z "$(ls)" ] && ! grep -q K /sys/module/*/taint && exit 0
  sleep 1
done
exit 1
"""

Outcome = collections.namedtuple("Outcome", "status seconds shown words")


def tools():
    """The cached directory with kpatch and readelf, unpacked from their packages."""
    inputs = [*_KPATCH, *_READELF, *_LIBRARIES, *suites.recipe(), cache.code(_unpack)]
    return cache.entry("peer", inputs, _unpack)


def _unpack(work):
    for suite, package, path in (_KPATCH, _READELF):
        suites.unpack(suite, [package], work / suite)
        target = work / pathlib.Path(path).name.replace("x86_64-linux-gnu-", "")
        target.write_bytes((work / suite / path).read_bytes())
    for pattern in _LIBRARIES:
        for path in (work / _READELF[0] / "usr/lib/x86_64-linux-gnu").glob(pattern):
            (work / path.name).write_bytes(path.resolve().read_bytes())
    for suite in (_KPATCH[0], _READELF[0]):
        cache.remove(work / suite)


def put(fleet, guest):
    """Put both tools and the livepatches, wrong ones among them, into a guest."""
    kernel = guest.machine.kernel.name
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        for release in RELEASES:
            (work / (release + ".ko")).write_bytes(fleet.module(release, kernel).read_bytes())
        plain = (work / "hotfix1.ko").read_bytes()
        (work / "no_symbol.ko").write_bytes(plain.replace(b"version_proc_show", b"version_proc_shoX"))
        (work / "hotfix2.ko.xz").write_bytes(lzma.compress((work / "hotfix2.ko").read_bytes(), check=lzma.CHECK_CRC32))
        (work / "rebuilt").mkdir()
        (work / "hotfix1_rebuilt.ko").rename(work / "rebuilt" / "hotfix1.ko")
        with tarfile.open(work / "tools.tar", "w") as tar:
            tar.add(tools(), "tools")
        guests.put(guest, [*work.iterdir()])
    place = "cd %s && tar -xf tools.tar && chmod +x tools/kpatch tools/readelf && cp tools/kpatch tools/readelf /usr/local/bin "
    assert (
        guest.ssh(
            [
                "sh",
                "-c",
                (place + "&& cp tools/*.so* /usr/lib/x86_64-linux-gnu/ && ldconfig && readelf --version") % HERE,
            ]
        ).returncode
        == 0
    )


def shown(guest):
    """What the kernel shows, in words: (livepatches, livepatch modules that are not enabled, what /proc/version says)."""
    lines = [line.split() for line in guest.ssh(["sh", "-c", _SHOWN]).stdout.splitlines()]
    patches = {line[1]: "in transition" if line[3] == "1" else "enabled" for line in lines if line[0] == "livepatch"}
    left = [line[1] for line in lines if line[0] == "module" and line[1] not in patches]
    runs = ["code of %s" % line[1] for line in lines if line[0] == "version" and len(line) > 1]
    words = ["%s %s" % pair for pair in sorted(patches.items())] + ["%s left behind" % name for name in left] + runs
    return ", ".join(words) or "nothing loaded"


def prepare(guest, situation):
    for words in situation.prepare:
        name = words.rstrip("&")
        command = "insmod %s/%s.ko" % (HERE, name) if words.endswith("&") else _INSMOD.replace("{}", name)
        assert guest.ssh(["sh", "-c", command]).returncode == 0, words


def timed(guest, command, stdin=None):
    """Run a command in a guest; return (exit status, seconds by the guest's clock, output, errors)."""
    words = 'cd %s; begin=$(date +%%s.%%N); %s; status=$?; echo; echo "took $(date +%%s.%%N) $begin $status"' % (
        HERE,
        command,
    )
    ended = guest.ssh(["bash", "-c", words], stdin=stdin, timeout=900)
    output, unused, took = ended.stdout.rpartition("\ntook ")
    end, begin, status = took.split()
    return int(status), float(end) - float(begin), output.strip(), ended.stderr.strip()


def by_kpatch(guest, situation):
    status, seconds, output, errors = timed(guest, "kpatch " + " ".join(situation.kpatch))
    lines = (errors or output).splitlines()
    return Outcome("exit %d" % status, seconds, shown(guest), lines[-1] if lines else "")


def by_module(guest, situation):
    task = {"name": situation.title, "kernel.livepatch.livepatch": _absolute(situation.options)}
    unused, seconds, output, errors = timed(guest, "python3 in_guest.py " + HERE, json.dumps([task]))
    (result,) = json.loads(output)
    if result["failed"]:
        return Outcome("failed: %s" % result.get("error"), seconds, shown(guest), result["msg"])
    return Outcome(
        "changed" if result["changed"] else "ok", seconds, shown(guest), "proven" if result["proven"] else ""
    )


def _absolute(options):
    return dict(options, path=HERE + "/" + options["path"]) if "path" in options else options


def compare(guest):
    """Return [(Situation, Outcome of kpatch, Outcome of the module)]."""
    found = []
    for situation in SITUATIONS:
        outcomes = []
        for way in (by_kpatch, by_module):
            assert guest.ssh(["sh", "-c", _CLEAN], timeout=120).returncode == 0, "the guest could not be made clean"
            prepare(guest, situation)
            outcomes.append(way(guest, situation))
        print("%s: %s\n  kpatch: %s\n  module: %s" % (guest.kernel_release, situation.title, outcomes[0], outcomes[1]), flush=True)
        found.append((situation, *outcomes))
    return found


def table(rows):
    """Lines of a table (Markdown). rows: [title, Outcome of kpatch, Outcome of the module]."""
    yield "| situation | `kpatch` | s | the kernel afterwards | `livepatch` | s | the kernel afterwards |"
    yield "| --- | --- | ---: | --- | --- | ---: | --- |"
    for title, peer, ours in rows:
        cells = [peer.status, "%.1f" % peer.seconds, peer.shown, ours.status, "%.1f" % ours.seconds, ours.shown]
        yield "| %s | %s |" % (title, " | ".join(cells))


_PAGE = """<!--
Copyright: (c) 2026, kernel.livepatch contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->
# Beside kpatch

The same situations, on the same emulated guests, given to the script `kpatch` {version} (`kpatch load FILE`, `kpatch unload NAME`) and to the \
module `livepatch` with its defaults (but a timeout of 15 seconds where another transition does not end). Measured by \
`python -m tests.bench.peer --output docs/kpatch.md`. Seconds are by the guest's clock; a row in which `livepatch` changes nothing shows what the \
start of Python and of Ansible's library costs an emulated processor. "Left behind" is a livepatch module that is loaded but not enabled. \
`kpatch install`, which is not used here, does compare the kernel's release with that of the module.

{tables}

## What the two said

{words}
"""


def page(measured):
    """The page (str) about what kept() returned."""
    tables = ["## Kernel %s\n\n%s" % (one["kernel"], "\n".join(table(one["rows"]))) for one in measured]
    words = ["The last line of `kpatch`; `msg` of a failed `livepatch`, or that it has proven what it did; on %s:\n" % measured[-1]["kernel"]]
    for title, peer, ours in measured[-1]["rows"]:
        said = [outcome.words.replace("|", "\\|") or "(nothing)" for outcome in (peer, ours)]
        words.append("- %s\n  - `kpatch`: %s\n  - `livepatch`: %s" % (title, *said))
    return _PAGE.format(version=measured[-1]["version"], tables="\n\n".join(tables), words="\n".join(words))


def measure(kernel):
    """Compare on a guest of a kernel; keep and return {"kernel", "version" of kpatch, "rows"}."""
    with tempfile.TemporaryDirectory() as directory, Fleet(pathlib.Path(directory), hosts=1, kernels=[kernel]) as fleet:
        (guest,) = fleet.guests.values()
        put(fleet, guest)
        version = guest.ssh(["kpatch", "version"]).stdout.strip()
        rows = [[situation.title, peer, ours] for situation, peer, ours in compare(guest)]
        found = {"kernel": guest.kernel_release, "version": version, "rows": rows}
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / (kernel + ".json")).write_text(json.dumps(found))
    return found


def kept():
    """What was measured so far, the oldest kernel first."""
    found = [
        json.loads(file.read_text()) for file in (WORK / (name + ".json") for name in kernels.SUITES) if file.exists()
    ]
    for one in found:
        one["rows"] = [[title, Outcome(*peer), Outcome(*ours)] for title, peer, ours in one["rows"]]
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peer")
    parser.add_argument("--kernels", default="6.1 7.2", help="default: %(default)s")
    parser.add_argument(
        "--output", type=pathlib.Path, help="file of the page, which has all kernels that were measured"
    )
    options = parser.parse_args()
    for kernel in options.kernels.split():
        found = measure(kernel)
        print("\n%s\n\n%s" % (found["kernel"], "\n".join(table(found["rows"]))), flush=True)
    if options.output:
        options.output.write_text(page(kept()))


if __name__ == "__main__":
    main()

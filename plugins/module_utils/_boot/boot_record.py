# Which livepatch a host enables by itself when it boots: the record, the program and the units that do it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import hashlib
import os
import re
from collections import OrderedDict, namedtuple

from ansible_collections.kernel.livepatch.plugins.module_utils._change import copies
from ansible_collections.kernel.livepatch.plugins.module_utils._files import reading
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs
from ansible_collections.kernel.livepatch.plugins.module_utils._module_file import module_file

# What kernel releases consist of; it becomes the name of a file.
_KERNEL = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.+~-]*\Z")

KPATCH = "var/lib/kpatch"
# Recorded after the host has booted; and what is said where nobody has written anything in this boot.
WAITING, NOT_STARTED = "waiting", "not_started"
_WAITS = {"state": WAITING, "boots": "0", "reason": "recorded, this host has not booted with it yet"}
_WITHOUT_RECORD = ("other_kernel", "switched_off")
# What the last boot said and the next one would say again.
_STAYS_OUT = ("tripped", "missing", "changed", "refused", "unguarded", "switched_off", NOT_STARTED)

SERVICE = "livepatch-boot.service"
KPATCH_SERVICE = "kpatch.service"
SURVIVED = "livepatch-boot-survived"

# Where things lie, from the root of the file system: /usr may be read-only, /etc and /var are not.
RECORDS = copies.RECORDS
PROGRAM = "etc/livepatch/boot.sh"
UNITS = "etc/systemd/system"
WANTS = UNITS + "/sysinit.target.wants"
# Where units lie that a boot finds, the first one counts (systemd.unit(5)).
_UNIT_DIRECTORIES = (UNITS, "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
GUARDS = "var/lib/livepatch/boot"
# Which livepatches kpatch.service does not load, a file for each kernel release; and what has the service ask there.
HELD = "etc/livepatch/held.d"
DROP_IN = UNITS + "/kpatch.service.d/livepatch.conf"
# There where the place of the counts turned out to be another one after the boot than during it.
UNGUARDED = "etc/livepatch/unguarded"
STATUS = "run/livepatch/boot"

_HELD_HEAD = "# Written by kernel.livepatch: what kpatch.service does not load at a boot of this kernel.\n"
_CHUNK = 1024 * 1024

# Boots in a row that died with the livepatch before it stays out, and how long one must live where nobody says it (minutes).
LIMIT = 2
GUARD_MINUTES = 10

# Values of a record are used in quotes and never evaluated; the module has checked what they may consist of.
SHELL = r"""#!/bin/sh
# Enables the livepatch that is recorded for the running kernel, once per boot, and counts the boots that die of it.
# Written by kernel.livepatch.livepatch_persistence. To clear the guard: sh /etc/livepatch/boot.sh clear
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
root=
kernel=$(uname -r)
records=$root/etc/livepatch/boot.d
held=$root/etc/livepatch/held.d
guards=$root/var/lib/livepatch/boot
unguarded=$root/etc/livepatch/unguarded
run=$root/run/livepatch
limit=@LIMIT@

# field FILE KEY: the value of the line KEY=VALUE.
field() {
    [ -r "$1" ] || return 0
    while IFS= read -r line; do
        case $line in
        "$2="*) printf '%s\n' "${line#*=}"; return 0 ;;
        esac
    done < "$1"
}

# put DIRECTORY NAME CONTENT: replaces the file, and returns when it has reached the disk.
put() {
    mkdir -p "$1" && printf '%s\n' "$3" > "$1/.$2.new" && sync "$1/.$2.new" && mv -f "$1/.$2.new" "$1/$2" && sync "$1"
}

# count BOOTS: how many boots in a row have ended with this livepatch in its first minutes.
count() {
    put "$guards" "$kernel" "sha256=$sha256
boots=$1"
}

# place: which directory the counts are in. It is another one when a file system has been mounted over it.
place() {
    stat -c %d:%i "${guards%/*}" 2>/dev/null
}

# say STATE BOOTS REASON: for people (the journal) and for the facts.
say() {
    echo "livepatch ${name:-(none)}: $1: $3"
    put "$run" boot "state=$1
name=$name
sha256=$sha256
kernel=$kernel
boots=$2
place=$(place)
reason=$3"
}

switched_off() {
    read -r cmdline < "$root/proc/cmdline"
    for word in livepatch.boot=0 kpatch.enable=0; do
        case " $cmdline " in
        *" $word "*) reason="$word is on the kernel command line"; return 0 ;;
        esac
    done
    return 1
}

# may_load NAME: whether kpatch may load a livepatch that lies in its directory for the running kernel.
may_load() {
    [ "$1" != "$(field "$records/$kernel" name)" ] || return 1
    case " $(field "$held/$kernel" held) " in
    *" $1 "*) return 1 ;;
    esac
    # While a package is installed: a dash, and what was there before.
    only=" $(field "$held/$kernel" only) "
    case $only in
    " - "*) ;;
    *) return 0 ;;
    esac
    case $only in
    *" $1 "*) return 0 ;;
    esac
    return 1
}

# kpatch.service: as `kpatch load --all`, without what is on probation, and what the record of this kernel enables, with a guard.
kpatch_service() {
    for file in "$root/var/lib/kpatch/$kernel"/*.ko; do
        [ -e "$file" ] || continue
        name=${file##*/}
        name=$(printf '%s' "${name%.ko}" | tr - _)
        if may_load "$name"; then
            kpatch load "$file" || return 1
        else
            echo "livepatch $name: not loaded: it is on probation, or @SERVICE@ enables it"
        fi
    done
}

load() {
    for module in $depends; do
        modprobe -- "$module" || return 1
    done
    insmod "$path"
}

start() {
    name= sha256=
    if switched_off; then
        say switched_off 0 "$reason"
        return 0
    fi
    record=$records/$kernel
    if [ ! -e "$record" ]; then
        say other_kernel 0 "no livepatch is recorded for kernel $kernel, which this host has booted"
        return 0
    fi
    name=$(field "$record" name)
    sha256=$(field "$record" sha256)
    path=$root$(field "$record" path)
    depends=$(field "$record" depends)
    if [ -d "$root/sys/kernel/livepatch/$name" ]; then
        say already 0 "it was enabled before"
        return 0
    fi
    if [ -e "$unguarded" ]; then
        say unguarded 0 "$(field "$unguarded" reason)"
        return 1
    fi
    guard=$guards/$kernel
    boots=0
    [ "$(field "$guard" sha256)" != "$sha256" ] || boots=$(field "$guard" boots)
    case $boots in
    [0-9]) ;;
    *) boots=$limit ;;
    esac
    if [ "$boots" -ge "$limit" ]; then
        say tripped "$boots" "the last $boots boots with it died early; to try again: sh /etc/livepatch/boot.sh clear"
        return 1
    fi
    if [ ! -e "$path" ]; then
        say missing "$boots" "$path is not there; install its package and make it persistent again"
        return 1
    fi
    found=$(sha256sum "$path")
    if [ "${found%% *}" != "$sha256" ]; then
        say changed "$boots" "$path is not the file that was recorded; make it persistent again"
        return 1
    fi
    if ! count $((boots + 1)); then
        say unguarded "$boots" "$guard cannot be written, and without its count a crash loop would not be seen"
        return 1
    fi
    if ! refusal=$(load 2>&1) || [ ! -d "$root/sys/kernel/livepatch/$name" ]; then
        count "$boots"
        say refused "$boots" "the kernel did not take it: $(printf '%s' "$refusal" | tr '\n' ' ')"
        return 1
    fi
    say enabled $((boots + 1)) "enabled at boot"
}

# settle STATE REASON: what follows on a start that enabled the livepatch.
settle() {
    [ "$(field "$run/boot" state)" = enabled ] || return 0
    name=$(field "$run/boot" name)
    sha256=$(field "$run/boot" sha256)
    boots=$(($(field "$run/boot" boots) - 1))
    if [ "$(field "$run/boot" place)" != "$(place)" ]; then
        reason="${guards%/*} was mounted after its count had been written, so that boots cannot be counted"
        reason="$reason; mount it before @SERVICE@ and make the livepatch persistent again"
        put "${unguarded%/*}" unguarded "reason=$reason" && say unguarded 0 "$reason"
        return 0
    fi
    [ "$1" = survived ] && [ -d "$root/sys/kernel/livepatch/$name" ] && boots=0
    count "$boots" && say "$1" "$boots" "$2"
}

clear() {
    mkdir -p "$guards" && rm -rf "$guards" && sync "${guards%/*}" || return 1
    rm -f "$unguarded"
    if [ "$(field "$run/boot" state)" = tripped ]; then
        name=$(field "$run/boot" name)
        sha256=$(field "$run/boot" sha256)
        say waiting 0 "the guard was cleared, this host has not booted with it yet"
    fi
    echo "The guard is cleared. The next boot tries again, or now: systemctl restart @SERVICE@"
}

case $1 in
start) start ;;
survived) settle survived "the kernel lived with it" ;;
# An orderly end is no death; it says nothing about the livepatch either, so the count goes back.
stop) settle stopped "the host was shut down in order" ;;
clear) clear ;;
kpatch) kpatch_service ;;
*) echo "usage: boot.sh start|survived|stop|clear|kpatch" >&2; exit 2 ;;
esac
"""

# Between local-fs.target and sysinit.target, which systemd orders one before the other anyway: an order in between
# cannot close a cycle that is not there without it; the module refuses a /var/lib/livepatch that comes after the network.
# Everything ordinary, such as sshd, comes after sysinit.target.
_SERVICE = """\
# Written by kernel.livepatch.livepatch_persistence.
[Unit]
Description=Enable the livepatch of the running kernel
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target systemd-modules-load.service
Before=sysinit.target shutdown.target
RequiresMountsFor=/var/lib/livepatch
Wants=@SURVIVED@.timer

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=60
TimeoutStopSec=30
ExecStart=/bin/sh /etc/livepatch/boot.sh start
ExecStop=/bin/sh /etc/livepatch/boot.sh stop

[Install]
WantedBy=sysinit.target
"""

_SURVIVED_SERVICE = """\
# Written by kernel.livepatch.livepatch_persistence.
[Unit]
Description=Note that the kernel lives with its livepatch

[Service]
Type=oneshot
ExecStart=/bin/sh /etc/livepatch/boot.sh survived
"""

# Of what `kpatch install` has put into its directory, this kernel's next boot is given what may come back.
_KPATCH = """\
# Written by kernel.livepatch: kpatch loads what lies in /var/lib/kpatch, but nothing that is on probation.
[Unit]
After=@SERVICE@

[Service]
ExecStart=
ExecStart=/bin/sh /etc/livepatch/boot.sh kpatch
"""

_TIMER = """\
# Written by kernel.livepatch.livepatch_persistence.
[Unit]
Description=Wait whether the kernel lives with its livepatch
PartOf=@SERVICE@

[Timer]
OnActiveSec=@MINUTES@min
AccuracySec=1s
RemainAfterElapse=no
"""


def read_record(root, kernel_release):
    """Return the record of a kernel release (dict of str), or None. One file is read."""
    if not _KERNEL.match(kernel_release):
        return None
    record = _fields(reading.read_text(os.path.join(root, RECORDS, kernel_release)))
    return record if record.get("name") else None


def read_records(root):
    """Return kernel release -> record, sorted."""
    names = sorted(listing(os.path.join(root, RECORDS)))
    records = ((name, read_record(root, name)) for name in names if _KERNEL.match(name))
    return OrderedDict((name, record) for name, record in records if record)


def facts(root, kernel_release):
    """Return (names, guard): the livepatches that run and that a boot of this kernel enables, what the last boot did about it.

    names: a list, of those only whose very code the next boot enables, as far as can be told: the file is there, has that
    code, what enables it is started, and no boot has said that it stays out. guard: {state, boots, reason}, None where nothing is persistent and nothing
    was tried. Few files are read, no process is started, no privileges are needed.
    """
    record = read_record(root, kernel_release)
    status = _fields(reading.read_text(os.path.join(root, STATUS)))
    if record is None:
        # What it said about a record that has been removed since is said about nothing.
        told = status if status.get("state") in _WITHOUT_RECORD else {}
        return [stem(path) for path in kept_by_kpatch(root, kernel_release)], _guard(told)
    if not status.get("state"):
        reason = (
            "this boot has not started %s; `journalctl -b` may name an ordering cycle or who has masked it" % SERVICE
        )
        status = {"state": NOT_STARTED, "reason": reason}
    elif status.get("sha256") != record.get("sha256") and status.get("state") != "switched_off":
        status = _WAITS
    kept = [stem(path) for path in kept_by_kpatch(root, kernel_release)]
    can = status.get("state") not in _STAYS_OUT and record["name"] not in kept and _is_started(root)
    if can and _runs(root, record["name"], record.get("build_id")) and _is_there(root, record):
        kept.append(record["name"])
    return kept, _guard(status)


def _runs(root, name, build_id):
    return (sysfs.build_id(root, name) or "") == (build_id or "") and sysfs.read_patch(root, name) is not None


def waiting(record):
    """Return the text of the status of a record (dict) that no boot has met yet."""
    fields = dict(_WAITS, **{key: record[key] for key in ("name", "sha256", "kernel")})
    return "".join("%s=%s\n" % (key, fields[key]) for key in ("state", "name", "sha256", "kernel", "boots", "reason"))


def _is_started(root):
    """Whether a boot starts the program: it is there, and its unit is neither disabled nor masked."""
    unit = os.path.join(root, WANTS, SERVICE)
    return all(os.path.isfile(path) for path in (unit, os.path.join(root, UNITS, SERVICE), os.path.join(root, PROGRAM)))


def _is_there(root, record):
    """Whether the file of a record is the one that was recorded."""
    digest = hashlib.sha256()
    try:
        with open(os.path.join(root, record.get("path", "").lstrip("/")), "rb") as stream:
            for part in iter(lambda: stream.read(_CHUNK), b""):
                digest.update(part)
    except EnvironmentError:
        return False
    return digest.hexdigest() == record.get("sha256")


def kept_by_kpatch(root, kernel_release):
    """Return the paths of the livepatches that run and that kpatch.service loads at a boot of this kernel (list of str)."""
    kept = []
    for path in kpatch_loads(root, kernel_release):
        try:
            if _runs(root, stem(path), module_file.read(path).build_id):
                kept.append(path)
        except LivepatchError:
            pass  # nobody knows what it is
    return kept


def returning(root="/"):
    """Return (name, unit) of what the next boot of the running kernel enables though it does not run now (list of tuple)."""
    kernel_release = sysfs.kernel_release(root)
    record, kept = read_record(root, kernel_release), kpatch_keeps(root, kernel_release)
    found = [(record["name"], SERVICE)] if record else []
    found += [(kept, KPATCH_SERVICE)] if kept else []
    return [(name, unit) for name, unit in found if sysfs.read_patch(root, name) is None]


def _guard(status):
    if not status.get("state"):
        return None
    return {
        "state": status["state"],
        "boots": reading.to_number(status.get("boots")) or 0,
        "reason": status.get("reason", ""),
    }


def kpatch_files(root, kernel_release):
    """Return the paths of the modules in kpatch's directory, sorted; kpatch.service loads them in this order."""
    directory = os.path.join(root, KPATCH, kernel_release)
    return [os.path.join(directory, name) for name in sorted(listing(directory)) if ".ko" in name]


def stem(path):
    """Return the module's name by the file's."""
    return os.path.basename(path).split(".ko", 1)[0].replace("-", "_")


def kpatch_loads(root, kernel_release):
    """Return those of kpatch_files() that kpatch.service loads at a boot of this kernel: none where it is not enabled."""
    paths = kpatch_files(root, kernel_release)
    if not paths or not _kpatch_is_enabled(root):
        return []
    if not os.path.isfile(os.path.join(root, DROP_IN)):
        return paths
    held, record = read_held(root, kernel_release), read_record(root, kernel_release)
    return [path for path in paths if held.lets(stem(path)) and stem(path) != (record or {}).get("name")]


def kpatch_keeps(root, kernel_release):
    """Return the name of the livepatch that kpatch.service loads at a boot of this kernel (the last one), or None."""
    paths = kpatch_loads(root, kernel_release)
    return stem(paths[-1]) if paths else None


Held = namedtuple("Held", "names only")
Held.__doc__ = """Livepatches that kpatch.service does not load at boots of a kernel, though they lie in its directory.

names: of them (tuple of str). only: the names of all that it may load, while a package is being installed (tuple of str);
None at other times.
"""
Held.lets = lambda self, name: name not in self.names and (self.only is None or name in self.only)


def read_held(root, kernel_release):
    """Return what kpatch.service does not load at boots of this kernel (Held)."""
    fields = _fields(reading.read_text(os.path.join(root, HELD, kernel_release)))
    only = fields.get("only", "").split()
    return Held(tuple(fields.get("held", "").split()), tuple(only[1:]) if only[:1] == ["-"] else None)


def rendered_held(held):
    """Return a Held as the text of its file, None where nothing is held."""
    if not held.names and held.only is None:
        return None
    lines = ["held=" + " ".join(held.names)]
    # A list without names is one, too.
    lines += ["only=" + " ".join(("-",) + tuple(held.only))] if held.only is not None else []
    return _HELD_HEAD + "".join(line + "\n" for line in lines)


def kpatch_contents(root, held, records):
    """Return path (from the root) -> text, None for a file that is not wanted, of what keeps kpatch.service from loading all.

    held: kernel release -> Held, of the kernels that are concerned. records: of all kernels, as they are to be. The order is
    the one in which it is safe to write them.
    """
    texts = [(HELD + "/" + kernel, rendered_held(one)) for kernel, one in sorted(held.items())]
    wanted = any(text for dummy, text in texts) or any(kernel not in held for kernel in listing(os.path.join(root, HELD)))
    # What a record enables lies in kpatch's directory too: the guard would count for nothing.
    wanted = wanted or any(
        record["name"] in map(stem, kpatch_files(root, kernel)) for kernel, record in records.items()
    )
    if wanted:
        service = _filled(_KPATCH, {"@SERVICE@": SERVICE})
        return OrderedDict([(PROGRAM, contents(GUARD_MINUTES)[PROGRAM])] + texts + [(DROP_IN, service)])
    return OrderedDict(texts + [(DROP_IN, None)] + ([] if records else [(PROGRAM, None)]))


def _kpatch_is_enabled(root):
    units = os.path.join(root, UNITS)
    wants = (os.path.join(units, name, "kpatch.service") for name in listing(units) if name.endswith(".wants"))
    return any(os.path.lexists(path) for path in wants) and _has_unit(root, KPATCH_SERVICE)


def _has_unit(root, unit):
    """Whether systemd finds a unit that is not masked: an empty file masks it, as a link to /dev/null does."""
    for directory in _UNIT_DIRECTORIES:
        path = os.path.join(root, directory, unit)
        if os.path.lexists(path):
            try:
                return os.stat(path).st_size > 0
            except EnvironmentError:
                return False
    return False


def listing(directory):
    """Return the names in a directory; none where it cannot be read."""
    try:
        return os.listdir(directory)
    except EnvironmentError:
        return []


def _fields(text):
    fields = {}
    for line in (text or "").split("\n"):
        key, separator, value = line.partition("=")
        if separator and not key.startswith("#"):
            fields[key] = value
    return fields


def contents(minutes):
    """Return path (from the root) -> text of the program and the units; minutes: how long a boot must live (int)."""
    texts = {
        PROGRAM: SHELL,
        "%s/%s" % (UNITS, SERVICE): _SERVICE,
        "%s/%s.service" % (UNITS, SURVIVED): _SURVIVED_SERVICE,
        "%s/%s.timer" % (UNITS, SURVIVED): _TIMER,
    }
    values = {"@LIMIT@": LIMIT, "@SERVICE@": SERVICE, "@SURVIVED@": SURVIVED, "@MINUTES@": minutes}
    return {path: _filled(text, values) for path, text in texts.items()}


def _filled(text, values):
    for placeholder, value in values.items():
        text = text.replace(placeholder, str(value))
    return text

# What patches this host by itself: timers and cron jobs that run a package manager, and plugins of dnf. What holds timers back.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Files tell what is switched on; only where they show a timer that patches, systemctl is asked when it comes next. What is
# run is told from the words of its command: a house's own timer counts as a vendor's does.

import collections
import datetime
import glob
import os
import re
import time

from ansible_collections.kernel.livepatch.plugins.module_utils._files import processes, reading, run_files, times

# Units by precedence, systemd.unit(5); what is linked from a directory .wants of any of them is switched on.
_UNITS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
# crontab(5); the tables of users are root's alone to read: Debian and Red Hat, then SUSE.
_TABLES = ("etc/crontab", "etc/cron.d/*", "var/spool/cron/crontabs/root", "var/spool/cron/root", "var/spool/cron/tabs/root")
_SCRIPTS = ("etc/cron.hourly/*", "etc/cron.daily/*", "etc/cron.weekly/*", "etc/cron.monthly/*")
# Plugins that add livepatches to what dnf does. The second is Amazon's, whose file nobody could look at.
_PLUGINS = (("kpatch-dnf", "etc/dnf/plugins/kpatch.conf"), ("kernel-livepatch-dnf", "etc/dnf/plugins/kernel-livepatch.conf"))
# A run of dnf-automatic that has no words of its own about installing does what these say, the later one more.
_SETTINGS = {
    "dnf-automatic": ("etc/dnf/automatic.conf",),
    "dnf5-automatic": ("usr/share/dnf5/dnf5-plugins/automatic.conf", "etc/dnf/automatic.conf"),
    "tdnf-automatic": ("etc/tdnf/automatic.conf",),
}
LIVEPATCHES, SECURITY, ALL = "livepatches", "security", "all"
# More than any host has of each; what lies beyond is not looked at.
_MOST_FILES, _MOST_LINES, _MOST_CHARACTERS, _MOST_FOUND = 200, 2000, 1000, 20
_SECONDS, _BYTES = 10.0, 64 * 1024

_TRUE = ("1", "yes", "true", "on")
_AUTOMATIC = re.compile(r"(?:\A|[\s/])(?:(t?dnf-automatic)|(dnf5?) automatic)(?=\s|\Z)(.*)")
_OTHERS = re.compile(r"(?:\A|[\s/])(os-update|transactional-update|online_update|livepatch-mgr)(?=\s|\Z)(.*)")
_MANAGER = re.compile(r"(?:\A|[\s/])(zypper|dnf5?|microdnf|yum|tdnf)(?=\s)(.*)")
_UPGRADES = re.compile(
    r"(?:\A|\s)(?:patch|up|update|update-minimal|upgrade|upgrade-minimal|dup|dist-upgrade|distro-sync|system-upgrade)(?=\s|\Z)"
)
_INSTALLS = re.compile(r"(?:\A|\s)(?:install|in)(?=\s|\Z)")
_PLUGIN = re.compile(r"(?:\A|\s)(?:kpatch|kernel-livepatch)\s+(?:auto|install)(?=\s|\Z)|(?:\A|\s)hotupgrade(?=\s|\Z)")
_LIVEPATCH = re.compile(r"(?:\A|\s)['\"]?(?:kpatch-patch|kernel-livepatch|kgraft-patch|livepatch-|patch-kernel-|klp-)")
_ONLY_SECURITY = re.compile(r"--sec(?:urity|-severity)|(?:-g|--category)[\s=]security|--cve|--advisory")
_ONLY_SAYS = re.compile(r"(?:\A|\s)(?:--dry-run|-D|--assumeno|--downloadonly|--download-only|-d)(?=\s|\Z)")
_TOKENS = re.compile(r"[;&|]+")

Automation = collections.namedtuple("Automation", "by configured_in timer next_run applies held_until")
Automation.__doc__ = """Something that patches a host by itself. by: the program. configured_in: the path (str) that says so.
timer: the systemd timer, or the path of the cron job, that starts it; None where it only joins in when somebody runs dnf.
next_run, held_until: ISO 8601 in UTC, None where it is not known, or not held back.
applies: livepatches, security or all."""


def find(root="/", ask=processes.run, now=time.time):
    """Return what patches this host by itself: list of Automation, empty on most hosts. Whatever cannot be read is not found.

    ask: what runs a command, as processes.run does; only where a timer was found. now: a clock, seconds since 1970.
    """
    found = _timers(root, now) + _cron(root) + _plugins(root)
    found = found[:_MOST_FOUND]
    names = [one.timer for one in found if is_timer(one.timer)]
    runs = _next_runs(ask, names) if names else {}
    return [one._replace(next_run=runs.get(one.timer)) for one in found]


def is_timer(name):
    """Whether a `timer` (str or None) is one of systemd, which can be held back; a cron job cannot."""
    return bool(name) and name.endswith(".timer")


# --- timers ---------------------------------------------------------------------------------------------------------------


def _timers(root, now):
    found = []
    for name in _enabled(root):
        timer = _unit(root, name)
        text = _text(timer)
        if text is None:
            continue
        service = service_of(root, name)
        for line in _commands(_text(_unit(root, service))):
            told = _told(root, line)
            if told:
                by, applies, settings = told
                # A dnf-automatic.timer may be another name of dnf5's.
                where = "/" + (settings or os.path.relpath(_unit(root, service), root))
                found.append(Automation(by, where, name, None, applies, _held_until(root, service, now)))
                break
    return found


def _enabled(root):
    """Return the names of the timers that a boot starts (list of str, sorted), each by its real name."""
    links = [path for unit in _UNITS for path in glob.glob(os.path.join(glob.escape(root), unit, "*.wants", "*.timer"))]
    names = set()
    for link in sorted(links)[:_MOST_FILES]:
        unit = _unit(root, os.path.basename(link))
        # One that is masked is a link to /dev/null.
        names.add(os.path.basename(os.path.realpath(unit)) if unit else "")
    return sorted(name for name in names if is_timer(name))


def _unit(root, name):
    """Return the path of the file of a unit, None where there is none."""
    paths = (os.path.join(root, place, name) for place in _UNITS)
    return next((path for path in paths if os.path.lexists(path)), None)


def service_of(root, timer):
    """Return the name of the service (str) that a timer starts: Unit= of its file, or of its name."""
    named = re.findall(r"^Unit=([A-Za-z0-9:_.@\\-]{1,200}\.service)\s*$", _text(_unit(root, timer)) or "", re.MULTILINE)
    return named[-1] if named else timer[: -len(".timer")] + ".service"


def _commands(text):
    """Yield the commands (str) of a service's file."""
    for line in (text or "").splitlines()[:_MOST_LINES]:
        key, separator, value = line.partition("=")
        if separator and key.strip() in ("ExecStart", "ExecStartPre", "ExecStartPost"):
            yield value.strip().lstrip("@-:+!")[:_MOST_CHARACTERS]


def _next_runs(ask, names):
    """Return {timer: when it comes next (ISO 8601), None where systemd does not say}."""
    command = ["env", "TZ=UTC", "systemctl", "show", "--property=Id,NextElapseUSecRealtime", "--"] + sorted(set(names))
    try:
        status, output = ask(command, _BYTES, _SECONDS)
    except EnvironmentError:
        return {}
    runs = _by_unit(output) if status == 0 else {}
    return {name: _moment(text) for name, text in runs.items()}


def _by_unit(output):
    """Return {Id: NextElapseUSecRealtime} of what systemctl prints: units apart by an empty line, in an order of its own."""
    found = {}
    for part in output.decode("utf-8", "replace").split("\n\n"):
        values = dict(line.partition("=")[::2] for line in part.splitlines())
        if values.get("Id"):
            found[values["Id"]] = values.get("NextElapseUSecRealtime", "")
    return found


def _moment(text):
    """Return a time as systemd prints it with TZ=UTC (Tue 2026-12-01 06:00:00 UTC) as ISO 8601, None for anything else."""
    found = re.match(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\Z", text.strip())
    if not found:
        return None
    try:
        moment = datetime.datetime.strptime(found.group(1), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
    return times.to_text(moment.replace(tzinfo=datetime.timezone.utc).timestamp())


# --- cron, and plugins of dnf ---------------------------------------------------------------------------------------------


def _cron(root):
    found = []
    for path in _files(root, _TABLES + _SCRIPTS):
        place = "/" + os.path.relpath(path, root)
        # YaST puts a link to its program there; whoever runs it by cron looks at the name alone.
        linked = os.path.islink(path) and os.path.basename(os.readlink(path)) == "online_update"
        for line in ["online_update"] if linked else (_text(path) or "").splitlines()[:_MOST_LINES]:
            told = None if line.lstrip().startswith("#") else _told(root, line[:_MOST_CHARACTERS])
            if told:
                by, applies, settings = told
                found.append(Automation(by, "/" + settings if settings else place, place, None, applies, None))
                break
    return found


def _files(root, patterns):
    paths = [path for pattern in patterns for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern)))]
    return [path for path in paths if not os.path.isdir(path)][:_MOST_FILES]


def _plugins(root):
    """Those that are told to add livepatches to whatever dnf is run for."""
    found = []
    for by, path in _PLUGINS:
        if _settings(root, (path,)).get(("main", "autoupdate"), "").lower() in _TRUE:
            found.append(Automation(by, "/" + path, None, None, LIVEPATCHES, None))
    return found


# --- what a command does --------------------------------------------------------------------------------------------------


def _told(root, line):
    """Return (by, applies, path of its settings or None) of a command that patches, None for any other."""
    for part in _TOKENS.split(line):
        told = _automatic(root, part) or _other(root, part) or _manager(part)
        if told:
            return told
    return None


def _automatic(root, part):
    found = _AUTOMATIC.search(part)
    if not found:
        return None
    by = found.group(1) or "dnf5-automatic"
    if found.group(2) == "dnf" and not os.path.exists(os.path.join(root, _SETTINGS[by][0])):
        return None
    words = found.group(3).split()
    if "--no-installupdates" in words or "--notifyonly" in words:
        return None
    paths = _SETTINGS[by]
    named = [word.lstrip("/") for word in words if word.startswith("/") and not by.startswith("dnf5")]
    values = _settings(root, named[:1] or paths)
    applies = values.get(("commands", "apply_updates"), "no").lower() in _TRUE
    if not applies and "--installupdates" not in words and "--install" not in words:
        return None
    kind = SECURITY if values.get(("commands", "upgrade_type"), "").lower() == "security" else ALL
    return by, kind, (named or paths)[-1]


def _other(root, part):
    found = _OTHERS.search(part)
    if not found:
        return None
    by, words = found.group(1), found.group(2).split()
    if by == "os-update":
        paths = ("usr/etc/os-update.conf", "etc/os-update.conf")
        how = _settings(root, paths).get(("", "update_cmd"), "").strip("\"'")
        return by, SECURITY if how == "security" else ALL, paths[-1]
    if by == "online_update":
        path = "etc/sysconfig/automatic_online_update"
        kinds = _settings(root, (path,)).get(("", "aou_patch_categories"), "").strip("\"'").split()
        return "yast-online-update", SECURITY if kinds == ["security"] else ALL, path
    if by == "livepatch-mgr":
        return (by, LIVEPATCHES, None) if "update" in words else None
    patches = any(word in ("dup", "up", "patch", "${UPDATE_METHOD}") for word in words)
    return (by, ALL, "etc/transactional-update.conf") if patches else None


def _manager(part):
    found = _MANAGER.search(part)
    if not found or _ONLY_SAYS.search(found.group(2)):
        return None
    by, words = found.group(1), found.group(2)
    if _PLUGIN.search(words):
        return by, LIVEPATCHES, None
    if not _UPGRADES.search(words) and not (_INSTALLS.search(words) and _LIVEPATCH.search(words)):
        return None
    if _LIVEPATCH.search(words):
        return by, LIVEPATCHES, None
    return by, SECURITY if _ONLY_SECURITY.search(words) else ALL, None


def _settings(root, paths):
    """Return {(section, key in small letters): value} of INI files, or of assignments of the shell; the later file says more."""
    values = {}
    for path in paths:
        section = ""
        for line in (_text(os.path.join(root, path)) or "").splitlines()[:_MOST_LINES]:
            line = line.strip()[:_MOST_CHARACTERS]
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1].strip().lower()
                continue
            key, separator, value = line.partition("=")
            if separator and not line.startswith(("#", ";")):
                values[section, key.strip().lower()] = value.strip()
    return values


def _text(path):
    return None if path is None else reading.read_text(path)


# --- what is held back ----------------------------------------------------------------------------------------------------

# Its time of modification is when the hold ends: whoever died cannot forget to end it, and a boot empties /run.
HELD = "automation-held"
_DROP_IN = "run/systemd/system/%s.d/50-livepatch-held.conf"


def drop_in(service):
    """Return the path, from the root, of what holds a service back (str)."""
    return _DROP_IN % service


def until(root, now=time.time):
    """Return when the hold of this host ends (seconds since 1970), None where nothing is held back."""
    try:
        moment = os.lstat(run_files.path(root, HELD)).st_mtime
    except EnvironmentError:
        return None
    return moment if moment > now() else None


def _held_until(root, service, now):
    moment = until(root, now)
    return times.to_text(moment) if moment and os.path.lexists(os.path.join(root, drop_in(service))) else None

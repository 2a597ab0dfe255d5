# Builds: which package each kernel of a fleet gets, where a release is numbered per kernel. Resolved once, at the plan. Pure.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random
import re
from collections import namedtuple

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.patch_options import NEWEST

CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{1,19}", re.ASCII)
ADVISORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._+-]{2,99}", re.ASCII)
DAY = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", re.ASCII)
MOST_CVES = 100
# How many hosts of a kernel must say the same, and how many are asked for that at most.
WITNESSES, MOST_ASKED = 2, 5
# How many kernels, hosts or CVEs a sentence names.
NAMED = 5
WHY_NONE = {
    "no_build": "no repository has a build for kernel {kernel}",
    "empty": "the only build for kernel {kernel} is empty so far",
    "not_in_advisory": "the advisory names no build for kernel {kernel}",
    "excluded": "the configuration of the hosts excludes the build for kernel {kernel}",
}

Wanted = namedtuple("Wanted", "word cves advisory")
Wanted.__doc__ = """What a person wants: word (str), as the journal and people call it; cves (list of str); advisory (str or None)."""


def wanted(release=None, cves=None, advisory=None):
    """Return what is Wanted: exactly one of a release (str), CVEs (list, or text with commas) and an advisory (str).

    What is empty was not given, as surveys have it. Raises RolloutError for anything else.
    """
    given = {"livepatch_release": release, "livepatch_cves": cves, "livepatch_advisory": advisory}
    names = [name for name, value in given.items() if value not in (None, "", [])]
    if len(names) != 1:
        raise RolloutError(f"Expected exactly one of {', '.join(given)}, found {' and '.join(names) or 'none'}.")
    if names == ["livepatch_cves"]:
        found = cve_list(cves, "livepatch_cves")
        return Wanted(",".join(found), found, None)
    if names == ["livepatch_advisory"]:
        if not isinstance(advisory, str) or not ADVISORY.fullmatch(advisory):
            raise RolloutError(
                f"livepatch_advisory is {str(advisory)[:200]!r}: expected the id of one advisory, like RHSA-2026:1234, of at most 100 characters."
            )
        return Wanted(advisory, [], advisory)
    return Wanted(values.name(release, "release"), [], None)


def cve_list(value, what):
    """Return CVEs (list of str), each once, in order; value: a list, or text with commas."""
    parts = [part.strip().upper() for item in (value if isinstance(value, list) else [value]) for part in str(item).split(",")]
    found = sorted({part for part in parts if part})
    odd = next((part for part in found if not CVE.fullmatch(part)), None)
    if odd is not None or not 0 < len(found) <= MOST_CVES:
        raise RolloutError(f"{what} is {str(value)[:200]!r}: expected 1 to {MOST_CVES} CVEs like CVE-2026-1234, separated by commas.")
    return found


def is_resolved(what):
    """Has what is Wanted another package on each kernel, so that repositories are to be asked?"""
    return bool(what.word == NEWEST or what.cves or what.advisory)


def rollout_name(word):
    """Return the rollout's name (str) where a person gives none: the word, without what a file's name must not have."""
    return word.replace(":", "-").replace(",", "+")


def days(value, what):
    """Return {kernel release: day} as a person has given it (dict, or None), checked."""
    if value in (None, ""):
        return {}
    if not isinstance(value, dict) or not all(DAY.fullmatch(str(day)) for day in value.values()):
        raise RolloutError(f"{what} is {str(value)[:200]!r}: expected kernel releases, each with a day like 2026-11-30.")
    return {str(kernel): str(day) for kernel, day in value.items()}


def key(found):
    """Return what tells one kernel from another (str) of a host, a build or an answer (dict)."""
    return f"{found['kernel_release']} {found.get('architecture') or ''}".strip()


def labels(builds):
    """Return {key: kernel release} for people, with the architecture where two have kernels of one name; builds: key -> entry."""
    releases = [build["kernel_release"] for build in builds.values()]
    more = {name: f" ({build['architecture']})" if releases.count(build["kernel_release"]) > 1 else "" for name, build in builds.items()}
    return {name: build["kernel_release"] + more[name] for name, build in builds.items()}


def ask(fleet, seed, ask_hosts):
    """Ask hosts of each kernel, all kernels at once; return {key: Asked}.

    fleet: from fleet.survey; ask_hosts: function of names (list) to {name: what answers.build returns}. Two hosts of a kernel
    are asked, of different domains where there are two; one that does not answer is replaced by another of the same kernel.
    """
    kernels = {kernel: Asked(hosts) for kernel, hosts in _candidates(fleet, seed).items()}
    while True:
        turn = {name: one for one in kernels.values() for name in one.next()}
        if not turn:
            return kernels
        found = ask_hosts(list(turn))
        for name, one in turn.items():
            one.take(name, found.get(name) or {"failed": True, "msg": "livepatch_builds did not run"})


class Asked:
    """What hosts of one kernel have said. answers: name -> checked answer; lost: name -> (outcome, why it told nothing)."""

    def __init__(self, hosts):
        self.kernel_release, self.architecture = hosts[0]["kernel_release"], hosts[0].get("architecture")
        self.number = len(hosts)
        self._left = [host["name"] for host in hosts][:MOST_ASKED]
        self.answers, self.lost = {}, {}

    def next(self):
        """Return the names (list) of those that are to be asked now."""
        missing = max(0, WITNESSES - len(self.answers))
        now, self._left = self._left[:missing], self._left[missing:]
        return now

    def take(self, name, answer):
        """Keep what a host has answered."""
        if answer.get("unreachable"):
            self.lost[name] = ("unreachable", "did not answer when its repositories were to be asked")
        elif answer.get("failed"):
            code = f" ({answer['error']})" if answer.get("error") else ""
            self.lost[name] = ("failed", f"its repositories could not be asked{code}: {answer.get('msg') or 'no message'}")
        elif (answer["kernel_release"], answer["architecture"]) != (self.kernel_release, self.architecture):
            self.lost[name] = ("failed", f"it runs kernel {answer['kernel_release']} since its facts were read")
        else:
            self.answers[name] = answer


def _candidates(fleet, seed):
    """Return {key: hosts}: those of each kernel that can be asked, shuffled, one of each domain first."""
    kernels = {}
    for host in fleet.values():
        if not host["problem"]:
            kernels.setdefault(key(host), []).append(host)
    return {kernel: _by_turns(hosts, random.Random(f"{seed} {kernel}")) for kernel, hosts in sorted(kernels.items())}


def _by_turns(hosts, rng):
    domains = {}
    for host in rng.sample(sorted(hosts, key=lambda host: host["name"]), len(hosts)):
        domains.setdefault(host["domain"], []).append(host)
    turns = [(place, number, host) for number, queue in enumerate(domains.values()) for place, host in enumerate(queue)]
    return [host for unused, unused_too, host in sorted(turns, key=lambda turn: turn[:2])]


def resolve(what, kernels, support=None):
    """Return (entries, lost, notes): the build entry of each kernel that was heard; key -> (outcome, reason) of the others.

    what: Wanted; kernels: from ask; support: kernel release -> day until which it is supported, where a person knows better.
    Raises RolloutError where hosts contradict each other, and where nobody knows what is wanted.
    """
    heard = {kernel: one for kernel, one in kernels.items() if one.answers}
    _check_agreement(heard)
    _check_known(what, [answer for one in heard.values() for answer in one.answers.values()])
    entries = [_entry(one, support or {}) for one in heard.values()]
    if what.advisory and entries and not any(entry["package"] for entry in entries):
        raise RolloutError(
            f"Advisory {what.advisory} names no livepatch package for any kernel of these hosts "
            f"({values.listed([entry['kernel_release'] for entry in entries], NAMED)}): expected one that does. Nothing was touched. Give the "
            "advisory of the livepatch, which is not that of the kernel, or give livepatch_cves."
        )
    lost = {kernel: _lost(one) for kernel, one in kernels.items() if not one.answers}
    notes = [_alone(one) for one in heard.values() if len(one.answers) < WITNESSES]
    notes += [
        f"{name} keeps {answer['held_back']} out by its configuration, which is newer than what it is to get"
        for one in heard.values()
        for name, answer in one.answers.items()
        if answer["held_back"]
    ]
    notes += [f"kernel {kernels[kernel].kernel_release}: no host could be asked: {reason}" for kernel, (unused, reason) in lost.items()]
    return entries, lost, notes


def _check_agreement(heard):
    wrong = []
    for one in heard.values():
        said = {name: _said(answer) for name, answer in one.answers.items()}
        if len(set(said.values())) > 1:
            words = "; ".join(f"{name} sees {_shown(one.answers[name])}" for name in said)
            wrong.append(f"kernel {one.kernel_release}: {words}")
    if wrong:
        raise RolloutError(
            "Hosts of one kernel see different builds, so nobody can say which one is meant. "
            + " | ".join(wrong[:NAMED])
            + (f" | and {len(wrong) - NAMED} more kernels" if len(wrong) > NAMED else "")
            + ". Expected the same repositories, equally fresh, for all hosts of a kernel. Nothing was touched. Give them the same "
            "repositories, or wait until the mirrors have the same, then run the same command again."
        )


def _said(answer):
    build = answer["build"] or {}
    return build.get("package"), tuple(sorted(build.get("cves") or ())), None if build else answer["reason"]


def _shown(answer):
    build = answer["build"]
    if not build:
        return f"none ({answer['reason'].replace('_', ' ')})"
    cves = build["cves"]
    return f"{build['package']}, which mends {values.listed(cves, NAMED) if cves else 'no CVE that it names'}"


def _check_known(what, said):
    unknown = sorted(set(what.cves).intersection(*(answer["unknown_cves"] for answer in said))) if said else []
    if unknown:
        raise RolloutError(
            f"No repository of the hosts that were asked knows {values.listed(unknown, NAMED)}: expected CVEs that an advisory or a "
            "package names. Nothing was touched. Check how it is written; where repositories come without advisories, give "
            "livepatch_release=newest."
        )
    if what.advisory and said and not any(answer["advisory_known"] for answer in said):
        raise RolloutError(
            f"No repository of the hosts that were asked knows advisory {what.advisory}: expected one that their repositories have. "
            "Nothing was touched. Check how it is written, and whether the repositories have advisories (updateinfo)."
        )


def _entry(one, support):
    answer = next(iter(one.answers.values()))
    build = answer["build"] or {}
    kept = {name: build.get(name) for name in ("package", "version", "livepatch", "built")}
    return {
        "kind": "build",
        "kernel_release": one.kernel_release,
        "architecture": one.architecture,
        **kept,
        "cves": build.get("cves") or [],
        "missing": answer["missing"] if build else [],
        "reason": None if build else answer["reason"],
        "supported_until": support.get(one.kernel_release) or answer["supported_until"],
        "asked": list(one.answers),
    }


def _lost(one):
    name, (outcome, reason) = next(iter(one.lost.items()))
    if all(what == "unreachable" for what, unused in one.lost.values()):
        return "unreachable", reason
    outcome, reason = next((what, why) for what, why in one.lost.values() if what != "unreachable")
    name = next(name for name, (what, unused) in one.lost.items() if what == outcome)
    return outcome, f"{name}: {reason}"


def _alone(one):
    silent = "".join(f"; {name} {reason}" for name, (unused, reason) in one.lost.items())
    return f"kernel {one.kernel_release}: only {next(iter(one.answers))} was asked, nobody confirms it{silent}"


def fitted(host, builds, lost, today, called=None):
    """Return a host of the fleet (dict) with the package that it gets, or with why it gets none.

    builds: key -> build entry; lost: from resolve, {} at a resume; today: the day (YYYY-MM-DD); called: what this build was called
    there when this rollout brought it, for those whose name is not known before they run.
    """
    host = dict(host, package=None)
    if host["problem"]:
        return host
    build = builds.get(key(host))
    if key(host) in lost:
        return dict(host, problem=lost[key(host)])
    if build is None:
        words = f"runs kernel {host['kernel_release']}, which the plan has no build for: it comes with the next round"
        return dict(host, problem=("not_applicable", words))
    if not build["package"]:
        return dict(host, problem=("not_applicable", why_none(build, today)))
    livepatch = build["livepatch"] or called
    runs = livepatch and host["enabled"] == livepatch and not host["facts"].get("transition")
    return dict(host, package=build["package"], livepatch=livepatch, problem=("already", f"runs {livepatch}") if runs else None)


def why_none(build, today):
    """Return why (str) the hosts of a kernel get nothing; today: YYYY-MM-DD."""
    words = WHY_NONE[build["reason"]].format(kernel=build["kernel_release"])
    until = build.get("supported_until")
    return f"{words}: it is out of support since {until}" if until and until < today else words


def uncovered(state):
    """Return {key: names} of the kernels whose build is not known to mend what is wanted: their hosts that get or have it.

    state: of the rollout.
    """
    found = {}
    lacking = {name for name, build in state.builds.items() if build["missing"]}
    for host in state.hosts.values() if lacking else ():
        if host.name not in state.excluded and key(vars(host)) in lacking:
            found.setdefault(key(vars(host)), []).append(host.name)
    for entry in state.excluded.values() if lacking else ():
        if entry["outcome"] == "already" and key(entry) in lacking:
            found.setdefault(key(entry), []).append(entry["host"])
    return found

# Runs the fuzz targets one after the other, and prints a table of what they did and found.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What was learned is kept in .work/fuzz/NAME: corpus/ grows from run to run, findings/ has the inputs that failed.

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from tests import fuzz

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / ".work" / "fuzz"
# An input that takes longer is a finding, one that needs more memory too.
SECONDS, MEGABYTES = 1, 1024
# The share of the time with long inputs, and how long (bytes); those of the rest are short, so that there are many.
LONG_SHARE, LONG, SHORT = 0.2, 64 * 1024, 2 * 1024
# After so many findings a target waits for somebody to look at them.
ENOUGH = 3

Run = collections.namedtuple("Run", "name executions seconds findings")


def parse_arguments(words):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together")
    parser.add_argument("--executions", type=int, help="of all targets together; the seconds are a bound all the same")
    parser.add_argument("--total", help="file (JSON) in which executions, seconds and findings are added up over runs")
    parser.add_argument("targets", nargs="*", help="names; all when none is given: %s" % ", ".join(fuzz.names()))
    options = parser.parse_args(words)
    unknown = set(options.targets) - set(fuzz.names())
    if unknown:
        parser.error("unknown targets: %s" % ", ".join(sorted(unknown)))
    return options


def environment():
    """The directory of the environment with the engine; made when it is missing."""
    command = [sys.executable, str(ROOT / "tests/tools/venvs.py"), "fuzz"]
    return pathlib.Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


def prepare(name):
    """Write a target's seeds and words; return (corpus, findings, dictionary)."""
    target, work = fuzz.load(name), WORK / name
    corpus, findings, words = work / "corpus", work / "findings", work / "words"
    for directory in (corpus, findings):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / ("seed-%d" % number)).write_bytes(seed)
    lines = ["".join("\\x%02X" % byte for byte in word) for word in getattr(target, "WORDS", ())]
    words.write_text("".join('"%s"\n' % line for line in lines if line))
    return corpus, findings, words


def run(python, name, seconds, executions):
    """Run one target with short inputs, then with long ones."""
    parts = [
        stretch(python, name, seconds * share, executions and int(executions * share) + 1, longest)
        for share, longest in ((1 - LONG_SHARE, SHORT), (LONG_SHARE, LONG))
    ]
    return Run(name, *[sum(part[field] for part in parts) for field in (1, 2, 3)])


def stretch(python, name, seconds, executions, longest):
    """Run one target with inputs that mean at most so many bytes; it goes on after a finding, as long as there is time."""
    corpus, findings, words = prepare(name)
    started, done, found = time.monotonic(), 0, 0
    while found < ENOUGH:
        left = seconds - (time.monotonic() - started)
        if left < 1 or (executions and done >= executions):
            break
        options = [
            "-max_total_time=%d" % left,
            "-timeout=%d" % SECONDS,
            "-rss_limit_mb=%d" % MEGABYTES,
            "-max_len=%d" % getattr(fuzz.load(name), "MAX_BYTES", fuzz.MAX_BYTES),
            "-artifact_prefix=%s/" % findings,
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        options += ["-dict=%s" % words] if words.read_text() else []
        options += ["-runs=%d" % (executions - done)] if executions else []
        ended = subprocess.run(
            [str(python), "-m", "tests.fuzz.drive", name] + options + [str(corpus)],
            cwd=str(ROOT),
            env=dict(os.environ, FUZZ_LONGEST="%d" % longest),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = ended.stdout.decode("utf-8", "replace")
        done += executed(output)
        if ended.returncode and "Test unit written to" not in output:
            sys.exit("%s could not be run:\n%s" % (name, output[-6000:]))
        if ended.returncode:
            found += 1
            print("\n== %s: a finding (inputs are in %s)\n%s" % (name, findings, output[-6000:]), flush=True)
    return Run(name, done, time.monotonic() - started, found)


def executed(output):
    """How many inputs a run has tried; when it ended with a finding, only its progress lines tell."""
    final = re.findall(r"stat::number_of_executed_units:\s*(\d+)", output)
    progress = re.findall(r"^#(\d+)\s", output, re.MULTILINE)
    return int((final or progress or ["0"])[-1])


def table(runs):
    """Lines of a table (Markdown) of runs, with a sum."""
    yield "| target | executions | executions/s | findings |"
    yield "| --- | ---: | ---: | ---: |"
    total = Run(
        "all", sum(one.executions for one in runs), sum(one.seconds for one in runs), sum(one.findings for one in runs)
    )
    for one in runs + [total]:
        yield "| %s | %d | %d | %d |" % (one.name, one.executions, one.executions / max(one.seconds, 0.1), one.findings)


def add_up(path, runs):
    """Add runs to those that a file has, and return the sums."""
    file = pathlib.Path(path)
    sums = {one[0]: Run(*one) for one in json.loads(file.read_text())} if file.exists() else {}
    for one in runs:
        before = sums.get(one.name, Run(one.name, 0, 0.0, 0))
        sums[one.name] = Run(one.name, *[old + new for old, new in zip(before[1:], one[1:])])
    file.write_text(json.dumps([list(sums[name]) for name in sorted(sums)]))
    return [sums[name] for name in sorted(sums)]


def main():
    options = parse_arguments(sys.argv[1:])
    chosen = options.targets or fuzz.names()
    python = environment() / "bin" / "python"
    share, part = options.seconds / len(chosen), options.executions and -(-options.executions // len(chosen))
    runs = []
    for name in chosen:
        runs.append(run(python, name, share, part))
        print("%s: %d executions in %d s, %d findings" % runs[-1], flush=True)
    print("\n" + "\n".join(table(runs)))
    if options.total:
        print("\nWith the runs before:\n\n" + "\n".join(table(add_up(options.total, runs))))
    sys.exit(1 if any(one.findings for one in runs) else 0)


if __name__ == "__main__":
    main()

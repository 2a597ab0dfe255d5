# Random rollouts on the command line: python3 -m tests.model --runs 20000 --seed 1
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import argparse
import collections
import multiprocessing
import sys
import time

from tests.model import search


def main(words):
    parser = argparse.ArgumentParser(prog="python3 -m tests.model", description="Random rollouts, and what must hold in them.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the first one; the others follow")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("--without", default="", help="troubles to leave out, separated by commas")
    parser.add_argument("--trace", action="store_true", help="show what happened in each, also where all is well")
    parser.add_argument("--most", type=int, default=3, help="failures of a kind that are shown (%(default)s)")
    options = parser.parse_args(words)
    seeds = range(options.seed, options.seed + options.runs)
    without = tuple(filter(None, options.without.split(",")))
    began, ends, kinds, done = time.monotonic(), collections.Counter(), collections.Counter(), 0
    with multiprocessing.Pool(options.jobs) as pool:
        for seed, failure, ended, trace in pool.imap_unordered(search.Task(without, options.trace), seeds, chunksize=8):
            done += 1
            ends.update(ended)
            if options.trace:
                print("\n".join(trace))
            if failure:
                kinds[failure[0]] += 1
                if kinds[failure[0]] <= options.most:
                    print(search.explained(seed, without), flush=True)
            if done % 1000 == 0:
                print(f"{done} rollouts, {time.monotonic() - began:.0f} s, failures {dict(kinds)}", flush=True)
    spent = time.monotonic() - began
    print(f"{options.runs} rollouts, {spent:.0f} s; commands ended: {dict(ends.most_common())}; failures: {dict(kinds) or 'none'}")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

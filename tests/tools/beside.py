# Runs one command in the foreground and others in what time the processors have left, so that waiting costs nothing.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: beside.py COMMAND... [-- COMMAND...]...    all but the last are in the background, their output follows at the end

import os
import shlex
import signal
import subprocess
import sys

from collection import ROOT

LOG = str(ROOT / ".work/beside-%d.log")


def give_way():
    """Give this process, and what it starts, what others leave of the processors, but never nothing (sched(7)).

    Where it can wait for ever (SCHED_IDLE), what talks to a server there runs into its limits of time.
    """
    os.nice(19)


def ended(number, unused):
    """SIGTERM ends all in order, like Ctrl-C."""
    sys.exit(128 + number)


def split(words):
    """Return the commands (lists of str) between the words "--"."""
    commands = [[]]
    for word in words:
        if word == "--":
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def main():
    *background, foreground = split(sys.argv[1:])
    os.makedirs(os.path.dirname(LOG), exist_ok=True)
    signal.signal(signal.SIGTERM, ended)
    begun = []
    try:
        begun.append(subprocess.Popen(foreground))
        for number, command in enumerate(background, 1):
            words = (LOG % number, shlex.join(command))
            print("beside this, its output at the end (until then in %s): %s" % words, flush=True)
            with open(LOG % number, "wb") as log:
                begun.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=give_way))
        # What is left of the others has the processors to itself.
        failed = [one.wait() for one in begun]
    except BaseException:
        for one in begun:
            one.terminate()
        for one in begun:
            one.wait()
        raise
    for number in range(1, len(begun)):
        with open(LOG % number, encoding="utf-8", errors="replace") as log:
            print(log.read(), flush=True)
    sys.exit(1 if any(failed) else 0)


if __name__ == "__main__":
    main()

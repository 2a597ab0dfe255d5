# Runs one command in the foreground and another in what time the processors have left, so that waiting costs nothing.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: beside.py COMMAND... -- COMMAND...    the first one is in the background: its output follows at the end

import os
import shlex
import signal
import subprocess
import sys

from collection import ROOT

LOG = ROOT / ".work/beside.log"


def only_when_idle():
    """Give this process, and what it starts, the processors only when nothing else wants them (sched(7))."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def ended(number, unused):
    """SIGTERM ends both in order, like Ctrl-C."""
    sys.exit(128 + number)


def main():
    middle = sys.argv.index("--")
    background, foreground = sys.argv[1:middle], sys.argv[middle + 1 :]
    LOG.parent.mkdir(exist_ok=True)
    print(
        "beside what follows, its output at the end (until then in %s): %s" % (LOG, shlex.join(background)), flush=True
    )
    signal.signal(signal.SIGTERM, ended)
    with open(str(LOG), "wb") as log:
        begun = [subprocess.Popen(foreground)]
        try:
            begun.append(subprocess.Popen(background, stdout=log, stderr=subprocess.STDOUT, preexec_fn=only_when_idle))
            # What is left of the other has the processors to itself.
            failed = [one.wait() for one in begun]
        except BaseException:
            for one in begun:
                one.terminate()
            for one in begun:
                one.wait()
            raise
    print(LOG.read_text(encoding="utf-8", errors="replace"), flush=True)
    sys.exit(1 if any(failed) else 0)


if __name__ == "__main__":
    main()

# ansible-playbook in processes that are forked from one which has imported Ansible: most of a short run is to import it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: forked.py < requests; each line of the input is [directory, variables, arguments] of a run, for which it prints
# a line with the exit status. What a run says goes to the file `output` in its directory. Ansible reads its settings when
# it is imported: `variables` are only those of callbacks.

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


# A bound for a run that hangs, not a measure: what runs beside guests, on what they leave, may take an hour for a minute.
SECONDS = 3600


class Playbooks:
    """Runs ansible-playbook, one run after the other, always with the same settings."""

    def __init__(self, environment):
        """environment: all environment variables (dict)."""
        command = [sys.executable, os.path.abspath(__file__)]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)

    def run(self, directory, variables, arguments):
        """Return (exit status, output).

        directory: where it runs; variables: further environment variables (dict); arguments: list of str.
        """
        print(json.dumps([str(directory), variables, arguments]), file=self._server.stdin, flush=True)
        status = int(self._server.stdout.readline())
        return status, (Path(directory) / "output").read_text(encoding="utf-8")

    def end(self):
        self._server.communicate()


def serve():
    from ansible.cli.playbook import main

    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(run(main, *json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(main, directory, variables, arguments):
    """Be ansible-playbook; return the exit status."""
    signal.alarm(SECONDS)
    os.chdir(directory)
    os.environ.update(variables)
    output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, stream in enumerate([os.open(os.devnull, os.O_RDONLY), output, output]):
        os.dup2(stream, number)
    try:
        main(["ansible-playbook", *arguments])
    except SystemExit as ended:
        return ended.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve()

# A host that answers what its variables tell: for the looks that rollout_gate makes itself.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = """
name: told
short_description: Answers modules of the collection from a variable
description: A host without an answer for a module cannot be reached.
extends_documentation_fragment: [connection_pipelining]
options:
  answers:
    description: The result of each module, by its name.
    vars: [{name: told_answers}]
    type: dict
    default: {}
  silence:
    description: After how many seconds it answers.
    vars: [{name: told_silence}]
    type: float
    default: 0
"""

import json
import re
import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

MODULE = re.compile(rb"ansible_collections\.kernel\.livepatch\.plugins\.modules\.(\w+)")


class Connection(ConnectionBase):
    transport = "told"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        found = MODULE.search(in_data or b"")
        answer = self.get_option("answers").get(found.group(1).decode()) if found else None
        if not answer:
            raise AnsibleConnectionFailure("Connection timed out")
        time.sleep(self.get_option("silence"))
        return 0, json.dumps(answer).encode(), b""

    def put_file(self, in_path, out_path):
        raise AnsibleConnectionFailure("Expected pipelining")

    def fetch_file(self, in_path, out_path):
        raise AnsibleConnectionFailure("Expected pipelining")

    def close(self):
        self._connected = False

# Runs of the module livepatch against a FakeKernel, with the options that a user would not give.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._change.livepatch import Run
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility.publish import update

OPTIONS = dict(
    name=None,
    path=None,
    package=None,
    all=False,
    state="enabled",
    replace=None,
    replaces=None,
    unload_inert=True,
    timeout=60,
    on_stall="revert",
    stall_restart_units=[],
    force=False,
    lock_timeout=0,
)


def begin(kernel, check_mode=False, run_command=None, find=None, hold=None, **options):
    """A Run that was not executed yet."""
    params = dict(OPTIONS, **options)
    return Run(params, run_command or no_command, check_mode, update, find, kernel.root, kernel, kernel, kernel, hold)


def run(kernel, check_mode=False, run_command=None, find=None, **options):
    return begin(kernel, check_mode, run_command, find, **options).execute()


def no_command(arguments, **unused):
    raise AssertionError("no command was expected: %s" % (arguments,))


def refusal(kernel, **options):
    with pytest.raises(LivepatchError) as refused:
        run(kernel, **options)
    return refused.value

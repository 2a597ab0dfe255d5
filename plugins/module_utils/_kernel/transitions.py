# Waiting for a transition.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import time

from ansible_collections.kernel.livepatch.plugins.module_utils._kernel import sysfs

# The kernel tries again once a second; most transitions end within the first two.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class Clock(object):
    """Time as the waiting sees it; tests bring their own."""

    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


def wait(condition, timeout, clock):
    """Ask until condition() is true or timeout seconds are over; return its last answer."""
    deadline = clock.now() + timeout
    pause = _FIRST_PAUSE
    while True:
        answer = condition()
        left = deadline - clock.now()
        if answer or left <= 0:
            return answer
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def is_over(root, name):
    """Whether the livepatch is in no transition: it is enabled for all tasks, or gone."""
    patch = sysfs.read_patch(root, name)
    return patch is None or not patch.transition

# Gives every host one second to be patched in, for the tests beside it.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
name: hurry
type: aggregate
short_description: Give hosts one second
description: For tests of what becomes of a host that does not answer in time.
"""

from ansible.plugins.callback import CallbackBase
from ansible_collections.kernel.livepatch.plugins.plugin_utils import patch_options

patch_options.seconds = lambda options: 1


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hurry"

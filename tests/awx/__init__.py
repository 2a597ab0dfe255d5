# The playbook awx, against a server that answers like the API and with the real modules of its collection.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

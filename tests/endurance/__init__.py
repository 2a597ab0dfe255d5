# Many replacements of one livepatch by another on a busy host: what they cost, and what they leave behind.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# A host with systemd, in a temporary directory.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

from tests.unit.fakes.kernel import FakeKernel


class SystemdHost(FakeKernel):
    """links: where enabled units have their links (paths below root). commands: what systemctl was asked.

    after: what `systemctl show` says of the mounts. refuses: what systemctl answers instead of doing it (code, output, errors), None to do it.
    """

    links = ()

    def __init__(self, root):
        super(SystemdHost, self).__init__(root)
        self.commands = []
        self.refuses = None
        self.after = "After=-.mount system.slice\n"
        self.directory("run/systemd/system")

    def run_command(self, argv, **unused):
        """systemctl, as far as it leaves something behind."""
        assert argv[:2] == ["systemctl", "--quiet"]
        if argv[2] == "show":
            return 0, self.after, ""
        self.commands.append(argv[2:])
        if self.refuses:
            return self.refuses
        for link in self.links:
            place = os.path.join(self.root, link)
            if argv[2] == "enable" and os.path.basename(link) in argv:
                self.directory(os.path.dirname(link))
                os.symlink("../" + os.path.basename(link), place)
            if argv[2] == "disable" and os.path.lexists(place):
                os.unlink(place)
        return 0, "", ""

"""The repository's web server: the RPMs of a fleet on a port of 127.0.0.1."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import http.server
import pathlib
import threading

from tests.lab import packages


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Not on the user's terminal."""


class Repository:
    """Serves a directory; guests see it at 10.0.2.2. Ends with the process."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.port = 0
        self._server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Serve: at the first time on a free port, later on the same one again."""
        handler = functools.partial(_Quiet, directory=str(self.directory))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Serve no longer; connections are refused."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def refresh(self) -> None:
        """Make and sign the metadata again after RPMs came or went."""
        packages.write_metadata(self.directory)

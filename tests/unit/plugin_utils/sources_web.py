# A way to fetch, and a small web server on loopback that answers as badly as a test wants.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import contextlib
import http.server
import threading
import urllib.request

from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import http as http_source


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def fetch(url, *, data=None, headers, timeout):
    """Return the body (bytes) of an answer, as sources.read() wants it."""
    request = urllib.request.Request(url, data=data, headers=headers)
    with _OPENER.open(request, timeout=timeout) as response:
        return http_source.body(response, timeout)


@contextlib.contextmanager
def server(answer):
    """Give the address of a server; answer(handler) writes each answer. Its requests are in the list `requests`."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append((self.path, dict(self.headers), self.rfile.read(int(self.headers.get("Content-Length", 0)))))
            with contextlib.suppress(OSError):
                answer(self)

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{found.server_address[1]}", requests
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


def give(handler, body, status=200, length=None, **headers):
    """Answer with these bytes."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)

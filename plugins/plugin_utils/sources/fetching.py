# Asking over HTTP: addresses, secrets, bounds, and answers in JSON.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import base64
import json
import re
import time
import urllib.parse

from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import specification
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources.reading import Missing, cut

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ERROR_SECONDS = 5
CHUNK = 65536
OPTIONAL = ("bearer_token", "headers")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


def check(spec, what, query=False):
    """Return (url without credentials, headers, secrets) of a source that is asked over HTTP.

    query: whether the url may have a query string.
    """
    url, user = _url(spec, what, query)
    headers = _headers(spec.get("headers"), what)
    ways = [name for name, found in (
        ("credentials in the url", user),
        ("bearer_token", spec.get("bearer_token") is not None),
        ("an Authorization header", any(key.lower() == "authorization" for key in headers)),
    ) if found]  # fmt: skip
    if len(ways) > 1:
        raise RolloutError(f"{what} gives {' and '.join(ways)}: expected only one of them.")
    secrets = set(headers.values())
    if user:
        token = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        headers["Authorization"] = f"Basic {token}"
        password = user.partition(":")[2]
        secrets |= {token, user, password, urllib.parse.unquote(password)}
    if spec.get("bearer_token") is not None:
        token = _secret(spec["bearer_token"], f"{what}: bearer_token")
        headers["Authorization"] = f"Bearer {token}"
        secrets.add(token)
    secrets |= {value for unused, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)}
    return url, headers, tuple(secrets - {""})


def _url(spec, what, query):
    """Return (url without credentials, credentials or "")."""
    url = specification.text(spec, "url", what, 2000)
    try:
        parts = urllib.parse.urlsplit(url)
        proper = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        proper = False
    if not proper or not url.isascii() or not url.isprintable() or " " in url:
        raise RolloutError(f"{what}: url is not a proper address: expected one like http://monitor.example:9090.")
    if parts.fragment or (parts.query and not query):
        raise RolloutError(f"{what}: url has a '{'#' if parts.fragment else '?'}': expected an address without it.")
    user, unused, place = parts.netloc.rpartition("@")
    return urllib.parse.urlunsplit((parts.scheme, place, parts.path, parts.query, "")), user


def _headers(given, what):
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(HEADER.fullmatch(name) for name in given):
        raise RolloutError(f"{what}: headers is {specification.kind(given)}: expected a dictionary of names and values.")
    return {name: _secret(value, f"{what}: header {name}") for name, value in given.items()}


def _secret(value, what):
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise RolloutError(f"{what} is {specification.kind(value)}: expected one line of printable ASCII text.")
    return value


def place(url):
    """Return the address without its query string, for people."""
    return url.partition("?")[0]


def ask(source, fetch, url, data=None):
    """Return the JSON value that the address answers; whatever else happens is missing."""
    where = place(url)
    headers = {"Accept": "application/json", **source.headers}
    if data is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        data = urllib.parse.urlencode(data).encode()
    try:
        answer = fetch(url, data=data, headers=headers, timeout=source.timeout)
    except Exception as error:  # noqa: BLE001 - whatever a library raises for a network: it has not answered.
        raise Missing(f"{where} {_explained(error, source)}") from None
    if not isinstance(answer, bytes):
        raise Missing(f"{where} gave no bytes but {type(answer).__name__}")
    if len(answer) > MAX_ANSWER_BYTES:
        raise Missing(f"{where} answered more than {MAX_ANSWER_BYTES // 1024 ** 2} MiB: let it give less")
    return parsed(source.masked_bytes(answer), where)


def parsed(answer, where):
    """Return the JSON value in the bytes of an answer; anything else is missing."""
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        pass
    if not answer.strip():
        raise Missing(f"{where} gave an empty answer: expected JSON")
    begin = answer[:200].decode("utf-8", "replace").strip()
    if begin.startswith("<"):
        raise Missing(f"{where} answered HTML, perhaps a login page, not JSON: check url and credentials")
    raise Missing(f"{where} answered no JSON, or not all of it ({len(answer)} bytes, beginning {cut(begin, 60)!r})")


def _explained(error, source):
    code = getattr(error, "code", None)
    if isinstance(code, int):
        said = _server_words(error, source)
        return f"answered HTTP {code}" + (f": {said}" if said else "") + _hint(code)
    inner = getattr(error, "reason", None)
    if isinstance(error, TimeoutError) or isinstance(inner, TimeoutError) or "timed out" in str(error):
        return f"did not answer within {source.timeout} s"
    return f"did not answer: {cut(source.masked(str(inner or error)) or type(error).__name__)}"


def _hint(code):
    if 300 <= code < 400:
        return " (redirects are not followed: give the address that answers itself)"
    return " (check the credentials)" if code in (401, 403) else ""


def _server_words(error, source):
    """Return what a server says of its error, where it says it in JSON (str)."""
    try:
        said = json.loads(body(error, min(source.timeout, MAX_ERROR_SECONDS)))
        return cut(source.masked(str(said["error"])))
    except Exception:  # noqa: BLE001 - the words are an extra; the code has been told.
        return ""


def body(response, timeout, clock=time.monotonic):
    """Return the body (bytes) of an open response, for a fetch function: bounded in size and in time as a whole.

    The timeout of a socket starts anew with every byte, so a slow server could keep a reader for ever.
    """
    end = clock() + timeout
    chunks, size = [], 0
    while True:
        chunk = response.read1(CHUNK)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            break
        if clock() > end:
            raise TimeoutError(f"timed out: {size} bytes within {timeout} s, and more to come")
    if getattr(response, "length", None) and size <= MAX_ANSWER_BYTES:
        raise OSError(f"the answer ended {response.length} bytes too early")
    return b"".join(chunks)

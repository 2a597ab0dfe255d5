# Evidence from any address that answers JSON, a JMESPath expression gives the number; and how addresses are asked at all.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import base64
import json
import re
import time
import urllib.parse
from dataclasses import replace

from ansible_collections.kernel.livepatch.plugins.plugin_utils import values
from ansible_collections.kernel.livepatch.plugins.plugin_utils.errors import RolloutError
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources import common
from ansible_collections.kernel.livepatch.plugins.plugin_utils.sources.common import Missing

ACCESS = ("bearer_token", "headers")
RULES = ("max", "min", common.RATIO)
REQUIRED = ("url", "expression")
EXPRESSIONS = ("expression", "control_expression", "time_expression")
OPTIONAL = ("control_expression", "time_expression", "unit", *ACCESS)
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ERROR_SECONDS = 5
CHUNK = 65536
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


def check(source, spec, what):
    """Return the Source with what a JSON address needs, or raise RolloutError."""
    options = {key: common.text(spec, key, what) for key in EXPRESSIONS}
    for key in EXPRESSIONS:
        _check_expression(options[key], f"{what}: {key}")
    if source.rule == common.RATIO and not options["control_expression"]:
        raise RolloutError(f"{what} has {common.RATIO} without control_expression: give the one for the control.")
    if source.stale_given and not options["time_expression"]:
        raise RolloutError(f"{what} has stale_after without time_expression: give the one for the time of the numbers.")
    options["unit"] = common.text(spec, "unit", what, 20)
    return replace(source, options=options, **address(spec, what, query=True))


def library():
    """Return the module jmespath, or raise RolloutError."""
    try:
        import jmespath
    except ImportError:
        raise RolloutError(
            "Sources of type http need the Python library jmespath on the controller, which was not found: "
            "install it into Ansible's Python, e.g. python3 -m pip install jmespath."
        ) from None
    return jmespath


def _check_expression(text, what):
    if text is None:
        return
    jmespath = library()
    try:
        jmespath.compile(text)
    except (jmespath.exceptions.JMESPathError, RecursionError) as error:
        reason = values.words(str(error).partition("\n")[0], common.MAX_WORD)
        raise RolloutError(f"{what} is {text!r}: expected a JMESPath expression ({reason}).") from None


def read(source, sides, since, now, fetch):
    """Return what the address says (common.Found), or raise Missing."""
    answer = ask(source, fetch, source.url)
    notes = _check_age(source, answer, now)
    patched = _number(source, answer, "expression")
    control = _control(source, answer, sides)
    unit = common.unit_of(source)
    said = f"{common.shown(patched)}{unit}"
    if control is not None:
        said += f", control {common.shown(control)}{unit}"
    return common.Found(patched=patched, control=control, said=said, notes=notes)


def _control(source, answer, sides):
    if not source.options["control_expression"]:
        return None
    try:
        return _number(source, answer, "control_expression")
    except Missing:
        if sides.last_tier and not sides.control:
            return None
        raise


def _number(source, answer, key):
    found, text = _search(source, answer, key), values.words(source.options[key], 80)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        if found is None:
            raise Missing(f"{key} {text!r} finds nothing in the answer")
        hint = (
            "; use to_number()"
            if isinstance(found, str)
            else "; use length(), sum() or avg()" * isinstance(found, list)
        )
        raise Missing(f"{key} {text!r} gives {common.kind(found)}, expected a number{hint}")
    return common.finite(found, f"{key} {text!r}")


def _check_age(source, answer, now):
    """Return notes (tuple) on the age of the numbers, or raise Missing for one that is too great."""
    if not source.options["time_expression"]:
        return ()
    found = _search(source, answer, "time_expression")
    moment = common.epoch(found)
    if moment is None:
        raise Missing(
            f"time_expression gives {values.words(repr(found), 60)}, expected seconds since 1970 or an ISO 8601 time"
        )
    age = now - moment
    if age < -common.AHEAD:
        raise Missing(f"the numbers are dated {common.shown(-age)} s in the future: are these milliseconds?")
    if age > source.stale_after:
        raise Missing(f"the numbers are {age:.0f} s old, at most {source.stale_after} s expected")
    return (f"{max(0, age):.0f} s old",)


def _search(source, answer, key):
    try:
        return library().search(source.options[key], answer)
    except RolloutError as error:
        raise Missing(str(error)) from None
    except Exception as error:  # noqa: BLE001 - a library at work on foreign data: no value is all that matters.
        reason = values.words(str(error).partition("\n")[0], common.MAX_WORD)
        raise Missing(f"{key} cannot be applied to the answer: {reason or type(error).__name__}") from None


# Asking: addresses, secrets, bounds


def address(spec, what, query=False):
    """Return {url (without credentials), headers, secrets} of a source that is asked over HTTP.

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
    return {"url": url, "headers": headers, "secrets": tuple(secrets - {""})}


def _url(spec, what, query):
    """Return (url without credentials, credentials or "")."""
    url = common.text(spec, "url", what, 2000)
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
        raise RolloutError(f"{what}: headers is {common.kind(given)}: expected a dictionary of names and values.")
    return {name: _secret(value, f"{what}: header {name}") for name, value in given.items()}


def _secret(value, what):
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise RolloutError(f"{what} is {common.kind(value)}: expected one line of printable ASCII text.")
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
    raise Missing(
        f"{where} answered no JSON, or not all of it ({len(answer)} bytes, beginning {values.words(begin, 60)!r})"
    )


def _explained(error, source):
    code = getattr(error, "code", None)
    if isinstance(code, int):
        said = _server_words(error, source)
        return f"answered HTTP {code}" + (f": {said}" if said else "") + _hint(code)
    inner = getattr(error, "reason", None)
    if isinstance(error, TimeoutError) or isinstance(inner, TimeoutError) or "timed out" in str(error):
        return f"did not answer within {source.timeout} s"
    return (
        f"did not answer: {values.words(source.masked(str(inner or error)) or type(error).__name__, common.MAX_WORD)}"
    )


def _hint(code):
    if 300 <= code < 400:
        return " (redirects are not followed: give the address that answers itself)"
    return " (check the credentials)" if code in (401, 403) else ""


def _server_words(error, source):
    """Return what a server says of its error, where it says it in JSON (str)."""
    try:
        said = json.loads(body(error, min(source.timeout, MAX_ERROR_SECONDS)))
        return values.words(source.masked(str(said["error"])), common.MAX_WORD)
    except Exception:  # noqa: BLE001 - the words are an extra; the code has been told.
        return ""


def fetching(open_url):
    """Return a fetch function; open_url: that of Ansible, with its proxies and certificates.

    fetch(url, data=None, headers=..., timeout=..., verify=True) returns the bytes of the answer, or raises. Redirects would
    take the headers elsewhere.
    """

    def fetch(url, *, data=None, headers, timeout, verify=True):
        how = {"headers": headers, "timeout": timeout, "validate_certs": verify, "follow_redirects": "none"}
        with open_url(url, data=data, method="GET" if data is None else "POST", **how) as response:
            return body(response, timeout)

    return fetch


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

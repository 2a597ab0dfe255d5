# The program that a host keeps: it prints the facts, as facts.d wants them, and publishes them when systemd asks it to.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: BSD-2-Clause

import ast
import importlib.util
import io
import json
import os
import sys
import zipfile

from ansible_collections.kernel.livepatch.plugins.module_utils._files import ownership, processes
from ansible_collections.kernel.livepatch.plugins.module_utils._files.errors import LivepatchError
from ansible_collections.kernel.livepatch.plugins.module_utils._visibility import kernel_facts, publish

_TOP = "ansible_collections.kernel.livepatch.plugins.module_utils"
_NAME = _TOP + "._visibility.fact_program"
_START = "import sys\n\nfrom %s import main\n\nsys.exit(main(sys.argv[1:]))\n" % _NAME
# The system's Python, by the family of RHEL's name for it and by everybody's.
_SYSTEMS = ("/usr/libexec/platform-python", "/usr/bin/python3")
_IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 6))"
# The same content gives the same bytes at any time.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def main(arguments, root="/", out=sys.stdout, errors=sys.stderr):
    """Run the program; return its exit status. Without arguments it prints the facts, with `publish` it writes them."""
    if arguments not in ([], ["publish"]):
        errors.write("usage: livepatch.fact [publish]\nFound: %s\n" % " ".join(arguments))
        return 2
    try:
        if arguments:
            publish.publish(root)
        else:
            out.write(json.dumps(kernel_facts.gather(root), sort_keys=True) + "\n")
    except LivepatchError as error:
        errors.write("livepatch: %s\n" % error.message)
        return 1
    except EnvironmentError as error:
        errors.write("livepatch: %s\n" % error)
        return 1
    return 0


def interpreter(running, root="/"):
    """Return the path of the Python that root is to run the program with (str): one that only root can change.

    The system's own comes first, which stays when environments come and go. running: path of the one that runs this.
    Raises LivepatchError: insecure_path.
    """
    for path in _SYSTEMS + (running,):
        place = os.path.join(root, path.lstrip("/"))
        if os.path.exists(place) and not ownership.changeable(root, place) and _serves(place, running):
            return path
    raise LivepatchError(
        "insecure_path",
        "%s: expected a Python 3.6 or newer that only root can change, as root is to run it once a minute, found that others "
        "can change this one, and no other at %s. Install the system's Python." % (running, " or ".join(_SYSTEMS)),
    )


def _serves(place, running):
    if os.path.realpath(place) == os.path.realpath(running):
        return True
    try:
        return processes.run([place, "-I", "-c", _IS_NEW_ENOUGH], 1, 30.0)[0] == 0
    except EnvironmentError:
        return False


def build(interpreter):
    """Return the program as one file (bytes): a line that names the interpreter (path, str), and a zip archive.

    The archive holds the sources of this module and of all that it imports, as the running process has them.
    """
    data, sources = io.BytesIO(), _sources()
    with zipfile.ZipFile(data, "w") as archive:
        _add(archive, "__main__", _START)
        for name, source in sorted(sources.items()):
            _add(archive, name.replace(".", "/"), source)
        for package in sorted(set(package for name in sources for package in _packages(name))):
            _add(archive, package.replace(".", "/") + "/__init__", "")
    return ("#!%s -I\n" % interpreter).encode("utf-8") + data.getvalue()


def _add(archive, name, source):
    # Stored and not compressed: another zlib would make other bytes of it.
    entry = zipfile.ZipInfo(name + ".py", _MOMENT)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, source)


def _sources():
    """Return {name of a module: its source} for this module and all of this collection's that it imports."""
    found, left = {}, [_NAME]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = importlib.util.find_spec(name).loader.get_source(name)
            left.extend(_imported(found[name]))
    return found


def _packages(name):
    """Yield the names of the packages that a module lies in."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _imported(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_TOP + "."):
            # What is imported from a room is a module, what is imported from a module is a part of it.
            in_room = importlib.util.find_spec(node.module).submodule_search_locations is not None
            for alias in node.names:
                yield "%s.%s" % (node.module, alias.name) if in_room else node.module

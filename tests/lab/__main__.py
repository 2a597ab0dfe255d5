"""The lab's commands: python3 -m tests.lab up|down|status|build|clean|prerequisites."""

# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import json
import pathlib
import re
import signal
import sys

from tests.lab import cache, image, keeper, kernels, parts, prerequisites, progress
from tests.lab.errors import LabError

_ROOT = pathlib.Path.cwd()


def _fleet_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text):
        raise argparse.ArgumentTypeError(f"a name of small letters, digits and dashes was expected, found {text!r}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab", description="Fleets of small virtual machines that run real kernels.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="boot a fleet and write its inventory")
    up.add_argument("--hosts", type=int, default=4)
    up.add_argument("--memory", type=int, default=384, help="MiB per guest")
    up.add_argument("--processors", type=int, default=2, help="per guest")
    up.add_argument("--cmdline", default="", help="more words for the guests' kernel command line")
    up.add_argument("--init", choices=image.INITS, default="busybox", help="what the guests boot with; systemd takes longer")
    up.add_argument("--inventory", type=pathlib.Path, help="the file to write it to, by default inventories/NAME/hosts.yml")
    build = commands.add_parser("build", help="build what the guests need, without booting any")
    for command in (up, build):
        command.add_argument("--kernels", default="5.10 6.1", help=f"of: {' '.join(kernels.SUITES)}")
    down = commands.add_parser("down", help="end a fleet")
    status = commands.add_parser("status", help="show a fleet")
    for command in (up, down, status):
        command.add_argument("--name", type=_fleet_name, default="lab")
    commands.add_parser("clean", help="delete everything the lab has built")
    needs = commands.add_parser("prerequisites", help="say which programs are missing")
    needs.add_argument("--install", action="store_true", help="and install them")
    needs.add_argument("--events", action="store_true", help="with --install: also what the tests of events start")
    commands.add_parser("keep").add_argument("options")
    return parser


def _directory(name: str) -> pathlib.Path:
    return _ROOT / ".lab" / name


def _up(options: argparse.Namespace) -> None:
    directory = _directory(options.name)
    names = options.kernels.split()
    prerequisites.check()
    parts.get(names, options.init)
    keeper.start(directory, {
        "hosts": options.hosts, "kernels": names, "memory": options.memory, "processors": options.processors, "cmdline": options.cmdline,
        "init": options.init,
        "inventory": str(_ROOT / (options.inventory or pathlib.Path("inventories", options.name, "hosts.yml")))})
    print(keeper.table(directory))


def _down(options: argparse.Namespace) -> None:
    print("The fleet is down." if keeper.stop(_directory(options.name)) else "No fleet was running.")


def _build(options: argparse.Namespace) -> None:
    prerequisites.check()
    with progress.step("all parts ready"):
        parts.get(options.kernels.split())


def _prerequisites(options: argparse.Namespace) -> None:
    if options.install:
        prerequisites.install(options.events)
    prerequisites.check()
    print("The lab has all the programs it needs.")


def _main() -> int:
    options = _parser().parse_args()
    commands = {
        "up": _up, "down": _down, "build": _build, "prerequisites": _prerequisites,
        "status": lambda given: print(keeper.table(_directory(given.name))),
        "clean": lambda given: cache.remove(cache.root()) if cache.root().exists() else None,
        "keep": lambda given: keeper.keep(json.loads(given.options)),
    }
    # Whatever shell started this: Ctrl-C interrupts, and a polite kill ends the lab like Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        commands[options.command](options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; everything it had started is ended.", file=sys.stderr)
        return 130
    return 0


sys.exit(_main())

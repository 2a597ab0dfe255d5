#!/bin/sh
# Names the missing programs, with the command that installs them, and runs it where that is possible.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: prerequisites.sh [sanity]    sanity: what ansible-test would leave a check out without, too
set -u

packages=
need() { # need PACKAGE TEST...: the package is missing unless the test command succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || packages="$packages $package"
}

need git git --version
need python3 python3 --version
need python3-venv python3 -c 'import ensurepip, venv'
need openssh-client ssh -V
[ "${1:-}" != sanity ] || need shellcheck shellcheck --version
[ -n "$packages" ] || exit 0

install="apt-get install -y --no-install-recommends$packages"
echo "Missing:$packages. This installs them: $install"
command -v apt-get >/dev/null || {
    echo "There is no apt-get here: install them with this system's own package manager, then try again."
    exit 1
}
if [ "$(id -u)" = 0 ]; then
    sudo=
elif sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "This needs root: run it with sudo, then try again."
    exit 1
fi
# The lists of a fresh machine may be empty or old; an update that fails is no reason not to try.
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive $install || {
    $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive $install
}

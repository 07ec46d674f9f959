#!/usr/bin/env bash
# Installs Chromium if it is missing, for the tests that look at the pages of reports.
#
#   scripts/chromium.sh
#
# It can be run any number of times. It installs Debian's package, which needs root.
set -euo pipefail

say() { echo "chromium: $*"; }
fail() { say "$*" >&2; exit 1; }

if ! command -v chromium >/dev/null; then
    command -v apt-get >/dev/null ||
        fail "it is missing, and this script can only install Debian's package:" \
            "install it as your system does, or name one in CHROMIUM."
    [[ $(id -u) == 0 ]] || fail "it is missing, and installing it needs root: run 'sudo $0'."
    say "installing Debian's package"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
        chromium fonts-dejavu-core >/dev/null
fi
say "$(chromium --version 2>/dev/null)"

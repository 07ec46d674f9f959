#!/usr/bin/env bash
# Builds Toxiproxy's server from its Go module: scripts/toxiproxy.sh FOLDER
# Writes FOLDER/toxiproxy-server. Does nothing if the right version is there already. Needs Go.
# Tests find it with FOLDER on PATH, or with TOXIPROXY_SERVER=FOLDER/toxiproxy-server.
set -euo pipefail

version=2.12.0
module=github.com/Shopify/toxiproxy/v2

if (($# != 1)); then
    echo "usage: scripts/toxiproxy.sh FOLDER" >&2
    exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
program=$folder/toxiproxy-server

if [[ -x $program && $("$program" --version) == *" $version" ]]; then
    echo "$program is there already"
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "toxiproxy.sh: no 'go' on PATH: install Go, or put a toxiproxy-server $version there" >&2
    exit 1
fi

# Builds beside the final path and moves the file there, so that it is always whole.
build=$(mktemp -d "$folder/.build.XXXXXX")
trap 'rm -rf "$build"' EXIT
echo "building toxiproxy-server $version"
CGO_ENABLED=0 GOBIN=$build go install -ldflags "-s -w -X $module.Version=$version" \
    "$module/cmd/server@v$version"
mv "$build/server" "$program"
"$program" --version

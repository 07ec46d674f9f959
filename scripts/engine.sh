#!/usr/bin/env bash
# Starts a container engine with the compose and buildx plugins, if none answers.
#
#   scripts/engine.sh
#
# It does only what is missing, says what it does, and can be run any number of times. It installs
# Debian's packages, which needs root, and so does starting the engine.
set -euo pipefail

COMPOSE_MIN=2.24   # the first with !override and !reset, which the overlays in compose/ use
PLUGIN_SUITE=trixie # Debian's first release with both plugins; they work with older engines too
PLUGIN_DIRECTORY=/usr/local/lib/docker/cli-plugins
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
LOG=/var/log/dockerd.log
START_TIMEOUT_S=60

say() { echo "engine: $*"; }
fail() { say "$*" >&2; exit 1; }

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
compose_version() { docker compose version --short 2>/dev/null | sed 's/^v//'; }
buildx_version() { docker buildx version 2>/dev/null | awk '{ print $2 }'; }

compose_suffices() {
    local version
    version=$(compose_version) && [[ -n $version ]] &&
        printf '%s\n' "$COMPOSE_MIN" "$version" | sort --version-sort --check=quiet
}

need_debian() { # what for
    command -v apt-get >/dev/null ||
        fail "$1 is missing, and this script can only install it from Debian's packages:" \
            "install Docker Engine with its compose and buildx plugins as your system does."
    [[ $(id -u) == 0 ]] || fail "$1 is missing, and needs root: run 'sudo $0'."
}

update_lists_once() {
    [[ -n ${lists_updated:-} ]] && return
    say "updating apt's package lists"
    apt-get update -qq
    lists_updated=yes
}

install_engine() {
    need_debian "an engine"
    update_lists_once
    say "installing docker.io and iptables"
    DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends \
        docker.io iptables >/dev/null
}

start_engine() {
    [[ $(id -u) == 0 ]] || fail "no engine answers; starting one needs root: run 'sudo $0'," \
        "or point DOCKER_HOST at one."
    say "starting dockerd in a session of its own, log in $LOG"
    setsid --fork dockerd >>"$LOG" 2>&1 </dev/null
    local deadline=$((SECONDS + START_TIMEOUT_S))
    until engine_answers; do
        if ((SECONDS >= deadline)); then
            tail -n 20 "$LOG" >&2
            fail "dockerd does not answer after $START_TIMEOUT_S s; the end of $LOG is above."
        fi
        sleep 0.2
    done
}

# Uses the mirror that apt is set up for.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Label: Debian' | sed -n 1p
}

fetch_plugins() { # package...; from a suite that this machine doesn't otherwise install from
    need_debian "${*/#docker-/the plugin }"
    update_lists_once
    local mirror work
    mirror=$(debian_mirror)
    [[ -n $mirror ]] || fail "apt knows no Debian mirror: install $* as your system does."
    work=$(mktemp -d)
    mkdir -p "$work"/{lists/partial,cache/archives/partial,unpacked} "$PLUGIN_DIRECTORY"
    chmod -R go+rX "$work"
    echo "deb [signed-by=$KEYRING] $mirror $PLUGIN_SUITE main" >"$work/sources.list"
    local options=(
        -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root
    )
    say "taking $* from Debian $PLUGIN_SUITE"
    apt-get "${options[@]}" update
    (cd "$work" && apt-get "${options[@]}" download "$@")
    local package
    for package in "$work"/*.deb; do
        dpkg-deb --extract "$package" "$work/unpacked"
    done
    install -m 0755 "$work"/unpacked/usr/libexec/docker/cli-plugins/* "$PLUGIN_DIRECTORY/"
    rm -rf "$work"
}

if ! engine_answers; then
    if [[ -n ${DOCKER_HOST:-} ]]; then
        fail "no engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST."
    fi
    { command -v dockerd && command -v iptables && command -v docker; } >/dev/null || install_engine
    engine_answers || start_engine
fi

missing=()
compose_suffices || missing+=(docker-compose)
[[ -n $(buildx_version) ]] || missing+=(docker-buildx)
if ((${#missing[@]})); then
    fetch_plugins "${missing[@]}"
    compose_suffices || fail "'docker compose' is still older than $COMPOSE_MIN, or doesn't run."
    [[ -n $(buildx_version) ]] || fail "'docker buildx' doesn't run."
fi

say "ready: engine $(docker version --format '{{.Server.Version}}')," \
    "compose $(compose_version), buildx $(buildx_version)"

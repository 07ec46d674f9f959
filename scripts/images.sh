#!/usr/bin/env bash
# Builds the images of the node and of Toxiproxy, unless they are built already.
#
#   scripts/images.sh                     from a registry's images if one answers, else packages
#   scripts/images.sh --from registry     from a registry's images only
#   scripts/images.sh --from packages     from packages only, without asking a registry
#
# "From packages": the base comes from Debian's packages, Toxiproxy from its Go module. In either
# case $PYTHON downloads the Python wheels outside of the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

REGISTRY_WAIT_S=5
SPACE_MIN_MB=1500
SUITE=bookworm # its Python is that of the registry's image
BASE_PACKAGES=python3-minimal,libpython3-stdlib,libstdc++6,netbase
INPUTS_LABEL=spot.inputs # a hash of all that an image is made of
SOURCE_LABEL=spot.source # registry or packages

say() { echo "images: $*"; }
fail() { say "$*" >&2; exit 1; }

argument_of() { sed -n "s/^ARG $2=//p" "images/$1/Dockerfile"; }
label_of() { docker image inspect --format "{{ index .Config.Labels \"$2\" }}" "$1" 2>/dev/null; }
hash_of() { # text and files...
    local text=$1
    shift
    { echo "$text"; sha256sum -- "$@"; } | sha256sum | cut -c 1-16
}

quietly() { # what, command...; shows the output only when it fails
    local what=$1 start=$SECONDS
    shift
    say "$what ..."
    if ! "$@" >"$work/output" 2>&1; then
        tail -n 40 "$work/output" >&2
        fail "$what: failed, see above."
    fi
    say "$what: $((SECONDS - start)) s"
}

need() { # command, Debian package
    command -v "$1" >/dev/null && return
    if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
        fail "$1 is missing: install it ('sudo apt-get install $2')," \
            "or build where a registry answers."
    fi
    quietly "installing $2" install_package "$2"
}

install_package() {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends "$1"
}

is_current() { # image, hash
    [[ $(label_of "$1" "$INPUTS_LABEL") == "$2" ]] || return 1
    [[ $from == any || $(label_of "$1" "$SOURCE_LABEL") == "$from" ]]
}

# Sets $source to registry or packages, for this image.
choose_source() { # image of a registry
    source=$from
    [[ $from == packages ]] && return
    if docker image inspect "$1" >/dev/null 2>&1 ||
        timeout "$REGISTRY_WAIT_S" docker manifest inspect "$1" >/dev/null 2>"$work/refusal"; then
        source=registry
        say "$1 is to be had: building from the registry's image"
    elif [[ $from == any ]]; then
        source=packages
        say "$1 can't be had of a registry within $REGISTRY_WAIT_S s: building from packages"
    else
        cat "$work/refusal" >&2
        fail "$1 can't be had of a registry within $REGISTRY_WAIT_S s: take --from packages."
    fi
}

build() { # name, tag, hash, build arguments...
    local name=$1 image=spot-$1:$2 hash=$3 arguments=() argument
    for argument in "VERSION=$2" "${@:4}"; do
        arguments+=(--build-arg "$argument")
    done
    quietly "building $image" docker build --tag "$image" --label "$INPUTS_LABEL=$hash" \
        --label "$SOURCE_LABEL=$source" "${arguments[@]}" "images/$name"
    # The image that had this tag before.
    docker image prune --force --filter "label=$INPUTS_LABEL" >/dev/null
}

# Debian with Python, without the front end of the package manager, manual pages and translations.
build_base() { # image, hash
    [[ $(label_of "$1" "$INPUTS_LABEL") == "$2" ]] && return
    [[ $(id -u) == 0 ]] || fail "a base made of packages needs root: run 'sudo $0'."
    need mmdebstrap mmdebstrap
    quietly "making $1 of Debian's packages (about half a minute)" import_base "$1" "$2"
}

mirror_of() { # whose packages
    apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' "Label: $1" | sed -n 1p
}

import_base() {
    # Uses the mirrors that apt is set up for.
    local signed='signed-by=/usr/share/keyrings/debian-archive-keyring.gpg' main security
    main=$(mirror_of Debian)
    security=$(mirror_of Debian-Security)
    [[ -n $main && -n $security ]] || { echo "apt knows no mirrors of Debian"; return 1; }
    cat >"$work/sources.list" <<END
deb [$signed] $main $SUITE main
deb [$signed] $main $SUITE-updates main
deb [$signed] $security $SUITE-security main
END
    mmdebstrap --quiet --variant=essential --include="$BASE_PACKAGES" \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$SUITE" "$work/base.tar" "$work/sources.list" || return
    docker import --change "LABEL $INPUTS_LABEL=$2" "$work/base.tar" "$1" || return
    rm "$work/base.tar"
}

# Downloads the image's wheels, for its Python and the engine's processor, not for this machine's.
collect_wheels() {
    local wheels=images/node/wheels platform
    mkdir -p "$wheels"
    rm -f "$wheels"/*.whl
    case $(docker version --format '{{.Server.Arch}}') in
        arm64) platform=aarch64 ;;
        *) platform=x86_64 ;;
    esac
    "$PYTHON" -m pip download --quiet --dest "$wheels" \
        --requirement images/node/requirements.txt \
        --requirement images/node/requirements-build.txt \
        --only-binary=:all: --implementation cp --python-version 3.11 \
        --platform "manylinux2014_$platform" --platform "manylinux_2_28_$platform" &&
        "$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" .
}

build_node() {
    local hash base sources
    mapfile -t sources < <(find spot -name '*.py' -o -name py.typed | LC_ALL=C sort)
    hash=$(hash_of "$SPOT_VERSION" pyproject.toml "${sources[@]}" \
        images/node/{Dockerfile,requirements{,-build}.txt})
    if is_current "spot-node:$SPOT_VERSION" "$hash"; then
        say "spot-node:$SPOT_VERSION is up to date"
        return
    fi
    base=$(argument_of node PYTHON_IMAGE)
    choose_source "$base"
    if [[ $source == packages ]]; then
        base=spot-base:$SUITE
        build_base "$base" "$(hash_of "$SUITE $BASE_PACKAGES" /dev/null)"
    fi
    quietly "collecting wheels" collect_wheels
    build node "$SPOT_VERSION" "$hash" "PYTHON_IMAGE=$base"
}

build_toxiproxy() {
    local hash binaries
    hash=$(hash_of "$TOXIPROXY_VERSION" images/toxiproxy/Dockerfile)
    if is_current "spot-toxiproxy:$TOXIPROXY_VERSION" "$hash"; then
        say "spot-toxiproxy:$TOXIPROXY_VERSION is up to date"
        return
    fi
    binaries=$(argument_of toxiproxy BINARIES)
    choose_source "$binaries"
    if [[ $source == packages ]]; then
        binaries=spot-toxiproxy-binaries:$TOXIPROXY_VERSION
        command -v go >/dev/null || fail "Toxiproxy is built by Go 1.23 or newer: install it."
        quietly "making $binaries of its Go module (about half a minute)" import_toxiproxy "$binaries"
    fi
    build toxiproxy "$TOXIPROXY_VERSION" "$hash" "BINARIES=$binaries"
}

import_toxiproxy() {
    local module=github.com/Shopify/toxiproxy/v2
    CGO_ENABLED=0 GOBIN=$work/go go install -trimpath \
        -ldflags "-s -w -X $module.Version=$TOXIPROXY_VERSION" \
        "$module/cmd/server@v$TOXIPROXY_VERSION" "$module/cmd/cli@v$TOXIPROXY_VERSION" || return
    mkdir "$work/root"
    mv "$work/go/server" "$work/root/toxiproxy"
    mv "$work/go/cli" "$work/root/toxiproxy-cli"
    tar --create --directory "$work/root" toxiproxy toxiproxy-cli | docker import - "$1"
}

check_space() {
    local root free
    root=$(docker info --format '{{.DockerRootDir}}')
    [[ -d $root ]] || return 0 # the engine runs on another machine, and reports a full disk itself
    free=$(df --output=avail --block-size=1M "$root" | tail -n 1)
    ((free >= SPACE_MIN_MB)) || fail "only $((free)) MB are free at $root, and images take up to" \
        "$SPACE_MIN_MB MB to build: 'docker system df' shows what the engine holds."
}

from=any
if [[ ${1:-} == --from && ${2:-} =~ ^(registry|packages)$ && $# == 2 ]]; then
    from=$2
elif (($#)); then
    fail "usage: $0 [--from registry|packages]"
fi
PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}
SPOT_VERSION=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' spot/__init__.py)
TOXIPROXY_VERSION=$(sed -n 's/^TOXIPROXY_VERSION=//p' compose/.env)

docker version >/dev/null 2>&1 || fail "no engine answers: start yours, or run scripts/engine.sh."
docker buildx version >/dev/null 2>&1 || fail "docker has no buildx plugin: run scripts/engine.sh."
check_space
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Two builds at once would remove each other's wheels.
exec 9<images
flock --nonblock 9 || { say "waiting for another build to end"; flock 9; }

build_node
build_toxiproxy
docker images --format 'images: {{.Repository}}:{{.Tag}} {{.Size}}' |
    grep -E "spot-(node:$SPOT_VERSION|toxiproxy:$TOXIPROXY_VERSION) "

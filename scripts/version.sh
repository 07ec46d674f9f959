#!/usr/bin/env bash
# Sets the version of the package: scripts/version.sh 0.2.0
# spot/__init__.py is its source. The other files are read by people and by compose, so they name
# it literally; a test compares them. The changelog is yours to write.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# != 1)) || ! [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+([a-z]+[0-9]+)?$ ]]; then
    echo "usage: scripts/version.sh VERSION, such as 0.2.0 or 0.2.0rc1" >&2
    exit 2
fi
sed -i "s/^__version__ = .*/__version__ = \"$1\"/" spot/__init__.py
sed -i "s/^SPOT_VERSION=.*/SPOT_VERSION=$1/" compose/.env
sed -i -E "s/(spot-node:|VERSION=)[0-9][0-9a-z.]*/\1$1/g" \
    images/node/README.md examples/raw_pyzmq_node/Dockerfile

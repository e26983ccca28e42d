#!/usr/bin/env bash
# The peers of tests/interop, into the folder $1: each in an environment of its own, with exact versions and hashes.
# Said by `make interop`. Needs node and npm (installed here as root on Debian) and the machine's own pip and npm settings.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/peers
mkdir -p "$1"
into=$(cd "$1" && pwd)
python=${PYTHON:-python3}

fresh() { # stamp, sources…: whether the stamp is newer than all of them
    [ -e "$1" ] && [ -z "$(find "${@:2}" -newer "$1")" ]
}

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: ts-mls needs node (20 or newer) and npm, which are not here" >&2
        echo "hint: install them (on Debian: apt-get install nodejs npm), then say make interop again" >&2
        exit 1
    fi
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
fi
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)'; then
    echo "error: ts-mls needs node 20 or newer; this is $(node --version)" >&2
    echo "hint: put a newer node on the PATH, then say make interop again" >&2
    exit 1
fi

ts=$into/ts-mls
if ! fresh "$ts/stamp" "$here/package.json" "$here/package-lock.json"; then
    mkdir -p "$ts"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$ts/"
    (cd "$ts" && npm ci --silent)
    touch "$ts/stamp"
fi
ln -sf "$here/ts_mls.mjs" "$ts/driver.mjs" # beside its node_modules, where node looks for them

for peer in mls_rs rine; do
    venv=$into/$peer
    if ! fresh "$venv/stamp" "$here/requirements-$peer.txt"; then
        [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
            -r "$here/requirements-$peer.txt"
        touch "$venv/stamp"
    fi
done

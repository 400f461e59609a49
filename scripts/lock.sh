#!/bin/sh
# Writes requirements/*.lock: versions and hashes for Python 3.11 and newer, on every platform, and no index host.
#
#   run.lock    what foz needs, llama.cpp for models on this machine, and what installing foz itself needs
#   dev.lock    the same versions, and what checks and tests need
#   NAME.lock   from NAME.in: programs that tests or the bench install beside the venv
#
# A lock keeps the versions it has as long as pyproject.toml allows them. `scripts/lock.sh --upgrade` takes the newest.
set -eu
cd "$(dirname "$0")/.."

lock() {
    out=$1
    shift
    echo "foz: locking $out"
    uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file "$out" "$@" >/dev/null
}

lock requirements/run.lock "$@" pyproject.toml --group build --extra local
lock requirements/dev.lock "$@" pyproject.toml --group build --group dev --constraint requirements/run.lock
for source in requirements/*.in; do
    lock "${source%.in}.lock" "$@" "$source"
done

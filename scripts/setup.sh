#!/bin/sh
# Sets up what one of the commands needs: `scripts/setup.sh run|dev|test`.
#
#   run    .venv with requirements/run.lock, and foz itself
#   dev    the same with requirements/dev.lock: formatter, linters, types, pytest, node
#   test   dev, the SDKs that the tests speak through (Python and Node), nginx, Redis, RabbitMQ, a browser, Go and
#          what checks units
#
# Everything lands in .venv and tests/node/node_modules; only what the system itself must give (python3-venv, libgomp1;
# for the tests nginx, redis-server, rabbitmq-server, curl, chromium, systemd, Go with its gRPC) is installed by apt, as root or with
# passwordless sudo, and else named in one line before anything else happens. Each step leaves a stamp of what it was
# made from, so that a second run does nothing and asks no network.
set -eu
cd "$(dirname "$0")/.."

level=${1:-}
oldest=11
newest=14

say() { echo "foz: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

case $level in
run | dev | test) ;;
*) fail "usage: scripts/setup.sh run|dev|test" ;;
esac

if [ -L .venv ]; then
    say ".venv is a link to an environment of your own: it is used as it is"
    exit 0
fi

# --- Python: the newest of 3.11 to 3.14, one that can make a venv before one that cannot ------------------------------

python=
rank=0
seen=
for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    facts=$("$name" -c '
import importlib.util, sys
print(*sys.version_info[:2], 1 if importlib.util.find_spec("ensurepip") else 0)' 2>/dev/null) || continue
    major=${facts%% *} able=${facts##* } minor=${facts#* }
    minor=${minor% *}
    seen="${seen:+$seen,} $name is $major.$minor"
    if [ "$major" -ne 3 ] || [ "$minor" -lt $oldest ] || [ "$minor" -gt $newest ]; then continue; fi
    if [ $((able * 100 + minor)) -gt "$rank" ]; then
        rank=$((able * 100 + minor))
        python=$name
    fi
done
if [ -z "$python" ]; then
    fail "Python 3.$oldest to 3.$newest is needed; on the PATH:${seen:- none}. Install python3, or say make PYTHON=/path/to/python3"
fi

# --- One setup at a time: the lock lives as long as descriptor 9 ------------------------------------------------------

mkdir -p .make
exec 9>.make/setup.lock
"$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'

# A venv holds its own path and its Python's version: one that was moved, or whose Python was replaced, is made anew,
# and so is one of another version than the PYTHON that was asked for.
version() { "$1" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null || echo none; }
origin() { echo "$PWD $(version .venv/bin/python)"; }
stamped() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
renew=yes
if stamped .venv/foz-origin "$(origin)"; then renew=no; fi
if [ -n "${PYTHON:-}" ] && [ "$(version "$python")" != "$(version .venv/bin/python)" ]; then renew=yes; fi

# --- What the system must give ----------------------------------------------------------------------------------------

any_of() { # any_of COMMAND...: whether one of them is there; servers live in sbin, which is not on everybody's PATH
    for command in "$@"; do
        if PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$command" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

has_libgomp() {
    for file in /usr/lib/libgomp.so.1 /usr/lib64/libgomp.so.1 /usr/lib/*/libgomp.so.1; do
        if [ -e "$file" ]; then return 0; fi
    done
    return 1
}

golang=/usr/share/gocode/src/github.com/golang

list_missing() { # the Debian packages that this level lacks
    if [ $renew = yes ] && ! "$python" -c 'import ensurepip' 2>/dev/null; then echo "${python##*/}-venv"; fi
    if [ "$(uname)" = Linux ] && ! has_libgomp; then echo libgomp1; fi
    if [ "$level" != run ] && [ "$(uname -sm)" != "Linux x86_64" ] && [ "$(uname)" = Linux ]; then
        any_of shellcheck || echo shellcheck
    fi
    if [ "$level" != test ]; then return; fi
    any_of curl || echo curl
    any_of nginx || echo nginx-light
    any_of redis-server || echo redis-server
    any_of rabbitmq-server || echo rabbitmq-server
    any_of go || echo golang-go
    any_of protoc || echo protobuf-compiler
    any_of protoc-gen-go || echo protoc-gen-go
    any_of protoc-gen-go-grpc || echo protoc-gen-go-grpc
    if [ "$(uname)" = Linux ]; then # 1.3 would be enough for gRPC's package, and cannot read what protoc-gen-go writes
        [ -d /usr/share/gocode/src/google.golang.org/grpc ] || echo golang-google-grpc-dev
        [ -d $golang/protobuf/internal/gengogrpc ] || echo golang-github-golang-protobuf-1-5-dev
    fi
    if [ "$(uname)" = Linux ]; then any_of systemd-analyze || echo systemd; fi
    if ! any_of chromium chromium-browser google-chrome; then
        if grep -qs '^ID=ubuntu' /etc/os-release; then echo chromium-browser; else echo chromium; fi
    fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() { # a server that comes as a package is installed, not started: the tests start their own
    # shellcheck disable=SC2016  # the inner shell, as root, expands it
    as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        policy=/usr/sbin/policy-rc.d
        if ! [ -e $policy ]; then
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod +x $policy
        fi
        apt-get update -qq || true
        apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" || exit 1
        if [ -d /run/systemd/system ]; then
            for package in "$@"; do
                case $package in
                nginx-light) systemctl disable -q nginx || true ;;
                redis-server) systemctl disable -q redis-server || true ;;
                rabbitmq-server) systemctl disable -q rabbitmq-server epmd.service epmd.socket || true ;;
                esac
            done
        fi' sh "$@" >.make/apt.log 2>&1 </dev/null 9>&-
}

missing() { list_missing | tr '\n' ' ' | sed 's/ $//'; }

lacks=$(missing)
if [ -n "$lacks" ]; then
    if any_of apt-get && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
        say "installing with apt: $lacks"
        # shellcheck disable=SC2086  # a list of names
        apt_install $lacks || { tail -n 5 .make/apt.log >&2; }
        lacks=$(missing)
    fi
    case $lacks in
    *-venv*) fail "$lacks missing, and cannot be installed from here; ask your administrator for: apt-get install $lacks" ;;
    ?*) say "$lacks missing, and cannot be installed from here; what needs it will fail. To install: apt-get install $lacks" ;;
    esac
fi

# --- .venv ------------------------------------------------------------------------------------------------------------

sum() { cat "$@" | cksum | tr ' ' '-'; }
pip() { .venv/bin/python -m pip -qq --disable-pip-version-check --no-input "$@" 9>&-; }

if [ $renew = yes ]; then
    say "making .venv with $("$python" --version) ($(command -v "$python"))"
    "$python" -m venv --clear .venv || fail "$python could not make .venv: see above"
    origin >.venv/foz-origin
fi

locks=$(sum requirements/run.lock requirements/dev.lock)
install() { # install run|dev
    say "installing requirements/$1.lock"
    rm -f .venv/foz-run .venv/foz-dev
    pip install --require-hashes -r "requirements/$1.lock" ||
        fail "requirements/$1.lock could not be installed: see above; without a network only what is installed already can be used"
    echo "$locks" >".venv/foz-$1"
}
if [ "$level" = run ]; then
    stamped .venv/foz-run "$locks" || stamped .venv/foz-dev "$locks" || install run
else
    stamped .venv/foz-dev "$locks" || install dev
fi

itself=$(sum pyproject.toml)
if ! stamped .venv/foz-itself "$itself"; then
    pip install --no-deps --no-build-isolation --no-index --editable . || fail "foz itself could not be installed: see above"
    echo "$itself" >.venv/foz-itself
fi

# --- The SDKs that the tests speak through ----------------------------------------------------------------------------

if [ "$level" != test ]; then exit 0; fi

for lock in requirements/*.lock; do
    name=${lock##*/}
    case $name in run.lock | dev.lock | litellm.lock | profile.lock | celery.lock | llama-cpp-python.lock) continue ;; esac
    target=.venv/sdk/${name%.lock}
    stamped "$target/foz-lock" "$(sum "$lock")" && continue
    say "installing $lock beside the rest"
    rm -rf "$target"
    pip install --require-hashes --target "$target" -r "$lock" || fail "$lock could not be installed: see above"
    sum "$lock" >"$target/foz-lock"
done

node=$(sum tests/node/package.json tests/node/package-lock.json)
if ! stamped tests/node/node_modules/foz-lock "$node"; then
    say "installing tests/node/package-lock.json"
    PATH="$PWD/.venv/bin:$PATH" npm --prefix tests/node ci --silent --no-audit --no-fund 9>&- ||
        fail "tests/node could not be installed: see above"
    echo "$node" >tests/node/node_modules/foz-lock
fi

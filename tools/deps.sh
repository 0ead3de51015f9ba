#!/bin/bash
# Installs what is missing: Debian's packages with apt-get, npm's with npm ci. Says what it does, does nothing (and
# needs no network) when all is there.   usage: tools/deps.sh build|test|bench
set -eu
cd "$(dirname "$0")/.."
level=${1:-build}

packages="meson ninja-build pkg-config gcc libc6-dev libuv1-dev libhttp-parser-dev libssl-dev libprotobuf-c-dev
  protobuf-c-compiler libprotobuf-dev libjansson-dev libsqlite3-dev libsodium-dev libjwt-dev libyaml-dev
  libcurl4-openssl-dev zlib1g-dev libbrotli-dev"
[ "$(dpkg --print-architecture)" = amd64 ] && packages="$packages libipsec-mb-dev"
case "$level" in
build) ;;
test) packages="$packages libcmocka-dev libsrtp2-dev clang-format python3" ;;
bench) packages="$packages libcmocka-dev libsrtp2-dev python3 janus nginx-light libnginx-mod-nchan" ;;
*) echo "usage: tools/deps.sh build|test|bench" >&2; exit 2 ;;
esac
[ "$level" = test ] && [ -d tests/browser ] && packages="$packages chromium fonts-noto-cjk"

# Node may come from elsewhere (nodesource conflicts with Debian's npm): only the commands count.
if [ -f web/package.json ] || [ -f tests/package.json ]; then
    command -v node >/dev/null || packages="$packages nodejs"
    command -v npm >/dev/null || packages="$packages npm"
fi

missing=""
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
    echo "deps: installing$missing"
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "deps: run as root, or install sudo" >&2; exit 1; }
        as_root=sudo
    fi
    # No service that a package brings is to start by itself: tests and benchmarks start their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
        $as_root chmod 755 $policy
        trap '$as_root rm -f $policy' EXIT
    fi
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "deps: Debian packages are all there"
fi

for dir in web tests; do
    [ -f $dir/package-lock.json ] || continue
    command -v npm >/dev/null || { echo "deps: no npm, $dir is left out"; continue; }
    if [ ! -d $dir/node_modules ] || [ $dir/package-lock.json -nt $dir/node_modules/.package-lock.json ]; then
        echo "deps: npm ci in $dir"
        (cd $dir && npm ci --no-audit --no-fund --loglevel=error)
    fi
done

#!/bin/bash
# Installs what is missing: Debian's packages with apt-get, npm's with npm ci. Says what it does. When all is there it
# does nothing and needs no network.   usage: tools/deps.sh build|check|test|fuzz|bench   (WEB=no: nothing of Node's)
set -eu
cd "$(dirname "$0")/.."
level=${1:-build}

build_packages="meson ninja-build pkg-config gcc libc6-dev libuv1-dev libhttp-parser-dev libnghttp2-dev libssl-dev libprotobuf-c-dev
  protobuf-c-compiler protobuf-compiler libprotobuf-dev libjansson-dev libsqlite3-dev libsodium-dev
  libyaml-dev libcurl4-openssl-dev zlib1g-dev libbrotli-dev libavformat-dev libavcodec-dev libavutil-dev
  libswscale-dev libwebp-dev libseccomp-dev libpq-dev libmariadb-dev libhiredis-dev librabbitmq-dev librdkafka-dev"
test_packages="libcmocka-dev libjwt-dev libsrtp2-dev clang-format openssl python3 spin dpkg-dev nginx-light python3-yaml"
service_packages="iproute2 postgresql mariadb-server redis-server redis-sentinel etcd-server etcd-client rabbitmq-server prometheus prometheus-alertmanager golang-go maven default-jre-headless" # the tests start servers of their own from them
browser_packages="chromium fonts-noto-cjk"
fuzz_packages="clang libclang-rt-14-dev"
bench_packages="janus nginx-light libnginx-mod-nchan wrk ejabberd erlang-p1-sqlite3 libgrpc-dev"

list_packages()
{
    echo "$build_packages"
    case "$(dpkg --print-architecture)" in amd64) echo libipsec-mb-dev ;; esac
    case "$level" in
    build) ;;
    check) echo "$test_packages" ;;
    test)
        echo "$test_packages $service_packages"
        [ ! -d tests/browser ] || echo "$browser_packages"
        ;;
    fuzz) echo "$test_packages $fuzz_packages" ;;
    bench) echo "$test_packages $bench_packages" ;;
    esac
    # Node may come from elsewhere (nodesource's package conflicts with Debian's npm): only the commands count.
    if needs_node; then
        command -v node >/dev/null || echo nodejs
        command -v npm >/dev/null || echo npm
    fi
}

needs_node()
{
    [ "$level" != fuzz ] && [ "$level" != check ] && [ "${WEB:-yes}" != no ]
}

# The packages of the list that dpkg does not know as installed, one a line.
list_missing()
{
    comm -13 \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u) \
        <(list_packages | tr -s ' \n' '\n' | grep . | sort -u)
}

# No service that a package brings (nginx, postgresql) may start by itself: tests and benchmarks start their own.
forbid_services()
{
    policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    trap '$as_root rm -f "$policy"' EXIT
}

# One line a package on the way: enough to see that it moves. What apt said is kept for when it fails.
apt_install()
{
    log=$(mktemp)
    if $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" 2>&1 |
        tee "$log" | awk '/^Setting up/ { printf "  %s\n", $3; fflush() } /^Need to get/ { print "  " $0; fflush() }'; then
        rm -f "$log"
    else
        tail -n 20 "$log" >&2
        rm -f "$log"
        echo "deps: apt-get could not install: $*" >&2
        return 1
    fi
}

install_debian()
{
    mapfile -t missing < <(list_missing)
    if [ "${#missing[@]}" = 0 ]; then
        echo "deps: Debian packages are all there"
        return
    fi
    echo "deps: installing ${missing[*]}"
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "deps: run this as root, or install sudo" >&2; exit 1; }
        as_root=sudo
    fi
    forbid_services
    # Stale lists name files that the mirrors no longer have; without a network the old ones may still do.
    $as_root apt-get update -qq || echo "deps: apt-get update failed, trying with the lists of before" >&2
    set -o pipefail
    apt_install "${missing[@]}" && return
    # The C part stands without Node: if that alone is lacking, a build goes on without the browser client.
    [ "$level" = build ] && [[ "${missing[*]}" =~ ^(nodejs|npm|nodejs npm)$ ]] || exit 1
    echo "deps: going on without Node"
}

# npm ci when package-lock.json is not the one that node_modules was made from.
install_npm()
{
    dirs=web
    case $level in test | bench) dirs="web tests" ;; esac
    for dir in $dirs; do
        if cmp -s $dir/package-lock.json $dir/node_modules/.installed-lock.json; then
            echo "deps: npm packages of $dir/ are all there"
            continue
        fi
        echo "deps: npm ci in $dir/"
        (cd $dir && npm ci --no-audit --no-fund --loglevel=error) || {
            echo "deps: npm could not install $dir/package-lock.json (make WEB=no build leaves the browser client out)" >&2
            exit 1
        }
        cp $dir/package-lock.json $dir/node_modules/.installed-lock.json
    done
}

case "$level" in
build | check | test | fuzz | bench) ;;
*)
    echo "usage: tools/deps.sh build|check|test|fuzz|bench" >&2
    exit 2
    ;;
esac
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    install_debian
else
    echo "deps: not Debian; install these yourself (by the names your system has for them):"
    echo "  $build_packages libipsec-mb-dev nodejs npm"
fi
if needs_node && command -v npm >/dev/null; then
    install_npm
fi
